"""How rough the picture is (total variation, as Johnson et al. 2016, section 3.2, regularise with)."""

from torch import Tensor

from fst.losses.term import Step, Term, register


@register
class Tv(Term):
    """Mean squared difference of horizontal neighbours plus that of vertical ones, image in [0, 1]."""

    def forward(self, step: Step) -> Tensor:
        image = step.painted
        across = (image[..., :, 1:] - image[..., :, :-1]).square().mean()
        down = (image[..., 1:, :] - image[..., :-1, :]).square().mean()
        return across + down

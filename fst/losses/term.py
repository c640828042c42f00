"""The loss term contract, and the registry of terms.

A loss term is one file in `fst/losses/terms` with one registered class, as in README's "Add a loss term". Its name is
the class's in snake case. Its weight is the setting `loss.contrast_weight`, its constructor's arguments are
`loss.contrast_power` and so on (`fst.config.signatures` reads them without importing torch), and its value is logged as
`train/contrast_loss` and `val/contrast_loss`. A term whose weight is 0 is not computed. As a network's, its constructor
is also called on torch's meta device, where it cannot read a tensor's values.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from torch import Tensor, nn

from fst.losses.gram import scaled
from fst.losses.style_target import StyleTarget
from fst.losses.vgg import VGGFeatures
from fst.values import Registry

TERMS = Registry()
register = TERMS.register


@dataclass
class Step:
    """What a term may look at: one batch, and what was painted from it."""

    painted: Tensor  # (N, 3, H, W) in about [0, 1], fp32
    content: dict[str, Tensor]  # the photos' features by layer, of all terms' `photo_layers`; of a texture, none
    style: StyleTarget  # to reach
    extractor: VGGFeatures
    wanted: dict[float, list[str]]  # layers by scale that the terms in use ask of `features`
    photos: Tensor | None = None  # (N, 3, H, W) in [0, 1]; None: of a texture
    paint: Callable[[Tensor], Tensor] | None = None  # the network, to paint something else with; None: there is none
    regions: Tensor | None = None  # masks (R, 1, H, W) in [0, 1], for one picture whose regions have their own styles
    around: Tensor | None = None  # photos with more around them, as far as terms have asked by their `room`
    place: tuple[int, int] = (0, 0)  # row and column of the photos' corner there
    _computed: dict[float, dict[str, Tensor]] = field(default_factory=dict)

    def features(self, scale: float = 1.0) -> dict[str, Tensor]:
        """Features of the painted picture at a fraction of its size, by layer; computed once for all terms.

        With trainer.precision=bf16-mixed they are bf16, and so may those in `content` be: a term sums them up in fp32,
        after `.float()` or by `gram_matrix`.
        """
        if scale not in self._computed:
            self._computed[scale] = self.extractor(scaled(self.painted, scale), self.wanted[scale])
        return self._computed[scale]


class Term(nn.Module):
    """One summand of the objective."""

    default_weight: float = 0.0  # of `loss.NAME_weight`
    needs_network: bool = False  # it is about what a network does: of no use where a picture is optimised
    photo_layers: tuple[str, ...] = ()  # of the photo that it compares with, in `step.content`
    room: int = 0  # pixels of the photo, across and down, that it wants to see in training beyond the picture

    def painted_layers(self) -> dict[float, Iterable[str]]:
        """The layers that it asks of `step.features(scale)`, by scale."""
        return {}

    def forward(self, step: Step) -> Tensor | dict[str, Tensor]:
        """The term's value before its weight: a scalar tensor, or several by name whose sum it is; fp32."""
        raise NotImplementedError

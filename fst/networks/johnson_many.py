"""Many styles in Johnson's network."""

from collections.abc import Sequence

from fst.networks.conditional import Conditional
from fst.networks.johnson import Johnson
from fst.networks.network import register


@register
class JohnsonMany(Conditional):
    """Johnson's network with a scale and a shift for each of many styles.

    Args:
        styles: the names of its styles; training sets them to the paintings of the run.
        predictor: width of the predictor that reads a style from any painting; 0: none.
        width, depth: of `Johnson`.

    Raises:
        UserError: a style named twice, or what `Johnson` refuses.
    """

    plain_class = Johnson

    def __init__(self, styles: Sequence[str] = (), predictor: int = 0, width: int = 32, depth: int = 5) -> None:
        super().__init__(styles, predictor, width=width, depth=depth)

"""Many styles in the real-time network."""

from collections.abc import Sequence

from fst.networks.conditional import Conditional
from fst.networks.network import register
from fst.networks.realtime import Realtime


@register
class RealtimeMany(Conditional):
    """The real-time network, a little wider and deeper, with a scale and a shift for each of many styles.

    Args:
        styles: the names of its styles; training sets them to the paintings of the run.
        predictor: width of the predictor that reads a style from any painting; 0: none.
        fold, widths, depths, skips, end: of `Realtime`.

    Raises:
        UserError: a style named twice, or what `Realtime` refuses.
    """

    plain_class = Realtime

    def __init__(
        self,
        styles: Sequence[str] = (),
        predictor: int = 0,
        fold: int = 2,
        widths: Sequence[int] = (16, 32, 80),
        depths: Sequence[int] = (0, 1, 4),
        skips: bool = True,
        end: str = "resize",
    ) -> None:
        super().__init__(styles, predictor, fold=fold, widths=widths, depths=depths, skips=skips, end=end)

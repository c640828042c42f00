"""How good a trained network is, as Johnson et al. 2016 measure it (figure 5): the iteration at which optimising an
image from noise reaches the objective that the network reaches at once.

python -m fst.evaluate.equivalence STYLE... [--photos FOLDER] [--iterations 200] [--painting FILE] [--out FOLDER]

The objective is the one the network was trained on, read from its style file; the baseline is L-BFGS within [0, 1].
"""

import argparse
import dataclasses
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fst.config.schema import LossConfig
from fst.errors import UserError, one_line_errors
from fst.evaluate.figures import plot
from fst.evaluate.judge import Judge, as_used, crops, read_painting, read_photos
from fst.files import write_json
from fst.stylize import styles
from fst.stylize.many import Style
from fst.system import keep_memory


@dataclass(frozen=True)
class Match:
    """One photo: the objective of the network's picture, and of the optimisation after 0, 1, 2, ... iterations."""

    photo: str
    network: float
    losses: list[float]

    @property
    def iteration(self) -> int:
        """The first iteration that is as good as the network; one more than were made where none is."""
        return next((index for index, loss in enumerate(self.losses) if loss <= self.network), len(self.losses))


@dataclass(frozen=True)
class Equivalence:
    """The matches of one style file over some photos."""

    style: str
    matches: list[Match] = field(default_factory=list)

    def summary(self) -> str:
        """As "31 (24 to 38)": median and range of the matched iterations, > where a photo's was not reached."""
        beyond = max(len(match.losses) for match in self.matches)
        found = sorted(match.iteration for match in self.matches)
        middle = statistics.median_low(found)
        least, median, most = (
            f"> {beyond - 1}" if value == beyond else str(value) for value in (found[0], middle, found[-1])
        )
        return f"{median} ({least} to {most})"


def equivalence(
    style: Style,
    painting: np.ndarray,
    photos: dict[str, np.ndarray],
    *,
    iterations: int = 100,
    report: Callable[[Match], None] = lambda match: None,
) -> Equivalence:
    """Place a style's network on the curve of the optimisation, on the middle SIDE×SIDE pixels of each photo.

    Args:
        style: one that `train.py` wrote; its loss settings are the objective, and without them it is a UserError.
        painting: uint8 (H, W, 3), at the size the network was trained with.
        photos: uint8 (H, W, 3) by name, none of them trained on.
        iterations: of L-BFGS on each photo.
        report: called with each photo's match.
    """
    loss = style.info.training.get("loss")
    if not loss:
        raise UserError(
            f"{style.path} does not say which losses it was trained on, so there is nothing to compare with"
        )
    known = {key: value for key, value in loss.items() if key in LossConfig.__dataclass_fields__}
    judge = Judge(LossConfig(**known), painting, crops(photos))
    network = style.network()
    found = Equivalence(style.path.name if style.many is None else style.name)
    for name in photos:
        found.matches.append(Match(name, judge.total(as_used(network), name), judge.lbfgs(name, iterations)))
        report(found.matches[-1])
    return found


def draw(results: Sequence[Equivalence], path: Path) -> None:
    """The objective over iterations, median and range over the photos, and where each network stands."""
    with plot(path, len(results), size=(6, 4.2)) as axes:
        for axis, result in zip(axes.flat, results, strict=False):
            rows = list(zip(*(match.losses for match in result.matches), strict=True))
            steps = range(len(rows))
            axis.fill_between(steps, [min(row) for row in rows], [max(row) for row in rows], alpha=0.2, lw=0)
            axis.plot(steps, [statistics.median(row) for row in rows], label="L-BFGS from noise (median, range)")
            axis.axhline(statistics.median(m.network for m in result.matches), color="C1", label="network (median)")
            axis.set(title=f"{Path(result.style).stem}: as good as {result.summary()} iterations")
            axis.set(xlabel="iteration", ylabel="objective", yscale="log")
            axis.legend(frameon=False)


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line; what cannot be had or read is a UserError."""
    parser = argparse.ArgumentParser(prog="python -m fst.evaluate.equivalence", description=__doc__)
    parser.add_argument("styles", nargs="+", help="bundled styles, style files or run folders")
    parser.add_argument("--photos", type=Path, help="photos that no network saw (content/ of the store)")
    parser.add_argument("--painting", help="its image file, where the style is not one of conf/style")
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--out", type=Path, help="a folder for results.json and figure.jpg")
    given = parser.parse_args(words)
    keep_memory()
    photos = read_photos(given.photos)

    def told(match: Match) -> None:
        reached = "not reached" if match.iteration == len(match.losses) else f"iteration {match.iteration}"
        print(f"  {match.photo:<14} network {match.network:8.2f}   {reached}", flush=True)

    results = []
    for name in given.styles:
        print(name)
        style = styles.find(name)
        painting = read_painting(given.painting or style.info.name, style.info.style.get("size", 512))
        results.append(equivalence(style, painting, photos, iterations=given.iterations, report=told))
        print(f"  as good as {results[-1].summary()} iterations of L-BFGS, median and range over {len(photos)} photos")
    if given.out:
        rows = {found.style: [dataclasses.asdict(match) for match in found.matches] for found in results}
        write_json(given.out / "results.json", rows)
        draw(results, given.out / "figure.jpg")


if __name__ == "__main__":
    with one_line_errors():
        main()

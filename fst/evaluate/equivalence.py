"""How good a trained network is, as Johnson et al. 2016 measure it (figure 5): the iteration at which optimising an
image from noise reaches the objective that the network reaches at once.

python -m fst.evaluate.equivalence STYLE... [--photos FOLDER] [--iterations 200] [--painting FILE] [--out FOLDER]

The objective is the one the network was trained on, read from its style file. The baseline is L-BFGS within [0, 1]:
with a line search, which looks twice where it must, and without, as in the paper's code: an iteration is one look.
"""

import argparse
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from fst.config.schema import LossConfig
from fst.errors import UserError, one_line_errors
from fst.evaluate.figures import plot
from fst.evaluate.judge import Judge, as_used, read_painting, read_photos
from fst.files import write_json
from fst.stylize import styles
from fst.stylize.many import Style
from fst.system import keep_memory
from fst.values import at_least


class Match(NamedTuple):
    """One photo: the objective of the network's picture, and of the optimisation after 0, 1, 2, ... iterations."""

    photo: str
    network: float
    losses: list[float]

    @property
    def iteration(self) -> int:
        """The first iteration that is as good as the network; one more than were made where none is."""
        return next((index for index, loss in enumerate(self.losses) if loss <= self.network), len(self.losses))

    def __str__(self) -> str:
        return f"> {len(self.losses) - 1}" if self.iteration == len(self.losses) else str(self.iteration)


def summary(matches: Sequence[Match]) -> str:
    """As "31 (24 to 38)": median and range of the matched iterations, > where a photo's was not reached."""
    beyond = max(len(match.losses) for match in matches)
    found = sorted(match.iteration for match in matches)
    told = (found[0], statistics.median_low(found), found[-1])
    least, median, most = (f"> {beyond - 1}" if value == beyond else str(value) for value in told)
    return f"{median} ({least} to {most})"


def equivalence(
    style: Style, painting: np.ndarray, photos: Mapping[str, Tensor], iterations: int
) -> Iterator[tuple[Match, Match]]:
    """Place a style's network on the curves of the optimisation, with a line search and without, photo by photo.

    Args:
        style: one that `train.py` wrote; its loss settings are the objective, and without them it is a UserError.
        painting: uint8 (H, W, 3), at the size the network was trained with.
        photos: (1, 3, H, W) in [0, 1] by name, none of them trained on.
        iterations: of L-BFGS on each photo.
    """
    loss = style.info.training.get("loss")
    if not loss:
        raise UserError(
            f"{style.path} does not say which losses it was trained on, so there is nothing to compare with"
        )
    known = {key: value for key, value in loss.items() if key in LossConfig.__dataclass_fields__}
    judge = Judge(LossConfig(**known), painting, photos)
    paint = as_used(style.network())
    for name in photos:
        network = judge.total(paint, name)
        yield tuple(Match(name, network, judge.lbfgs(name, iterations, line_search=search)) for search in (True, False))


def draw(results: Mapping[str, Sequence[tuple[Match, Match]]], path: Path) -> None:
    """The objective over iterations, medians and range over the photos, and where each network stands."""
    with plot(path, len(results)) as axes:
        for axis, (name, pairs) in zip(axes.flat, results.items(), strict=False):
            searched, plain = zip(*pairs, strict=True)
            rows = list(zip(*(match.losses for match in searched), strict=True))
            axis.fill_between(range(len(rows)), [min(row) for row in rows], [max(row) for row in rows], alpha=0.2, lw=0)
            axis.plot([statistics.median(row) for row in rows], label="L-BFGS from noise (median, range)")
            rows = zip(*(match.losses for match in plain), strict=True)
            axis.plot([statistics.median(row) for row in rows], "C2:", label="without a line search (median)")
            axis.axhline(statistics.median(match.network for match in searched), color="C1", label="network (median)")
            short = name if len(name) <= 40 else f"…{name[-39:]}"  # of a path its end
            axis.set(title=f"{short}\nas good as {summary(searched)} iterations")
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
    at_least("--iterations", given.iterations, 1)
    keep_memory()
    photos = read_photos(given.photos)
    results: dict[str, list[tuple[Match, Match]]] = {}
    for name in given.styles:
        print(name)
        style = styles.find(name)
        painting = read_painting(given.painting or style.info.name, style.info.style.get("size", 512))
        pairs = results.setdefault(name, [])
        for searched, plain in equivalence(style, painting, photos, given.iterations):
            pairs.append((searched, plain))
            told = f"network {searched.network:8.2f}   iteration {searched}, {plain} without a line search"
            print(f"  {searched.photo:<14} {told}", flush=True)
        with_search, without = (summary(matches) for matches in zip(*pairs, strict=True))
        print(f"  as good as {with_search} iterations of L-BFGS, median and range over {len(photos)} photos;")
        print(f"  without a line search, as in the paper's code, {without}")
    if given.out:
        rows = {name: [_row(*pair) for pair in pairs] for name, pairs in results.items()}
        write_json(given.out / "results.json", rows)
        draw(results, given.out / "figure.jpg")


def _row(searched: Match, plain: Match) -> dict:
    return searched._asdict() | {"without_line_search": plain.losses}


if __name__ == "__main__":
    with one_line_errors():
        main()

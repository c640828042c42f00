"""L-BFGS on paintings that the network of many styles never saw: python -m experiments.adapt.optimised [PHOTO ...]

For each of run.py's paintings, on photos of content/ (tubingen): the objective of what the network reads of it, that
after some iterations of L-BFGS from noise, and at which iteration it is as low as the prediction's. Prints the table.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence

from experiments.adapt import run
from fst.errors import UserError, one_line_errors
from fst.evaluate import judge
from fst.evaluate.equivalence import Match

ITERATIONS = (10, 30, 60)


def row(name: str, photos: Sequence[str]) -> str:
    """Means over the photos."""
    kept = judge.read_photos(None)
    missing = [photo for photo in photos if photo not in kept]
    if missing:
        raise UserError(f"content/ has no photo '{missing[0]}': choose from {', '.join(kept)}")
    weight = run.judged(name, {})[1]
    one = judge.judges({photo: kept[photo] for photo in photos}, style_weight=weight)(str(run.file(name)))
    paint = judge.as_used(run.network(name, "prediction", []))
    matches = [Match(photo, one.total(paint, photo), one.lbfgs(photo, max(ITERATIONS))) for photo in photos]
    told = [f"{statistics.fmean(match.network for match in matches):.1f}"]
    told += [f"{statistics.fmean(match.losses[number] for match in matches):.1f}" for number in ITERATIONS]
    worth = [f"> {max(ITERATIONS)}" if m.iteration > max(ITERATIONS) else str(m.iteration) for m in matches]
    return f"| {name} | {' | '.join(told)} | {', '.join(worth)} |"


def main(photos: Sequence[str]) -> None:
    """Print one row per painting."""
    print(f"| painting | prediction | {' | '.join(f'{n} iterations' for n in ITERATIONS)} | the prediction is worth |")
    print(f"|---|---:|{'---:|' * len(ITERATIONS)}---:|")
    for name in run.PAINTINGS:
        print(row(name, photos), flush=True)


if __name__ == "__main__":
    with one_line_errors():
        main(sys.argv[1:] or ["tubingen"])

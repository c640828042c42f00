"""The previews of many runs as JPEG data addresses of bounded total size."""

import base64
import math
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fst import images
from fst.compare.reading import Run
from fst.errors import UserError

PIXELS = 36e6  # of all pictures together: a page of some 15 MB at most
STOPS = 12  # of the slider
PHOTOS = 6
EDGES = (96, 640)  # pixels: least and largest long edge of a run's last pictures
QUALITY = 80
ASPECT = 0.75


@dataclass(frozen=True)
class Pictures:
    """Pictures as data addresses; None where there is none."""

    photos: dict[str, str | None]  # by name, in order
    runs: list[dict[str, list[tuple[int, str]]]]  # of each run, by photo, (step, address), steps rising
    paintings: list[str | None]  # of each run
    stops: list[int]  # steps of the slider, rising
    left_out: int  # photos for which there was no room


def collect(runs: Sequence[Run]) -> Pictures:
    """Read and reduce the previews of runs, at the steps of the slider and at each run's last."""
    names = Counter(name for run in runs for name in run.previews)
    photos = [name for name, _ in names.most_common(PHOTOS)]
    stops = spread(sorted({step for run in runs for name in photos for step in run.previews.get(name, {})}), STOPS)
    chosen = [{name: _at(run.previews[name], stops) for name in photos if name in run.previews} for run in runs]
    edge = _edge(sum(len(steps) for run in chosen for steps in run.values()), sum(map(len, chosen)))
    originals = {name: next((run.photos[name] for run in runs if name in run.photos), None) for name in photos}
    shown = [
        {
            name: {step: (run.previews[name][step], edge if step == steps[-1] else edge // 2) for step in steps}
            for name, steps in kept.items()
        }
        for run, kept in zip(runs, chosen, strict=True)
    ]
    whole = [(path, edge) for path in [*originals.values(), *(run.painting for run in runs)] if path]
    wanted = dict.fromkeys([*(one for run in shown for steps in run.values() for one in steps.values()), *whole])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = dict(zip(wanted, pool.map(_address, wanted), strict=True))
    return Pictures(
        photos={name: made.get((path, edge)) for name, path in originals.items()},
        runs=[
            {name: [(step, made[one]) for step, one in steps.items() if made[one]] for name, steps in run.items()}
            for run in shown
        ],
        paintings=[made.get((run.painting, edge)) for run in runs],
        stops=stops,
        left_out=len(names) - len(photos),
    )


def spread(steps: list[int], count: int) -> list[int]:
    """At most `count` of rising steps, first and last among them, in distances that grow as evenly as can be."""
    steps = list(steps)
    while len(steps) > count:
        inner = range(1, len(steps) - 1)
        steps.pop(min(inner, key=lambda index: math.log(steps[index + 1] / max(steps[index - 1], 0.5))))
    return steps


def _at(pictures: dict[int, Path], stops: list[int]) -> list[int]:
    """The steps of a run's pictures that stand at the stops, each the nearest one before; its last at the last stop."""
    return sorted({max(earlier) for stop in stops if (earlier := [step for step in pictures if step <= stop])})


def _edge(count: int, last: int) -> int:
    """The long edge with which the last pictures, and the others at half of it, fill PIXELS."""
    whole = last + (count - last) / 4
    return max(EDGES[0], min(EDGES[1], int(math.sqrt(PIXELS / ASPECT / max(whole, 1)))))


def _address(wanted: tuple[Path, int]) -> str | None:
    path, edge = wanted
    try:
        pixels = images.read(path)
    except UserError:  # a run's own folder may lose a picture, which is no reason to lose the page
        return None
    height, width = pixels.shape[:2]
    reduced = images.resize(pixels, images.fit_long_edge(height, width, min(edge, max(height, width))))
    data = images.encode(reduced, ".jpg", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"

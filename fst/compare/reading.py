"""A run's folder read back: its settings, metrics, previews and state, from the files that every run leaves there."""

import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from fst import runfolder
from fst.errors import UserError
from fst.files import read_json, visible
from fst.runfolder import CONFIG, FAILED, JOB, PAINTING, PREVIEWS, RUN, STOPPED, circumstances
from fst.values import leaves


@dataclass
class Run:
    """A run as its folder tells."""

    folder: Path
    name: str  # unique among the runs compared
    settings: dict[str, Any]  # plain values by dotted key, `run.` ones from run.json
    series: dict[str, list[tuple[int, float]]]  # points (global step, value) by metric, steps rising
    clock: list[tuple[int, float]]  # points (global step, seconds of work since the first start)
    seconds: float | None
    state: str  # of `runfolder.STATES`
    step: int
    photos: dict[str, Path]
    previews: dict[str, dict[int, Path]]  # picture files by photo and step
    painting: Path | None = None
    ended: dict[str, float] = field(default_factory=dict)  # metrics of a sweep's job, also of after training
    reason: str | None = None  # why a sweep's job failed

    @property
    def total(self) -> int | None:
        """The steps it was to make."""
        limits = [self.settings.get(key) for key in ("trainer.max_steps", "method.iterations")]
        return min((limit for limit in limits if isinstance(limit, int) and limit > 0), default=None)

    def last(self, metric: str) -> float | None:
        """The last value of a metric, None if there is none."""
        points = self.series.get(metric)
        return points[-1][1] if points else self.ended.get(metric)


def find(folders: Iterable[str | Path]) -> list[Path]:
    """The run folders (config.yaml and run.json) that are, or lie under, the given ones; numbers in names in order.

    A folder that is not there, or holds no run, is a UserError.
    """
    found: dict[Path, None] = {}
    for given in map(Path, folders):
        if not given.is_dir():
            raise UserError(f"{given} is a file, not a run's folder" if given.exists() else f"{given} does not exist")
        here = []
        for parent, below, files in os.walk(given):
            if {CONFIG, RUN} <= set(files):
                here.append(Path(parent).resolve())
                below.clear()
        if not here:
            raise UserError(f"no run in {given}: a run's folder has {CONFIG} and {RUN}, as runs/DATE_STYLE_WEIGHT")
        found |= dict.fromkeys(sorted(here, key=_natural))
    return list(found)


def read(folder: Path, name: str) -> Run:
    """Read one run's folder, also one that is still being written.

    A damaged config.yaml, or a run that has left neither metrics nor previews, is a UserError.
    """
    config, job = OmegaConf.to_container(runfolder.read_config(folder)), read_json(folder / JOB)
    around = circumstances(read_json(folder / RUN))
    rows = runfolder.read_rows(folder)
    photos, previews = _previews(folder / PREVIEWS)
    if not rows and not previews:
        raise UserError(f"{folder} has neither {runfolder.METRICS} nor previews")
    steps = [row.step for row in rows] + [max(pictures) for pictures in previews.values()]
    painting = folder / PAINTING
    return Run(
        folder=folder,
        name=name,
        settings=dict(leaves(config)) | {f"run.{key}": value for key, value in around.items()},
        series=runfolder.read_series(folder),
        clock=[(row.step, row.seconds) for row in rows],
        seconds=rows[-1].seconds if rows else None,
        state=FAILED if job.get("status") == FAILED else runfolder.state(folder) or STOPPED,
        step=max(steps),
        photos=photos,
        previews=previews,
        painting=painting if painting.is_file() else None,
        ended=_finite(job.get("metrics")),
        reason=job.get("reason"),
    )


def _finite(metrics: Any) -> dict[str, float]:
    """What is a number of a job's metrics, as its record has them: it may be damaged."""
    found = metrics.items() if isinstance(metrics, dict) else ()
    return {name: value for name, value in found if isinstance(value, int | float) and math.isfinite(value)}


def _natural(path: Path) -> list[tuple[int, str]]:
    """A key to sort paths by, numbers in them by value."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(path))]


def _previews(folder: Path) -> tuple[dict[str, Path], dict[str, dict[int, Path]]]:
    """As `fst.tracking.previews` writes them: photos/NAME.png and step-000100/NAME.png."""
    photos = {path.stem: path for path in sorted(visible(folder / "photos", "*.png"))}
    pictures: dict[str, dict[int, Path]] = {}
    for path in sorted(visible(folder, "step-*/*.png")):
        if (step := path.parent.name.removeprefix("step-")).isdecimal():
            pictures.setdefault(path.stem, {})[int(step)] = path
    return photos, pictures

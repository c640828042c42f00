"""A run's folder read back: its settings, metrics, previews and state, from the files that every run leaves there."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from fst import runfolder
from fst.errors import UserError
from fst.files import read_json
from fst.runfolder import CONFIG, JOB, PAINTING, PREVIEWS, RUN
from fst.values import leaves


@dataclass
class Run:
    """A run as its folder tells.

    Attributes:
        name: unique among the runs compared.
        settings: plain values by dotted key, `run.` ones from run.json.
        series: points (global step, value) by metric, steps rising.
        clock: points (global step, seconds of work since the run's first start).
        state: of `runfolder.STATES`; `reason` says why a sweep's job failed.
        ended: the metrics of a sweep's job, among them those that are measured after training.
        previews: picture files by photo and step.
    """

    folder: Path
    name: str
    settings: dict[str, Any]
    series: dict[str, list[tuple[int, float]]]
    clock: list[tuple[int, float]]
    seconds: float | None
    state: str
    step: int
    photos: dict[str, Path]
    previews: dict[str, dict[int, Path]]
    painting: Path | None = None
    ended: dict[str, float] = field(default_factory=dict)
    reason: str | None = None

    @property
    def gatys(self) -> bool:
        return self.settings.get("method.name") == "gatys"

    @property
    def total(self) -> int | None:
        """The steps it was to make."""
        return _total(self.settings)

    def last(self, metric: str) -> float | None:
        """The last value of a metric, None if there is none."""
        points = self.series.get(metric)
        return points[-1][1] if points else self.ended.get(metric)


def find(folders: Iterable[str | Path]) -> list[Path]:
    """The run folders (config.yaml and run.json) that are, or lie under, the given ones; numbers in names in order.

    Raises:
        UserError: a folder that is not there, or holds no run.
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

    Raises:
        UserError: a damaged config.yaml or run.json, or a run that has left neither metrics nor previews.
    """
    config, job = OmegaConf.to_container(runfolder.read_config(folder)), read_json(folder / JOB)
    try:
        settings = dict(leaves(config)) | _about(runfolder.read_run(folder))
    except (AttributeError, TypeError):  # values of other kinds than a run writes
        raise UserError(f"{folder / RUN} is damaged: it is no record of a run") from None
    rows = runfolder.read_rows(folder)
    photos, previews = _previews(folder / PREVIEWS)
    if not rows and not previews:
        raise UserError(f"{folder} has neither {runfolder.METRICS} nor previews")
    steps = [row.step for row in rows] + [max(pictures) for pictures in previews.values()]
    painting = folder / PAINTING
    return Run(
        folder=folder,
        name=name,
        settings=settings,
        series=runfolder.read_series(folder),
        clock=[(row.step, row.seconds) for row in rows],
        seconds=rows[-1].seconds if rows else None,
        state=_state(folder, job),
        step=max(steps),
        photos=photos,
        previews=previews,
        painting=painting if painting.is_file() else None,
        ended=metrics if isinstance(metrics := job.get("metrics"), dict) else {},
        reason=job.get("reason"),
    )


def _about(facts: dict[str, Any]) -> dict[str, Any]:
    """What else may explain a difference: code, machine, torch."""
    git, cpu = facts.get("git") or {}, facts.get("cpu") or {}
    commit = git.get("commit", "")[:8]
    return {
        "run.commit": f"{commit} with changes" if commit and git.get("dirty") else commit or None,
        "run.cpu": cpu.get("model"),
        "run.gpus": [gpu.get("name") for gpu in facts.get("gpus") or []],
        "run.threads": facts.get("threads"),
        "run.torch": (facts.get("packages") or {}).get("torch"),
    }


def _total(settings: dict[str, Any]) -> int | None:
    limits = [settings.get("trainer.max_steps"), settings.get("method.iterations")]
    return min((limit for limit in limits if isinstance(limit, int) and limit > 0), default=None)


def _state(folder: Path, job: dict[str, Any]) -> str:
    if job.get("status") == runfolder.FAILED:
        return runfolder.FAILED
    return runfolder.state(folder) or runfolder.STOPPED  # a folder of before states were noted


def _natural(path: Path) -> list[tuple[int, str]]:
    """A key to sort paths by, numbers in them by value."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]


def _previews(folder: Path) -> tuple[dict[str, Path], dict[str, dict[int, Path]]]:
    """As `fst.tracking.Previews` writes them: photos/NAME.png and step-000100/NAME.png."""
    photos = {path.stem: path for path in sorted((folder / "photos").glob("*.png"))}
    pictures: dict[str, dict[int, Path]] = {}
    for path in sorted(folder.glob("step-*/*.png")):
        pictures.setdefault(path.stem, {})[int(path.parent.name.removeprefix("step-"))] = path
    return photos, pictures

"""A run's folder read back: its settings, metrics, previews and state.

Metrics come from where the run logged them (fst.compare.logs); what they ended with, and how a sweep's job ended, also
from the small files that every run leaves: metrics.json, job.json, style.safetensors.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from fst import runfolder, stylefile
from fst.compare import logs
from fst.errors import UserError

FRESH_SECONDS = 600.0  # a run that wrote something so lately is taken as running


@dataclass
class Run:
    """A run as its folder tells.

    Attributes:
        name: unique among the runs compared.
        settings: plain values by dotted key, `run.` ones from run.json.
        series: points (global step, value) by metric, steps rising.
        clock: points (global step, seconds of work since the run's first start); empty where nothing tells the time.
        state: "finished", "running", "failed" or "stopped"; `reason` says why a sweep's job failed.
        ended: the last metrics that stand in the run's small files, among them those that no logger has.
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
            if {"config.yaml", "run.json"} <= set(files):
                here.append(Path(parent).resolve())
                below.clear()
        if not here:
            raise UserError(
                f"no run in {given}: a run's folder has config.yaml and run.json, as runs/DATE_STYLE_WEIGHT"
            )
        found |= dict.fromkeys(sorted(here, key=lambda path: logs.natural(str(path))))
    return list(found)


def read(folder: Path, name: str) -> Run:
    """Read one run's folder, also one that is still being written.

    Raises:
        UserError: a damaged config.yaml, or a run that has left neither metrics nor previews.
    """
    settings = _settings(folder / "config.yaml")
    facts = _facts(folder / "run.json")
    job = _facts(folder / runfolder.JOB)
    starts = logs.read(folder, settings.get("logger.name"), facts)
    rows = logs.joined(starts)
    series = _series(rows)
    photos, previews = _previews(folder / "previews")
    ended = _ended(folder, job)
    if not series and not previews and not ended:
        raise UserError(f"{folder} has neither metrics nor previews")
    steps = [points[-1][0] for points in series.values()] + [max(pictures) for pictures in previews.values()]
    step = max(steps, default=int(ended.get("step", 0)))
    times = [log.seconds for log in starts]
    failed = True if job.get("status") == "failed" else starts[-1].failed if starts else None
    return Run(
        folder=folder,
        name=name,
        settings=settings | _about(facts),
        series=series,
        clock=[(step, seconds) for step, seconds, _ in rows] if times and None not in times else [],
        seconds=sum(times) if times and None not in times else None,
        state=_state(failed, step, _total(settings), folder),
        step=step,
        photos=photos,
        previews=previews,
        painting=next((log.painting for log in reversed(starts) if log.painting), None),
        ended=ended,
        reason=job.get("reason"),
    )


def _settings(path: Path) -> dict[str, Any]:
    try:
        return dict(_leaves(OmegaConf.to_container(OmegaConf.load(path))))
    except (OSError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None


def _leaves(node: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _facts(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


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


def _state(failed: bool | None, step: int, total: int | None, folder: Path) -> str:
    if failed:
        return "failed"
    if total is not None and step >= total:
        return "finished"
    if failed is None and time.time() - _touched(folder) < FRESH_SECONDS:
        return "running"
    return "finished" if total is None and failed is False else "stopped"


def _touched(folder: Path) -> float:
    patterns = ("run.json", "wandb/*run-*/*.wandb", "csv/*/metrics.csv", "tensorboard/*", "previews/*", "checkpoints/*")
    return max((path.stat().st_mtime for pattern in patterns for path in folder.glob(pattern)), default=0.0)


def _series(rows: Iterable[logs.Row]) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, dict[int, float]] = {}
    for step, _, metrics in rows:
        for key, value in metrics.items():
            found.setdefault(key, {})[step] = value
    return {key: sorted(points.items()) for key, points in found.items()}


def _ended(folder: Path, job: dict[str, Any]) -> dict[str, float]:
    """The metrics of style file, metrics.json and job.json, the later ones first."""
    try:
        training = stylefile.read_info(folder / "style.safetensors").training
    except UserError:
        training = {}
    of_style = {"step": training.get("steps"), **(training.get("losses") or {})}
    found = {**of_style, **runfolder.read_metrics(folder), **(job.get("metrics") or {})}
    return {key: float(value) for key, value in found.items() if isinstance(value, int | float)}


def _previews(folder: Path) -> tuple[dict[str, Path], dict[str, dict[int, Path]]]:
    """As `fst.tracking.Previews` writes them: photos/NAME.png and step-000100/NAME.png."""
    photos = {path.stem: path for path in sorted((folder / "photos").glob("*.png"))}
    pictures: dict[str, dict[int, Path]] = {}
    for path in sorted(folder.glob("step-*/*.png")):
        pictures.setdefault(path.stem, {})[int(path.parent.name.removeprefix("step-"))] = path
    return photos, pictures

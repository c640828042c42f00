"""A run's folder read back: its settings, metrics, previews and state.

Metrics come from where the run logged them: W&B's own files (offline or online runs), TensorBoard's or CSV; a run
without a logger has the validation losses that its style file holds.
"""

from __future__ import annotations

import csv
import functools
import json
import math
import os
import re
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from fst import stylefile
from fst.errors import UserError

FRESH_SECONDS = 600.0  # a run that wrote something so lately is taken as running
PREFIXES = ("train/", "val/")

Row = tuple[int, float, dict[str, float]]  # global step, seconds since the start, metrics


@dataclass
class Log:
    """What one start of a run logged: rows by step, what it took, how it ended (None: it did not say)."""

    rows: list[Row] = field(default_factory=list)
    seconds: float | None = None
    failed: bool | None = None
    painting: Path | None = None


@dataclass
class Run:
    """A run as its folder tells.

    Attributes:
        name: unique among the runs compared.
        settings: plain values by dotted key, `run.` ones from run.json.
        series: points (global step, value) by metric, steps rising.
        clock: points (global step, seconds of work since the run's first start); empty where nothing tells the time.
        state: "finished", "running", "failed" or "stopped".
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
    painting: Path | None

    @property
    def gatys(self) -> bool:
        return self.settings.get("method.name") == "gatys"

    @property
    def total(self) -> int | None:
        """The steps it was to make."""
        return _total(self.settings)

    def last(self, metric: str) -> float | None:
        points = self.series.get(metric)
        return points[-1][1] if points else None


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
            raise UserError(f"no run in {given}: a run's folder has config.yaml and run.json, as runs/DATE_STYLE_WEIGHT")
        found |= dict.fromkeys(sorted(here, key=lambda path: _natural(str(path))))
    return list(found)


def read(folder: Path, name: str) -> Run:
    """Read one run's folder, also one that is still being written.

    Raises:
        UserError: a damaged config.yaml, or a run that has left neither metrics nor previews.
    """
    settings = _settings(folder / "config.yaml")
    facts = _facts(folder / "run.json")
    logs = _logs(folder, settings.get("logger.name"), facts)
    rows = _joined(logs)
    series: dict[str, list[tuple[int, float]]] = {}
    for step, _, metrics in rows:
        for key, value in metrics.items():
            series.setdefault(key, []).append((step, value))
    photos, previews = _previews(folder / "previews")
    if not series:
        series = _of_style_file(folder / "style.safetensors")
    if not series and not previews:
        raise UserError(f"{folder} has neither metrics nor previews")
    steps = [step for points in series.values() for step, _ in points[-1:]]
    step = max([*steps, *(max(pictures) for pictures in previews.values())])
    times = [log.seconds for log in logs]
    return Run(
        folder=folder,
        name=name,
        settings=settings | _about(facts),
        series=series,
        clock=[(step, seconds) for step, seconds, _ in rows] if times and None not in times else [],
        seconds=sum(times) if times and None not in times else None,
        state=_state(logs[-1].failed if logs else None, step, _total(settings), folder),
        step=step,
        photos=photos,
        previews=previews,
        painting=next((log.painting for log in reversed(logs) if log.painting), None),
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


def _joined(logs: list[Log]) -> list[Row]:
    """One line of rows: what a resumed run did again replaces what was lost."""
    rows: list[Row] = []
    before = 0.0
    for log in logs:
        if log.rows:
            rows = [row for row in rows if row[0] < log.rows[0][0]]
            rows += [(step, before + seconds, metrics) for step, seconds, metrics in log.rows]
        before += log.seconds or 0.0
    return rows


def _logs(folder: Path, logger: str | None, facts: dict[str, Any]) -> list[Log]:
    readers = {"wandb": _wandb_logs, "csv": functools.partial(_csv_logs, facts=facts), "tensorboard": _tensorboard_logs}
    return readers[logger](folder) if logger in readers else []


def _wandb_logs(folder: Path) -> list[Log]:
    """Of the newest W&B run in the folder, in the order of its starts; a resumed run keeps its id."""
    files = sorted((folder / "wandb").glob("*run-*/run-*.wandb"), key=lambda path: path.parent.name.rpartition("run-")[2])
    return [_wandb_log(path) for path in files if path.name == files[-1].name]


def _wandb_log(path: Path) -> Log:
    # The program behind `wandb leet inspect`, without the seconds that W&B's command line takes to start.
    from wandb.util import get_core_path

    command = [get_core_path(), "leet", "inspect", "-json", "-no-observability", "-run-file", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    log, began, last = Log(), 0.0, 0.0
    for line in done.stdout.splitlines():
        record = json.loads(line)
        kind = record["type"]
        if kind == "run":
            began = datetime.fromisoformat(record["run"]["start_time"]).timestamp()
        elif kind == "exit":
            log.failed = record["exit"].get("exit_code", 0) != 0
        elif kind == "history":
            item = record["history"]["item"]
            last = max(last, float(item.get("_timestamp", 0.0)) - began)
            if "style.path" in item:
                log.painting = path.parent / "files" / item["style.path"]
            media = tuple(key.removesuffix("_type") for key in item if key.endswith("._type"))
            metrics = _numbers({key: value for key, value in item.items() if not key.startswith(media)})
            if metrics and "trainer/global_step" in item:
                log.rows.append((int(item["trainer/global_step"]), last, metrics))
    log.seconds = last if log.rows else 0.0
    return log


def _csv_logs(folder: Path, facts: dict[str, Any]) -> list[Log]:
    """CSV holds no times: a start's is from its run.json entry to its file's last change."""
    files = sorted(folder.glob("csv/version_*/metrics.csv"), key=lambda path: _natural(str(path)))
    starts = [entry.get("started") for entry in [*reversed(facts.get("earlier") or []), facts]]
    logs = []
    for number, path in enumerate(files):
        with path.open(newline="", encoding="utf-8") as file:
            rows = [(int(float(row["step"])), 0.0, _numbers(row)) for row in csv.DictReader(file) if row.get("step")]
        log = Log([row for row in rows if row[2]])
        if len(starts) == len(files) and starts[number]:
            log.seconds = max(0.0, path.stat().st_mtime - datetime.fromisoformat(starts[number]).timestamp())
            steps = max(log.rows[-1][0], 1) if log.rows else 1
            log.rows = [(step, log.seconds * step / steps, metrics) for step, _, metrics in log.rows]
        logs.append(log)
    return logs


def _tensorboard_logs(folder: Path) -> list[Log]:
    if not list((folder / "tensorboard").glob("events*")):
        return []
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    by_step: dict[int, tuple[float, dict[str, float]]] = {}
    for tag in events.Tags()["scalars"]:
        for event in events.Scalars(tag):
            at, metrics = by_step.get(event.step, (event.wall_time, {}))
            by_step[event.step] = (at, metrics | _numbers({tag: event.value}))
    began = events.FirstEventTimestamp()
    rows = [(step, at - began, metrics) for step, (at, metrics) in sorted(by_step.items()) if metrics]
    return [Log(rows, seconds=rows[-1][1] if rows else 0.0)]


def _numbers(metrics: dict[str, Any]) -> dict[str, float]:
    """The finite ones among a row's metrics."""
    found = {}
    for key, value in metrics.items():
        if key.startswith(PREFIXES) and value not in ("", None):
            try:
                found[key] = float(value)
            except (TypeError, ValueError):
                continue
    return {key: value for key, value in found.items() if math.isfinite(value)}


def _of_style_file(path: Path) -> dict[str, list[tuple[int, float]]]:
    try:
        training = stylefile.read_info(path).training
    except UserError:
        return {}
    losses = training.get("losses")
    return {key: [(training["steps"], value)] for key, value in (losses or {}).items()}


def _previews(folder: Path) -> tuple[dict[str, Path], dict[str, dict[int, Path]]]:
    """As `fst.tracking.Previews` writes them: photos/NAME.png and step-000100/NAME.png."""
    photos = {path.stem: path for path in sorted((folder / "photos").glob("*.png"))}
    pictures: dict[str, dict[int, Path]] = {}
    for path in sorted(folder.glob("step-*/*.png")):
        pictures.setdefault(path.stem, {})[int(path.parent.name.removeprefix("step-"))] = path
    return photos, pictures


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]

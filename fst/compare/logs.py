"""What a run's logger wrote, read back: W&B's own files (of offline and online runs), TensorBoard's or CSV."""

from __future__ import annotations

import csv
import functools
import json
import math
import re
import subprocess
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

PREFIXES = ("train/", "val/")

Row = tuple[int, float, dict[str, float]]  # global step, seconds since the start, metrics


@dataclass
class Log:
    """What one start of a run logged: rows by step, what it took, how it ended (None: it did not say)."""

    rows: list[Row] = field(default_factory=list)
    seconds: float | None = None
    failed: bool | None = None
    painting: Path | None = None


def read(folder: Path, logger: str | None, facts: dict[str, Any]) -> list[Log]:
    """What each start of the run in a folder logged, in order; nothing for a run without a logger."""
    readers = {"wandb": _wandb_logs, "csv": functools.partial(_csv_logs, facts=facts), "tensorboard": _tensorboard_logs}
    return readers[logger](folder) if logger in readers else []


def joined(logs: list[Log]) -> list[Row]:
    """One line of rows: what a resumed run did again replaces what was lost."""
    rows: list[Row] = []
    before = 0.0
    for log in logs:
        if log.rows:
            rows = [row for row in rows if row[0] < log.rows[0][0]]
            rows += [(step, before + seconds, metrics) for step, seconds, metrics in log.rows]
        before += log.seconds or 0.0
    return rows


def _wandb_logs(folder: Path) -> list[Log]:
    """Of the newest W&B run in the folder, in the order of its starts; a resumed run keeps its id."""
    files = sorted(
        (folder / "wandb").glob("*run-*/run-*.wandb"), key=lambda path: path.parent.name.rpartition("run-")[2]
    )
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
    files = sorted(folder.glob("csv/version_*/metrics.csv"), key=lambda path: natural(str(path)))
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


def natural(text: str) -> list[tuple[int, str]]:
    """A key to sort names by, numbers in them by value."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]

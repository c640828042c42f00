"""What a run's W&B record says, read back from the run folder without an account."""

from __future__ import annotations

import json
import statistics
import subprocess
from pathlib import Path
from typing import Any

from fst.errors import UserError

STEP = "trainer/global_step"


def history(run: Path) -> list[dict[str, Any]]:
    """The rows of a run's record in order of steps; those of a resumed run's later parts win.

    Raises:
        UserError: the folder holds no W&B record, or one that cannot be read.
    """
    files = sorted((run / "wandb").glob("*run-*/run-*.wandb"))
    if not files:
        raise UserError(f"{run} holds no W&B record (logger=wandb writes one)")
    rows: dict[int, dict[str, Any]] = {}
    for file in files:
        for row in _rows(file):
            if STEP in row:
                rows.setdefault(int(row[STEP]), {}).update(row)
    return [rows[step] for step in sorted(rows)]


def _rows(file: Path) -> list[dict[str, Any]]:
    ran = subprocess.run(["wandb", "leet", "inspect", "--json", str(file)], capture_output=True, text=True)
    if ran.returncode:
        raise UserError(f"{file} cannot be read: {(ran.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    records = [json.loads(line) for line in ran.stdout.splitlines()]
    return [record["history"]["item"] for record in records if "history" in record]


def step_seconds(rows: list[dict[str, Any]]) -> float:
    """The median over the run of the seconds of a training step, waiting for photos included; nan: too short a run."""
    found = [row["train/step_seconds"] for row in rows if "train/step_seconds" in row]
    return statistics.median(found) if found else float("nan")


def wall_seconds(rows: list[dict[str, Any]]) -> float:
    """From the start of the logger to the last record, validation and previews included."""
    return max((row.get("_runtime", 0.0) for row in rows), default=float("nan"))


def curve(rows: list[dict[str, Any]], keys: list[str]) -> dict[str, list[float]]:
    """The steps at which there was a validation, and the values of `keys` there."""
    measured = [row for row in rows if all(key in row for key in keys)] if keys else []
    return {"step": [row[STEP] for row in measured], **{key: [row[key] for row in measured] for key in keys}}

"""What became of a run: RUN/metrics.json has its last losses and speed, RUN/job.json how a sweep's job ended."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, SupportsFloat

from fst.files import replacing

METRICS = "metrics.json"
JOB = "job.json"


def write_metrics(run_dir: Path, metrics: Mapping[str, SupportsFloat]) -> None:
    """Keep a run's last metrics, as Lightning's `trainer.callback_metrics`; those that are not finite as null.

    Raises:
        UserError: the folder may not be written, or the disk is full.
    """
    values = {key: float(value) for key, value in sorted(metrics.items())}
    _write(run_dir / METRICS, {key: value if math.isfinite(value) else None for key, value in values.items()})


def read_metrics(run_dir: Path) -> dict[str, float]:
    """A run's last finite metrics; none of a run that has not got that far."""
    return {key: float(value) for key, value in _read(run_dir / METRICS).items() if value is not None}


def write_job(run_dir: Path, facts: dict[str, Any]) -> None:
    """Keep what a sweep says of a job."""
    _write(run_dir / JOB, facts)


def read_jobs(sweep_dir: Path, started: str) -> list[dict[str, Any]]:
    """What the jobs of the sweep that started then left in its folder, by number."""
    found = [_read(file) for file in sweep_dir.glob(f"*/{JOB}")]
    return sorted((job for job in found if job.get("sweep") == started), key=lambda job: job["job"])


def _write(path: Path, content: dict[str, Any]) -> None:
    with replacing(path) as beside:
        beside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return content
    return {}

"""Runs in trackio, Hugging Face's local dashboard: `trackio show --project NAME` shows what this has filled in."""

from __future__ import annotations

import contextlib
import importlib.util
from collections import defaultdict
from collections.abc import Sequence

from fst import images
from fst.compare import table
from fst.compare.reading import Run
from fst.errors import UserError


def fill(project: str, runs: Sequence[Run]) -> None:
    """Put runs into a trackio project on this machine: settings, every metric, previews at their steps.

    A run of that name which is there already is replaced.

    Raises:
        UserError: trackio is not installed.
    """
    if importlib.util.find_spec("trackio") is None:
        raise UserError("trackio=... needs trackio, which is not installed: pip install trackio")
    import trackio

    with contextlib.suppress(ValueError):  # no such project so far
        for earlier in list(trackio.Api().runs(project)):
            if earlier.name in {run.name for run in runs}:
                earlier.delete()
    for run in runs:
        settings = {key: table.text(value) for key, value in run.settings.items()}
        trackio.init(
            project=project, name=run.name, config=settings, embed=False, auto_log_gpu=False, auto_log_cpu=False
        )
        for step, metrics in sorted(_steps(run, trackio.Image).items()):
            trackio.log(metrics, step=step)
        trackio.finish()
    print(f"look with  trackio show --project {project}")


def _steps(run: Run, picture: type) -> dict[int, dict[str, object]]:
    """What a run logged, by step."""
    found: dict[int, dict[str, object]] = defaultdict(dict)
    for metric, points in run.series.items():
        for step, value in points:
            found[step][metric] = value
    for name, pictures in run.previews.items():
        for step, path in pictures.items():
            found[step][f"preview/{name}"] = picture(images.read(path))
    return found

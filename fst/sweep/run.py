"""A multirun from command line to summary; each job (`fst.sweep.job`) leaves what became of it in its folder.

A job that fails is reported in a line and the next one starts. Ctrl-C lets the running ones stop as a run does and
starts no more. The summary at the end is made from the folders, so that it does not matter which process, or which
machine of a cluster, a job ran on.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from types import FrameType

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from fst.config import groups
from fst.runfolder import read_jobs
from fst.sweep import summary
from fst.sweep.job import Sweep, as_job, reason
from fst.system import cores

SAME_DEFINITION = {f"loss.{key}" for key in ("style_weight", "content_weight", "tv_weight")}


def sweep_of(hydra: DictConfig, overrides: list[str]) -> Sweep:
    """The multirun that a command line's overrides and Hydra's part of their config describe."""
    params = [f"{key}={value}" for key, value in (hydra.sweeper.get("params") or {}).items()]
    swept, fixed = split([*params, *overrides])
    counts = [len(list(o.sweep_string_iterator())) if o.is_discrete_sweep() else 0 for o in swept.values()]
    objectives = 0
    if "optuna" in hydra.sweeper._target_:
        direction = hydra.sweeper.direction
        objectives = len(direction) if OmegaConf.is_list(direction) else 1
    at_once = hydra.launcher.n_jobs if "joblib" in hydra.launcher._target_ else 1
    return Sweep(
        folder=Path(hydra.sweep.dir),
        fixed=frozenset(fixed),
        reference=objectives > 0 or any(redefines(key) for key in swept),
        parallel=at_once if at_once > 0 else max(1, cores() + 1 + at_once),  # joblib: -1 is all cores, -2 all but one
        objectives=objectives,
        total=None if objectives else math.prod(counts),
        started=datetime.now().astimezone().isoformat(),
    )


def split(overrides: list[str]) -> tuple[dict[str, Override], dict[str, Override]]:
    """Overrides by key: those with several values, and those with one for all jobs."""
    parsed = {override.get_key_element(): override for override in OverridesParser.create().parse_overrides(overrides)}
    swept = {key: override for key, override in parsed.items() if override.is_sweep_override()}
    return swept, {key: override for key, override in parsed.items() if key not in swept}


def redefines(key: str) -> bool:
    """Whether losses of runs that differ in this setting cannot be compared."""
    return key == "loss" or (key.startswith("loss.") and key not in SAME_DEFINITION)


def run(task: Callable[..., dict[str, float]], start: Callable[[Callable], None], sweep: Sweep) -> None:
    """Run a multirun to its end and print its summary.

    Args:
        task: a composed config to metrics; `reference=True` asks for those that compare across definitions.
        start: hands Hydra the function that runs one job.
        sweep: of `sweep_of`.

    Raises:
        SystemExit: 130 when it was stopped, 1 when a job failed.
        UserError: nothing could be started.
    """
    # Processes that a launcher starts have to find fst where it is not installed.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(groups.ROOT), os.environ.get("PYTHONPATH")]))
    broken = stopped = False
    try:
        with _patient(sweep):
            start(as_job(task, sweep))
    except (KeyboardInterrupt, SystemExit):
        stopped = True
    except Exception as error:  # a launcher's: a process that was killed, a cluster that refused
        if not read_jobs(sweep.folder, sweep.started):
            raise
        broken = True
        print(f"error: the sweep ended early: {reason(error)}", file=sys.stderr)
    stopped |= sweep.stop_file.exists()
    sweep.stop_file.unlink(missing_ok=True)
    jobs = summary.finished(sweep, stopped=stopped)
    statuses = {job["status"] for job in jobs}
    if stopped or "stopped" in statuses:
        raise SystemExit(130)
    if broken or statuses - {"done"}:
        raise SystemExit(1)


@contextlib.contextmanager
def _patient(sweep: Sweep) -> Iterator[None]:
    """With parallel jobs, the first Ctrl-C waits for them: each got the signal too, and saves."""
    if sweep.parallel == 1 or sweep.objectives:
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def first(number: int, frame: FrameType | None) -> None:
        sweep.stop_file.touch()
        signal.signal(signal.SIGINT, before)
        print("\nno more jobs; those that run stop after their step; once more to stop at once", flush=True)

    signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

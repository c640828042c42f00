"""A multirun: jobs that share a process or a machine, kept apart; each leaves what became of it in its folder.

A job that fails is reported in a line and the next one starts. Ctrl-C lets the running ones stop as a run does and
starts no more. The summary at the end is made from the folders, so that it does not matter which process, or which
machine of a cluster, a job ran on.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from fst import groups, summary
from fst.errors import UserError
from fst.outcome import read_jobs, write_job

REFERENCE_WEIGHT = 1e5  # of style, where a search wants one number
SAME_DEFINITION = {f"loss.{key}" for key in ("style_weight", "content_weight", "tv_weight", "style_warmup_steps")}


@dataclass(frozen=True)
class Sweep:
    """What every job of a multirun knows of it. `parallel` jobs run at a time on this machine."""

    folder: Path
    fixed: frozenset[str]  # keys with one value for all jobs
    reference: bool  # measure each network by the same definition of the losses
    parallel: int = 1
    objectives: int = 0  # values that the sweeper wants of a job
    total: int | None = None
    started: str = ""

    @property
    def stop_file(self) -> Path:
        return self.folder / ".stop"


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


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def as_job(task: Callable[..., dict[str, float]], sweep: Sweep) -> Callable[[DictConfig], Any]:
    """What Hydra calls for each job, in whatever process: the task, kept apart from the others and recorded."""

    @functools.wraps(task)
    def job(config: DictConfig) -> float | list[float] | None:
        return _job(task, config, sweep)

    return job


def _job(task: Callable[..., dict[str, float]], config: DictConfig, sweep: Sweep) -> float | list[float] | None:
    from hydra.core.hydra_config import HydraConfig

    hydra = HydraConfig.get()
    folder, number = Path(hydra.runtime.output_dir), hydra.job.num
    changed = [str(o) for o in hydra.overrides.task if o.partition("=")[0] not in sweep.fixed]
    facts = {"sweep": sweep.started, "job": number, "overrides": changed, "folder": str(folder)}
    if sweep.stop_file.exists():
        return None
    write_job(folder, {**facts, "status": "running"})
    began = time.perf_counter()
    _announce(number, changed, folder, sweep)
    try:
        with _own_output(folder, sweep):
            _fit_in(config, number, changed, sweep)
            metrics = task(config, reference=sweep.reference)
        ended: dict[str, Any] = {"status": "done", "metrics": metrics}
        return objective(metrics, sweep.objectives)
    except (KeyboardInterrupt, SystemExit):
        ended = {"status": "stopped"}
        if sweep.parallel == 1 or sweep.objectives:
            raise
        sweep.stop_file.touch()  # Ctrl-C reaches all running jobs; a raised error would end those that still save
        return None
    except Exception as error:
        ended = {"status": "failed", "reason": reason(error)}
        more = ""
        if not isinstance(error, UserError):  # a mistake of the code's
            (folder / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")
            more = f"   ({summary.shown(folder / 'traceback.txt')})"
        print(f"job {number} failed: {ended['reason']}{more}", file=sys.stderr, flush=True)
        return None
    finally:
        write_job(folder, {**facts, **ended, "seconds": round(time.perf_counter() - began, 1)})
        if sweep.parallel > 1 and ended["status"] == "done":
            print(f"job {number} done", flush=True)
        _clean_up()


def objective(metrics: dict[str, float], count: int) -> float | list[float] | None:
    """What a search minimises: content and style loss by the reference definition, or their sum at fixed weights.

    The weighted loss of training does not do: a search over weights would find the smallest weight. The reference is
    the same for all jobs (`fst.methods.reference`); of a Gatys run, which has none, the last losses are taken.

    Args:
        metrics: a job's.
        count: 2 for (content, style), 1 for content + 1e5·style, 0 for nothing.

    Raises:
        UserError: more than two objectives were asked for, or the metrics are not there.
    """
    if not count:
        return None
    for prefix in ("reference", "train"):
        if f"{prefix}/style_loss" in metrics:
            values = [metrics[f"{prefix}/{name}_loss"] for name in ("content", "style")]
            break
    else:
        raise UserError("the job has no losses to compare: did it train at least trainer.log_every steps?")
    if count > 2:
        raise UserError("hydra.sweeper.direction has one or two entries: [minimize,minimize] is content and style loss")
    return values if count == 2 else values[0] + REFERENCE_WEIGHT * values[1]


def readable(override: str) -> str:
    """An override for people: "loss.style_weight=100000.0" is "style_weight=100000"."""
    key, _, value = override.partition("=")
    return f"{key.rpartition('.')[2]}={summary.number(value)}"


def reason(error: BaseException) -> str:
    """An error in one line."""
    lines = str(error).strip().splitlines() or [""]
    return lines[0] if isinstance(error, UserError) else f"{type(error).__name__}: {lines[0]}".rstrip(": ")


def _announce(number: int, changed: list[str], folder: Path, sweep: Sweep) -> None:
    of = f" of {sweep.total}" if sweep.total else ""
    log = f"   ({summary.shown(folder / 'output.txt')})" if sweep.parallel > 1 else ""
    print(f"job {number}{of}: {' '.join(map(readable, changed))}{log}", flush=True)


def _fit_in(config: DictConfig, number: int, changed: list[str], sweep: Sweep) -> None:
    """Name a job's run, and give it its share of the machine."""
    name = " ".join(map(readable, changed)) or None
    own = config.logger.run_name
    config.logger.run_name = f"{own} {name}" if own and name else own or name
    config.logger.group = config.logger.group or sweep.folder.name
    if sweep.parallel > 1 and config.data.workers is None:
        config.data.workers = max(1, min(8, cores() // (2 * sweep.parallel)))
    if config.trainer.devices in ("auto", 1) and config.trainer.accelerator in ("auto", "gpu", "cuda"):
        import torch

        gpus = torch.cuda.device_count()
        if gpus > 1:  # one a job: on all of them Lightning would start the command line, the sweep, once a GPU
            config.trainer.devices = [number % gpus if sweep.parallel > 1 else 0]


@contextlib.contextmanager
def _own_output(folder: Path, sweep: Sweep) -> Iterator[None]:
    """Parallel jobs write into output.txt each: on one screen their lines would mix."""
    if sweep.parallel == 1:
        yield
        return
    with (
        (folder / "output.txt").open("w", encoding="utf-8", buffering=1) as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        yield


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


def _clean_up() -> None:
    """What one job would leave to the next in this process: an open W&B run, compiled code, memory."""
    wandb, torch = sys.modules.get("wandb"), sys.modules.get("torch")
    if wandb is not None and wandb.run is not None:
        wandb.finish(exit_code=1)
    if torch is not None and "torch._dynamo" in sys.modules:
        torch._dynamo.reset()
    gc.collect()
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()

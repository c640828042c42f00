"""A multirun from its jobs to its summary; each job (`fst.sweep.job`) leaves what became of it in its folder.

A job that fails is reported in a line and the next one starts. Ctrl-C lets the running ones stop as a run does and
starts no more. The summary at the end is made from the folders, so that it does not matter which process, or which
machine of a cluster, a job ran on, nor in how many starts. A job that is done is passed over when its sweep goes on.
"""

import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from fst.config import groups
from fst.config.commandline import quoted
from fst.config.compose import PRIMARY
from fst.errors import UserError
from fst.files import read_json, shown
from fst.runfolder import JOB
from fst.sweep import summary
from fst.sweep.job import DONE, Job, Sweep, reason
from fst.system import cores


@dataclass(frozen=True)
class Planned:
    """A job that is to run: its overrides and its run folder."""

    overrides: list[str]
    folder: Path

    @property
    def done(self) -> bool:
        return read_json(self.folder / JOB).get("status") == DONE


def split(overrides: list[str]) -> tuple[dict[str, Override], dict[str, Override]]:
    """Overrides by key: those with several values, and those with one for all jobs."""
    parsed = {override.get_key_element(): override for override in _parser().parse_overrides(overrides)}
    swept = {key: override for key, override in parsed.items() if override.is_sweep_override()}
    return swept, {key: override for key, override in parsed.items() if key not in swept}


def combinations(overrides: list[str]) -> list[list[str]]:
    """The overrides of each job of a grid, as Hydra's own sweeper combines them."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    parsed = _parser().parse_overrides(overrides)
    for override in parsed:
        if override.is_interval_sweep():
            given = override.input_line
            raise UserError(f"'{given}' has no end of values: list some, as 1e4,1e5, or search with experiment=search")
    return BasicSweeper.split_arguments(parsed, max_batch_size=None)[0]


def samples(overrides: list[str]) -> list[list[str]]:
    """Overrides of jobs that show each value once, at least one; keys whose values a sampler draws are left out."""
    swept, fixed = split(overrides)
    discrete = {key: override for key, override in swept.items() if override.is_discrete_sweep()}
    words = [[f"{key}={value}" for value in found.sweep_string_iterator()] for key, found in discrete.items()]
    plain = [override.input_line for override in fixed.values()]
    for override, own in zip(discrete.values(), words, strict=True):
        if not own:
            raise UserError(f"'{override.input_line}' matches no choice")
    count = max(map(len, words), default=1)
    return [[*plain, *(own[min(number, len(own) - 1)] for own in words)] for number in range(count)]


def _parser() -> OverridesParser:
    """Hydra's, which finds the choices of a glob in the composed config's place."""
    from hydra.core.global_hydra import GlobalHydra

    started = GlobalHydra.instance().is_initialized()
    return OverridesParser.create(config_loader=GlobalHydra.instance().config_loader() if started else None)


def redefines(key: str) -> bool:
    """Whether losses of runs that differ in this setting cannot be compared."""
    return key == "loss" or (key.startswith("loss.") and not key.endswith("_weight"))


def at_once(hydra: DictConfig) -> int:
    """Jobs that a launcher runs at a time on this machine."""
    count = hydra.launcher.n_jobs if "joblib" in hydra.launcher._target_ else 1
    return count if count > 0 else max(1, cores() + 1 + count)  # joblib: -1 is all cores, -2 all but one


def grid(jobs: list[Planned], hydra_overrides: list[str]) -> Callable[[Job], None]:
    """What starts the jobs that are not done, by Hydra's launcher: one after another, in parallel or on a cluster."""
    from hydra.core.plugins import Plugins

    def start(job: Job) -> None:
        if waiting := [_in_folder(planned) for planned in jobs if not planned.done]:
            config, context = _master(hydra_overrides)
            launcher = Plugins.instance().instantiate_launcher(hydra_context=context, task_function=job, config=config)
            launcher.launch(waiting, initial_job_idx=0)

    return start


def search(overrides: list[str], first: int) -> Callable[[Job], None]:
    """What starts a search, by Hydra's sweeper; its jobs are numbered from `first` on."""
    from hydra.core.plugins import Plugins

    def start(job: Job) -> None:
        config, context = _master(overrides)
        sweeper = Plugins.instance().instantiate_sweeper(config=config, hydra_context=context, task_function=job)
        sweeper.sweeper.job_idx = first
        sweeper.sweep(arguments=OmegaConf.to_container(config.hydra.overrides.task, resolve=False))

    return start


def run(task: Callable[..., dict[str, float]], start: Callable[[Job], None], sweep: Sweep) -> None:
    """Run a multirun to its end, by `start` of `grid` or `search`, and print its summary.

    `task` takes a composed config to metrics; `reference=True` asks it for those that compare across definitions.

    Raises:
        SystemExit: 130 when it was stopped, 1 when a job failed.
        UserError: nothing could be started.
    """
    # Processes that a launcher starts have to find fst where it is not installed.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(groups.ROOT), os.environ.get("PYTHONPATH")]))
    broken = stopped = False
    sweep.stop_file.unlink(missing_ok=True)  # of a start that was stopped, and then killed
    earlier = {job["job"] for job in summary.read(sweep)} if sweep.objectives else set()  # trials of other starts
    try:
        with _patient(sweep):
            start(Job(task, sweep))
    except (KeyboardInterrupt, SystemExit):
        stopped = True
    except Exception as error:  # a launcher's: a process that was killed, a cluster that refused
        if isinstance(error, UserError):
            raise
        if not summary.read(sweep):
            raise UserError(f"no job could be started: {reason(error)}") from None
        broken = True
        print(f"error: the sweep ended early: {reason(error)}", file=sys.stderr)
    stopped |= sweep.stop_file.exists()
    for left in (sweep.stop_file, *sweep.folder.glob(".gpu*")):  # marks of jobs for each other
        left.unlink(missing_ok=True)
    statuses = {job["status"] for job in summary.finished(sweep, stopped=stopped) if job["job"] not in earlier}
    if stopped:
        if not sweep.objectives:  # a search goes on by its own command
            print(f"go on with:  python train.py resume={shlex.quote(shown(sweep.folder))}")
        raise SystemExit(130)
    if broken or statuses - {DONE}:
        raise SystemExit(1)


def _master(overrides: list[str]) -> tuple[DictConfig, Any]:
    """Hydra's own part of a multirun's config, and the context in which its plugins work."""
    from hydra._internal.callbacks import Callbacks
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import HydraContext, RunMode

    hydra = GlobalHydra.instance().hydra
    config = hydra.compose_config(
        config_name=PRIMARY, overrides=overrides, run_mode=RunMode.MULTIRUN, with_log_configuration=True
    )
    return config, HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(config))


def _in_folder(job: Planned) -> list[str]:
    place, name = (quoted(str(part)) for part in (job.folder.parent, job.folder.name))
    return [*job.overrides, f"hydra.sweep.dir={place}", f"hydra.sweep.subdir={name}"]


@contextlib.contextmanager
def _patient(sweep: Sweep) -> Iterator[None]:
    """With parallel jobs, the first Ctrl-C waits for them: each got the signal too, and saves."""
    before = signal.getsignal(signal.SIGINT)

    def first(number: int, frame: FrameType | None) -> None:
        sweep.stop_file.touch()
        signal.signal(signal.SIGINT, before)
        print("\nno more jobs; those that run stop after their step; once more to stop at once", flush=True)

    if sweep.parallel > 1 and not sweep.objectives:
        signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

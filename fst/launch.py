"""From the command line of train.py to one job or many, through Hydra."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from fst.config import commandline, groups, replay
from fst.config.commandline import quoted
from fst.config.compose import PRIMARY, composed, mistakes, register
from fst.config.schema import check, short_name
from fst.errors import UserError, one_line_errors
from fst.files import expanded, new_folder, number, read_json, shown, write_json
from fst.methods.method import build
from fst.runfolder import CHECKPOINT, CONFIG, STYLE, held
from fst.sweep import arms, search, summary
from fst.sweep import run as sweeps
from fst.sweep.job import Sweep, readable

COMMAND = "sweep.json"  # in a sweep's folder: the overrides that it was started with


def launch(task: Callable[..., Any], arguments: list[str]) -> None:
    """Hand the command line to Hydra: one job, or many with `-m`. `task` receives each job's composed config.

    Every job's config is composed and checked before the first one starts or makes a folder. With `resume=` or
    `rerun=` the earlier run's settings stand before those given; `resume=SWEEP` goes on with a sweep.

    Raises:
        UserError: an unknown key or choice, an invalid value, or an earlier run that does not fit.
        SystemExit: 1 when the task of a single run raises UserError, after printing it; as `fst.sweep.run.run`.
    """
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    options, overrides = commandline.arranged(arguments)
    register()
    if (sweep := _sweep_to_go_on(overrides)) is not None:
        options.multirun, overrides = True, sweep
    if options.multirun and replay.given(overrides, "resume"):
        raise UserError("resume= goes on in one run's folder: leave out -m, or start anew with rerun=")
    overrides = replay.located(overrides)
    earlier = replay.earlier(overrides)
    with mistakes(overrides), initialize_config_dir(str(groups.CONF), PRIMARY, version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        if options.multirun:
            _many(task, overrides, earlier)
            return
        given, overrides = overrides, _of_one_run(overrides, earlier)
        if options.cfg:
            hydra.show_cfg(PRIMARY, overrides, options.cfg, None)
            return
        config, own = checked(overrides)
        if own.sweeper.get("params"):
            raise UserError("this is a sweep: add -m to run it")
        folder = _run_folder(overrides, Path(own.run.dir), config)
        say_unused(given, config)
        overrides = [*overrides, f"hydra.run.dir={quoted(str(folder))}"]

        def alone(config: DictConfig) -> None:
            with _no_empty_folder(folder), one_line_errors():  # Hydra would print a line of its own before an exception
                task(config)

        hydra.run(PRIMARY, alone, overrides)


def checked(overrides: list[str]) -> tuple[DictConfig, DictConfig]:
    """The config of one run, checked, and Hydra's own part of it; the first mistake is a UserError."""
    config = composed(overrides, with_hydra=True)
    hydra = config.hydra
    with mistakes(overrides), open_dict(config):
        del config["hydra"]
        typed = check(config)
    build(typed.method).check(typed)
    if config.resume:
        replay.check_fit(config)
    return config, hydra


def say_unused(overrides: list[str], config: DictConfig) -> None:
    """A line for each setting among overrides that changes nothing with the config's method."""
    unused = build(config.method).unused()
    for key in dict.fromkeys(override.partition("=")[0] for override in overrides):
        if any(f"{key}.".startswith(f"{one}.") for one in unused):
            print(f"{key} changes nothing with method={config.method.name}", file=sys.stderr)


def folder_name(config: DictConfig) -> str:
    """What a run's folder is called after its time or number: the style and its weight, as gogh_1e5."""
    return f"{short_name(config.style)}_{number(config.loss.style_weight)}"


def _run_folder(overrides: list[str], planned: Path, config: DictConfig) -> Path:
    """Where a single run writes: the folder that it goes on in, one that is given, or a new one.

    A given one that holds another run is a UserError: what is trained anew would take its place.
    """
    given = any(override.startswith("hydra.run.dir=") for override in overrides)
    if config.resume:
        earlier = Path(config.resume).resolve()
        if given and planned.resolve() != earlier:
            raise UserError(f"resume={config.resume} goes on in its own folder: leave out hydra.run.dir")
        return earlier
    if "hydra.run.dir=" in overrides:
        raise UserError("hydra.run.dir= is empty: name a folder, or leave it out")
    if given and planned.is_file():
        raise UserError(f"hydra.run.dir={planned} is a file: name a folder")
    if given and any((planned / name).is_file() for name in (CHECKPOINT, STYLE)):
        raise UserError(f"{planned} holds a run: go on with it by resume={planned}, or name another hydra.run.dir")
    return planned if given else new_folder(planned.with_name(f"{planned.name}_{folder_name(config)}"))


@contextlib.contextmanager
def _no_empty_folder(folder: Path) -> Iterator[None]:
    """A run that is refused before it wrote anything leaves no folder with Hydra's record alone."""
    try:
        yield
    except BaseException:
        if folder.is_dir() and {file.name for file in folder.iterdir()} == {".hydra"}:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _of_one_run(overrides: list[str], earlier: list[str]) -> list[str]:
    """The overrides of a single run: what an earlier run brings, or an arm."""
    if earlier or not any(override.startswith("arm=") for override in overrides):
        return [*earlier, *overrides]
    found, rest = arms.chosen(overrides)
    if len(found) != 1:
        raise UserError("arm= names several arms: add -m to run each")
    return [*found[0].arguments, *rest]


def _many(task: Callable[..., Any], overrides: list[str], earlier: list[str]) -> None:
    """A multirun: a search, or the jobs of a grid and of a study's arms."""
    found, rest = arms.chosen(overrides)
    rest = [*earlier, *rest]
    base = [*found[0].arguments, *rest] if found else rest
    samples = sweeps.samples(base)
    config, hydra = checked(samples[0])
    own = {f"{key}={value}": key for key, value in (hydra.sweeper.get("params") or {}).items()}
    swept = frozenset([*sweeps.split(base)[0], *own.values(), *(["arm"] if found else [])])
    if not found and "method" not in swept:
        say_unused(overrides, config)
    of_arms = {override.partition("=")[0] for arm in found for override in arm.overrides}
    reference = any(sweeps.redefines(key) for key in {*swept, *of_arms})
    sweep = Sweep(_folder(overrides, hydra, found), swept, reference, parallel=sweeps.at_once(hydra))
    in_folder = f"hydra.sweep.dir={quoted(str(sweep.folder))}"
    if "basic_sweeper" not in hydra.sweeper._target_:
        if not swept:
            raise UserError(
                "a search wants values to search, as 'loss.style_weight=interval(1e4,1e6)', or see README, Sweep"
            )
        for one in samples:
            _as_job(checked(one)[0])
        direction = hydra.sweeper.direction
        count = len(direction) if OmegaConf.is_list(direction) else 1
        sweep = Sweep(sweep.folder, swept, reference=True, parallel=sweep.parallel, objectives=count)
        with held(sweep.folder):
            first = 1 + max((job["job"] for job in summary.read(sweep)), default=0)
            given = [*earlier, *overrides, in_folder, *search.go_on(hydra, overrides, earlier)]
            sweeps.run(task, sweeps.search(given, first), sweep)
        return
    jobs = _grid(found, [*own, *rest], sweep)
    folders = tuple(os.path.abspath(job.folder) for job in jobs)  # noqa: PTH100  as Hydra names them
    sweep = Sweep(sweep.folder, swept, reference, sweep.parallel, jobs=folders)
    for_all = [*(override for override in overrides if override.startswith("hydra")), in_folder]
    with held(sweep.folder):
        for place, job in enumerate(jobs, 1):
            if job.done:
                print(f"job {place} of {len(jobs)} is done: {shown(job.folder)}")
        write_json(sweep.folder / COMMAND, {"overrides": overrides})
        sweeps.run(task, sweeps.grid(jobs, for_all), sweep)


def _grid(found: list[arms.Arm], overrides: list[str], sweep: Sweep) -> list[sweeps.Planned]:
    """Each job of a grid, its config checked, in its folder; one that has begun there goes on."""
    swept = sweeps.split(overrides)[0]
    jobs: list[sweeps.Planned] = []
    for arm in found or [None]:
        for combination in sweeps.combinations(overrides):
            own = [*arm.arguments, *combination] if arm else combination
            config, _ = checked(own)
            _as_job(config)
            changed = [override for override in combination if override.partition("=")[0] in swept]
            if arm:
                name = "_".join([arm.key, *map(readable, changed)])
                folder = sweep.folder / re.sub(r"[/\\]", "_", name)  # of a file that is swept over
            else:
                folder = sweep.folder / f"{len(jobs) + 1}_{folder_name(config)}"
            jobs.append(_planned(own, folder, config))
    return jobs


def _planned(overrides: list[str], folder: Path, config: DictConfig) -> sweeps.Planned:
    """A job to run in a folder, where it may have begun or ended before; with other settings, that is a UserError."""
    if (folder / CONFIG).is_file():
        if (difference := replay.difference(folder, config)) is not None:
            raise UserError(f"{folder} was trained with {difference}: move it away to train it anew")
        if (folder / CHECKPOINT).is_file():
            resume = [f"resume={quoted(str(folder))}"]
            overrides = [*replay.earlier(resume), *resume]
    return sweeps.Planned(overrides, folder)


def _as_job(config: DictConfig) -> None:
    """Raise UserError if a config cannot be a job of a multirun."""
    if not OmegaConf.to_object(config.trainer).one_process:
        raise UserError("a multirun's jobs share one process, which ddp would multiply: run them one by one")


def _folder(overrides: list[str], hydra: DictConfig, found: list[arms.Arm]) -> Path:
    """Where a multirun's summary and its jobs lie."""
    if not any(override.startswith("hydra.sweep.dir=") for override in overrides):
        if found:
            return arms.RUNS / next(o.partition("=")[2] for o in overrides if o.startswith("experiment="))
        if "optuna" in hydra.sweeper._target_:  # all trials of a study, of whichever start
            return Path("runs", f"{hydra.sweeper.study_name}_search")
    return Path(hydra.sweep.dir)


def _sweep_to_go_on(overrides: list[str]) -> list[str] | None:
    """The overrides of the sweep whose folder `resume=` names; None where it names none.

    More than where and how its jobs run may not be given: a UserError.
    """
    if (named := replay.given(overrides, "resume")) is None:
        return None
    folder = expanded(named)
    if not (saved := read_json(folder / COMMAND).get("overrides")):
        return None
    more = [override for override in overrides if not override.startswith(("resume=", "hydra"))]
    if more:
        raise UserError(f"resume={folder} goes on with a sweep as it was: leave out {more[0]}")
    placed = [override for override in saved if not override.startswith("hydra.sweep.dir=")]
    hydras = [override for override in overrides if override.startswith("hydra")]
    return [*placed, *hydras, f"hydra.sweep.dir={quoted(str(folder))}"]

"""From the command line of train.py to one job or many, through Hydra."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from fst.config import commandline, groups, replay
from fst.config.checks import check
from fst.config.compose import PRIMARY, composed, mistakes, register
from fst.errors import UserError, one_line_errors
from fst.methods.method import build
from fst.sweep import run as sweep_run
from fst.sweep import search


def launch(task: Callable[..., Any], arguments: list[str]) -> None:
    """Hand the command line to Hydra: one job, or many with `-m`. `task` receives each job's composed config.

    Every job's config is composed and checked before the first one starts or makes a folder. With `resume=` or
    `rerun=` the earlier run's config takes the place of conf/train.yaml.

    Raises:
        UserError: an unknown key or choice, an invalid value, or an earlier run that does not fit.
        SystemExit: 1 when the task of a single run raises UserError, after printing it; as `fst.sweep.run.run`.
    """
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    options, overrides = commandline.arranged(arguments)
    register()
    earlier = None if options.shell_completion else replay.find(overrides)
    primary = PRIMARY
    if earlier is not None:
        primary, overrides = earlier.primary, [*earlier.overrides, *overrides]
    runs = not (options.cfg or options.info or options.shell_completion)
    hydras = check_jobs(overrides, multirun=options.multirun, earlier=earlier) if runs else None

    def alone(config: DictConfig) -> None:
        with one_line_errors():  # Hydra would print a line of its own before an exception
            task(config)

    with mistakes(overrides), initialize_config_dir(version_base="1.3", config_dir=str(groups.CONF), job_name=PRIMARY):
        hydra = GlobalHydra.instance().hydra
        if not runs:
            _show(hydra, options, primary, overrides)
        elif not options.multirun:
            hydra.run(primary, alone, overrides)
        else:
            sweep = sweep_run.sweep_of(hydras, overrides)
            overrides += [f"hydra.sweep.dir={commandline.quoted(str(sweep.folder))}", *search.go_on(hydras, overrides)]
            sweep_run.run(task, lambda job: hydra.multirun(primary, job, overrides), sweep)


def _show(hydra: Any, options: argparse.Namespace, primary: str, overrides: list[str]) -> None:
    """What one looks at instead of running: Hydra's --cfg, --info and shell completion."""
    if options.cfg:
        hydra.show_cfg(primary, overrides, options.cfg, options.package, options.resolve)
    elif options.info:
        hydra.show_info(options.info, primary, overrides)
    else:
        hydra.shell_completion(primary, overrides)


def check_jobs(overrides: list[str], *, multirun: bool, earlier: replay.Replay | None = None) -> DictConfig:
    """Compose and check what is going to run.

    Returns:
        Hydra's own part of the config.

    Raises:
        UserError: the first mistake.
    """
    hydras: DictConfig | None = None
    for job in jobs(overrides) if multirun else [overrides]:
        config = composed(job, primary=earlier.primary if earlier else PRIMARY, with_hydra=True)
        hydras = hydras or config.hydra
        with mistakes(job), open_dict(config):
            del config["hydra"]
            typed = check(config)
        build(typed.method).check(typed)
        if earlier is not None:
            earlier.check_fit(config)
        if multirun and (config.trainer.strategy != "auto" or not _one_device(config.trainer.devices)):
            raise UserError("a multirun's jobs share one process, which ddp would multiply: run them one by one")
        if multirun and config.resume is not None:
            raise UserError("resume= goes on in one run's folder: leave out -m, or start anew with rerun=")
        if hydras.sweeper.get("params") and not multirun:
            raise UserError("this is a sweep: add -m to run it")
    assert hydras is not None
    return hydras


def _one_device(devices: Any) -> bool:
    return len(devices) == 1 if OmegaConf.is_list(devices) else str(devices) in ("auto", "1")


def jobs(overrides: list[str]) -> list[list[str]]:
    """Overrides of as many jobs as it takes to see each value of a multirun once.

    Values that only a sweeper knows (intervals, globs) are left out.

    Raises:
        UserError: an override that Hydra cannot read.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    with mistakes(overrides):
        parsed = OverridesParser.create().parse_overrides(overrides)
    values = []
    for override in parsed:
        if not override.is_sweep_override():
            values.append([override.input_line])
        elif override.is_discrete_sweep():
            with contextlib.suppress(HydraException):  # a glob
                values.append([f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()])
    count = max((len(found) for found in values), default=1)
    return [[found[min(index, len(found) - 1)] for found in values] for index in range(count)]

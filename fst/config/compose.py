"""From command line to checked config: Hydra composes, schemas type it, mistakes end in one line with the near keys."""

from __future__ import annotations

import contextlib
import difflib
import functools
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fst.config import commandline, groups, launchers, replay, schema
from fst.config.checks import check
from fst.config.resume import earlier_overrides
from fst.config.messages import wrong_value
from fst.errors import UserError, near, one_line_errors
from fst.sweep import run as sweep_run
from fst.sweep import search


def compose(name: str, arguments: list[str]) -> DictConfig:
    """The config of a program ("train") after the command line's `key=value` arguments, typed.

    Raises:
        UserError: an unknown key or choice, or a value of the wrong type: one line with the near ones.
    """
    return _composed(name, commandline.arranged(arguments)[1])


def run_hydra(task: Callable[..., Any], name: str, arguments: list[str]) -> None:
    """Hand the command line to Hydra: one job, or many with `-m`. `task` receives each job's composed config.

    Every job's config is composed and checked before the first one starts or makes a folder. With `resume=` or
    `rerun=` the settings of the earlier run come first.

    Raises:
        UserError: as `compose`, or an invalid value.
        SystemExit: 1 when the task of a single run raises UserError, after printing it; as `fst.sweep.run.run`.
    """
    import hydra

    options, given = commandline.arranged(arguments)
    register()
    overrides = [
        *earlier_overrides(arguments),
        *replay.overrides(arguments, given, functools.partial(_composed, name)),
        *given,
    ]
    multirun = "--multirun" in options
    if options in ([], ["--multirun"]):
        hydras = check_jobs(name, overrides, multirun=multirun)
        if multirun:
            with mistakes(name):
                sweep = sweep_run.sweep_of(hydras, overrides)
            overrides += [f"hydra.sweep.dir={commandline.quoted(str(sweep.folder))}", *search.go_on(hydras, overrides)]
    typed, sys.argv = sys.argv, [sys.argv[0], *options, *overrides]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come to us as exceptions instead of being printed by Hydra

    @functools.wraps(task)
    def alone(config: DictConfig) -> None:
        sys.argv = typed  # with ddp, Lightning starts the other processes with it
        with one_line_errors():  # Hydra would print a line of its own before an exception
            task(config)

    def start(job: Callable[[DictConfig], Any]) -> None:
        with mistakes(name):
            hydra.main(version_base="1.3", config_path=str(groups.CONF), config_name=name)(job)()

    if options == ["--multirun"]:
        sweep_run.run(task, start, sweep)
    else:
        start(alone)


def check_jobs(name: str, overrides: list[str], *, multirun: bool) -> DictConfig:
    """Compose and check what is going to run.

    Returns:
        Hydra's own part of the config.

    Raises:
        UserError: the first mistake.
    """
    hydras: DictConfig | None = None
    for job in jobs(name, overrides) if multirun else [overrides]:
        with mistakes(name):
            config = _composed(name, job, with_hydra=True)
            check(config)
        hydras = hydras or config.hydra
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


def jobs(name: str, overrides: list[str]) -> list[list[str]]:
    """Overrides of as many jobs as it takes to see each value of a multirun once.

    Values that only a sweeper knows (intervals, globs) are left out.

    Raises:
        UserError: an override that Hydra cannot read.
    """
    with mistakes(name):
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


@functools.cache
def register() -> None:
    """Put the schemas, and the experiments' configs, where Hydra finds them."""
    launchers.register()
    store = ConfigStore.instance()
    store.store(name="train_schema", node=schema.TrainConfig)
    for group, nodes in schema.GROUP_SCHEMAS.items():
        for name, node in nodes.items():
            store.store(group=group, name=f"{name}_schema", node=node)
    for name, file in groups.files("experiments").items():
        store.store(group="experiments", name=name, node=OmegaConf.load(file), package="_global_")


def _composed(name: str, overrides: list[str], *, with_hydra: bool = False) -> DictConfig:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    register()
    with mistakes(name), initialize_config_dir(version_base="1.3", config_dir=str(groups.CONF)):
        return hydra_compose(config_name=name, overrides=overrides, return_hydra_config=with_hydra)


@contextlib.contextmanager
def mistakes(name: str) -> Iterator[None]:
    """Turn what Hydra and OmegaConf say of a mistake into one line, with the near keys or choices."""
    try:
        yield
    except MissingConfigException as error:
        raise UserError(_missing_choice(error)) from None
    except OverrideParseException as error:
        hint = "brackets or quotes unbalanced? put text with special characters in quotes"
        raise UserError(f"cannot read '{error.override}' as key=value ({hint})") from None
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_one_line(error, name)) from None


def _missing_choice(error: MissingConfigException) -> str:
    group, _, choice = str(error.missing_cfg_file).rpartition("/")
    if group.startswith("hydra/") and choice in launchers.CHOICES:
        return f"{group}={choice} is not installed: uv sync --extra sweep, or see README, Sweep"
    options = [option for option in error.options or [] if not option.endswith("_schema")]
    return f"no {group} is called '{choice}'{near(choice, options)}" if group else str(error).splitlines()[0]


def _one_line(error: Exception, name: str) -> str:
    text, cause = str(error), str(error.__cause__ or "")
    if found := re.match(r"Ambiguous value for argument '(.*)'|Sweep parameters '(.*)' requires", text):
        return f"'{found[1] or found[2]}' has several values: add -m to run each, or write one list, as key=[a,b]"
    unknown = re.search(r"Could not override '([^']+)'|Key '([^']+)' is not in struct|Key '([^']+)' not in '", text)
    if unknown and (not cause or "not in" in cause):
        given = re.search(r"override ([\w.@/+]+)=|Could not override '([^']+)'", text)
        word = next(filter(None, given.groups())) if given else next(filter(None, unknown.groups()))
        return f"there is no setting '{word}'{near_keys(word, name)}"
    full_key = re.search(r"full_key: (\S+)", f"{cause}\n{text}")
    if full_key:
        return wrong_value(full_key[1], cause or text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(line for line in lines if not line.startswith("See https"))


def near_keys(word: str, name: str) -> str:
    """The settings that resemble a mistyped one, by whole path or by last part."""
    known = known_keys(name)
    if word in known:
        return f" with this choice of {word.partition('.')[0]}"
    last = word.rpartition(".")[2]
    same = [key for key in known if key.rpartition(".")[2] == last]
    if same:
        return near(same[0], same)
    close = near(word, known)
    by_last = {key.rpartition(".")[2]: key for key in reversed(known)}
    found = difflib.get_close_matches(last, by_last, n=1, cutoff=0.7)
    if "." not in word and found:
        return near(by_last[found[0]], [by_last[found[0]]])
    return close if close.startswith(",") else f"; `python {name}.py --cfg job` lists the settings"


@functools.cache
def known_keys(name: str) -> list[str]:
    """Every setting of the default config, and the groups."""
    return list(dict.fromkeys([*keys(_composed(name, [])), *groups.groups()]))


def keys(config: DictConfig, prefix: str = "") -> list[str]:
    """Every key of a config as a dotted path, groups included."""
    found = []
    for key in config:
        found.append(f"{prefix}{key}")
        if OmegaConf.is_dict(node := config._get_node(key)) and not node._is_none() and not node._is_missing():
            found += keys(node, f"{prefix}{key}.")
    return found

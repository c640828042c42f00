"""`rerun=RUN_DIR`: an earlier run once more, from what its folder says of it, in a folder of its own.

config.yaml has every setting, so defaults that have changed since do not matter; what was chosen by `auto` is pinned to
what it became then. The same commit, packages, machine and threads give the same losses to the last bit; `differences`
says what is not the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fst.config import groups
from fst.config.commandline import FILE_KEYS, LISTS_OF_FILES, quoted
from fst.errors import UserError

KEY = "rerun"
FILES = ("config.yaml", "run.json")
NOT_REPEATED = {KEY, "resume", "resolved"}
NAMES = {"logger.group", "logger.run_name"}  # they told the earlier run from others
RESOLVED = {"precision": "trainer.precision", "compile": "compile", "data": "data.name"}
CHOICES = ("style", "method", "network", "data", "logger")  # groups whose choice config.yaml holds as `name`


def overrides(arguments: list[str], given: list[str], compose: Callable[[list[str]], DictConfig]) -> list[str]:
    """The command line of the run that `rerun=` among the arguments names, as far as it is not given anew.

    Args:
        arguments: as the shell passed them.
        given: the overrides among them as `commandline.arranged` makes them.
        compose: overrides to config.

    Raises:
        UserError: no run folder, a damaged one, or a setting that no longer exists.
    """
    run = dict(argument.partition("=")[::2] for argument in arguments).get(KEY, "null")
    if run in ("", "null"):
        return []
    values = dict(override.partition("=")[::2] for override in given)
    if values.get("resume", "null") not in ("", "null"):
        raise UserError("rerun= starts a run anew and resume= goes on with one: give one of them")
    if values.get("experiments", "null") != "null":
        raise UserError("rerun= takes every setting from the earlier run, so experiments= has no say: leave it out")
    folder = Path(run).expanduser()
    saved, facts = _saved(folder)
    chosen = [f"{group}={choice}" for group, choice in _choices(saved).items() if group not in values]
    anew = [override for override in given if override.partition("=")[0] in groups.groups()]
    base = compose([*chosen, *[override for override in anew if "," not in override]])
    settings = [
        f"{key}={_in_hydras_grammar(_as_then(key, value, facts))}"
        for key, value in _settings(saved)
        if key not in values and not _chosen_anew(key, values) and _value(base, key, folder) != value
    ]
    return [*chosen, *settings]


def differences(folder: str | Path, now: dict[str, Any]) -> list[str]:
    """What is not as it was in the earlier run, one line each: commit, packages, machine.

    Args:
        folder: the earlier run's.
        now: `fst.tracking.run_metadata()`.
    """
    then = _saved(Path(folder).expanduser())[1]
    changed = [
        f"{name} was {before}, is {after}"
        for name, before, after in _compared(then, now)
        if before != after and before is not None
    ]
    if (then.get("git") or {}).get("dirty"):
        changed.append(f"the earlier run had changes on top of its commit; {folder}/changes.patch has them")
    if (now.get("git") or {}).get("dirty"):
        changed.append("the checkout has uncommitted changes")
    return changed


def _compared(then: dict[str, Any], now: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    def of(facts: dict[str, Any], key: str) -> dict[str, Any]:
        return facts.get(key) or {}

    commits = [of(facts, "git").get("commit") for facts in (then, now)]
    yield "commit", *(commit and commit[:10] for commit in commits)
    yield "python", then.get("python"), now.get("python")
    for name, before in of(then, "packages").items():
        yield name, before, of(now, "packages").get(name)
    yield "processor", of(then, "cpu").get("model"), of(now, "cpu").get("model")
    yield "number of threads", then.get("threads"), now.get("threads")
    gpus = [", ".join(gpu["name"] for gpu in facts.get("gpus") or []) or "none" for facts in (then, now)]
    yield "GPU", *gpus


def _saved(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """config.yaml and run.json of a run folder."""
    if not folder.is_dir() or not all((folder / name).is_file() for name in FILES):
        raise UserError(f"rerun={folder} is no run folder: one holds {' and '.join(FILES)}")
    found = []
    for name, read in {
        "config.yaml": lambda path: OmegaConf.to_container(OmegaConf.load(path)),
        "run.json": _json,
    }.items():
        try:
            found.append(read(folder / name))
        except Exception as error:  # YAML's and JSON's errors have many types, and an odd file OmegaConf's own
            raise UserError(f"{folder / name} is damaged: {str(error).splitlines()[0]}") from None
        if not isinstance(found[-1], dict) or not found[-1]:
            raise UserError(f"{folder / name} is damaged: it holds no settings")
    return _pinned(found[0], folder), found[1]


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _pinned(saved: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The config with what each `auto` became in its place."""
    try:
        for name, key in RESOLVED.items():
            value = (saved.get("resolved") or {}).get(name)
            section, _, last = key.rpartition(".")
            if value is not None and (not section or section in saved):
                (saved[section] if section else saved)[last] = value
        _choices(saved)
    except (AttributeError, KeyError, TypeError):
        raise UserError(f"{folder / 'config.yaml'} is damaged: it is no config of a run") from None
    return saved


def _choices(saved: dict[str, Any]) -> dict[str, str]:
    named = {group: saved[group]["name"] for group in CHOICES if saved.get(group) is not None}
    if named["style"] not in groups.files("style"):
        named["style"] = "custom"
    for group in ("method", "network", "data", "logger"):
        if group in named and named[group] not in groups.files(group):
            raise UserError(f"the earlier run had {group}={named[group]}, which no longer exists")
    return named


def _settings(saved: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each setting as (dotted key, value), but for the names that a choice brings."""
    for group, content in saved.items():
        if group in NOT_REPEATED:
            continue
        for key, value in content.items() if isinstance(content, dict) else [("", content)]:
            if (key != "name" or group == "style") and f"{group}.{key}" not in NAMES:
                yield f"{group}.{key}".rstrip("."), value


def _chosen_anew(key: str, values: dict[str, str]) -> bool:
    """Whether a setting comes with a choice that is given anew: all of a painting, method or network, else what the
    choice's file sets."""
    group, _, last = key.partition(".")
    if group not in values or group not in groups.groups():
        return False
    files = [groups.files(group).get(choice) for choice in values[group].split(",")]
    return group in ("style", "method", "network") or any(file and last in OmegaConf.load(file) for file in files)


def _value(config: DictConfig, key: str, folder: Path) -> Any:
    group, _, last = key.rpartition(".")
    node = (OmegaConf.select(config, group) or {}) if group else config
    if last not in node:
        raise UserError(
            f"{folder} was run with the setting {key}, which no longer exists: check out the commit in its run.json"
        )
    value = "???" if OmegaConf.is_missing(node, last) else node[last]
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def _as_then(key: str, value: Any, facts: dict[str, Any]) -> Any:
    """A relative file name seen from the folder where the run was started."""
    if isinstance(value, list) and key in LISTS_OF_FILES:
        return [_from_then(file, facts) for file in value]
    return _from_then(value, facts) if key in FILE_KEYS else value


def _from_then(file: Any, facts: dict[str, Any]) -> Any:
    if not isinstance(file, str) or file.startswith("~") or Path(file).is_absolute():
        return file
    there = Path(facts.get("folder") or ".", file)
    return str(there) if there.exists() else file  # a word such as method.init=noise, or a file that is gone


def _in_hydras_grammar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return f"[{','.join(_in_hydras_grammar(part) for part in value)}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{quoted(str(k))}:{_in_hydras_grammar(part)}" for k, part in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else repr(value)

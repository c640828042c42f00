"""`rerun=RUN` and `resume=RUN`: the config that an earlier run saved, with what is given now on top.

The saved config has every setting, so defaults that have changed since do not matter, and what each `auto` became is in
its place: a run that is repeated or goes on computes what it computed then. It becomes the primary config, in place of
conf/train.yaml, and Hydra merges the command line into it. `resume` also has the run's folder and its checkpoint, and
refuses settings that the checkpoint does not fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fst.config import groups
from fst.config.commandline import FILE_KEYS, LISTS_OF_FILES, quoted
from fst.config.compose import PRIMARY, composed, keys
from fst.config.schema import AUTO
from fst.errors import UserError
from fst.files import read_json
from fst.runfolder import CHECKPOINT, CONFIG, RUN, circumstances, read_config

RUNS = Path("runs")
OF_THE_RUN_ITSELF = ("rerun", "resume")
NAMES = ("logger.group", "logger.run_name")  # they tell a run from others, so a rerun does not have them
# Settings that say how a run is watched or where its files lie, not what it learns.
UNLEARNT = ("arm", "compile", "content", "logger", "rerun", "resume", "data.download", "data.root", "data.workers")
UNLEARNT += ("data.val_images", "trainer.accelerator", "trainer.checkpoint_every_n_steps", "trainer.devices")
UNLEARNT += ("trainer.log_every_n_steps", "trainer.num_nodes", "trainer.strategy", "trainer.val_check_interval")
CHOICES = ("style", "method", "network", "data", "logger")  # groups whose choice the saved config holds as `name`
WHOLE = ("style", "method", "network")  # a choice of these that is given now leaves nothing of the earlier one
# What a checkpoint is made of: another value would not fit the network or the image in it, or the optimiser's state,
# which has the rates that it began with, would win.
OF_METHOD = ("name", "schedule", "optimizer", "learning_rate", "muon_learning_rate", "history", "size")
OF_METHOD += ("coarsest", "colors")


@dataclass(frozen=True)
class Replay:
    """An earlier run to go on from: the primary config made of it, and Hydra's overrides that it takes."""

    folder: Path
    saved: DictConfig
    resume: bool
    primary: str
    overrides: list[str]

    def check_fit(self, config: DictConfig) -> None:
        """Raise UserError if the checkpoint does not fit the config, before anything in the run's folder is touched."""
        saved = {group: self.saved.get(group) or () for group in ("method", "network")}
        fixed = [f"method.{key}" for key in OF_METHOD if key in saved["method"]]
        fixed += [f"network.{key}" for key in saved["network"]]
        for key in fixed if self.resume else ():
            before, now = OmegaConf.select(self.saved, key), OmegaConf.select(config, key)
            if before != now:
                said = key.removesuffix(".name")
                raise UserError(
                    f"the checkpoint in {self.folder} was made with {said}={before} and does not fit {said}={now}: "
                    f"leave {said} out, or begin anew with rerun={self.folder}"
                )


def find(overrides: list[str]) -> Replay | None:
    """The earlier run that `resume=` or `rerun=` among overrides names, made ready for Hydra.

    One that is not there, is damaged, has no checkpoint or a setting that no longer exists is a UserError.
    """
    wanted = {key: given(overrides, key) for key in ("resume", "rerun")}
    if not any(wanted.values()):
        return None
    if all(wanted.values()):
        raise UserError("rerun= starts a run anew and resume= goes on with one: give one of them")
    if given(overrides, "experiment"):
        raise UserError("the earlier run has every setting, so experiment= has no part in it: leave it out")
    if wanted["resume"]:
        return _replay(_with_checkpoint(wanted["resume"]), overrides, resume=True)
    return _replay(Path(wanted["rerun"] or "").expanduser(), overrides, resume=False)


def difference(folder: Path, wanted: DictConfig) -> str | None:
    """The first setting with which the run in a folder learnt something else than a config says, or None.

    Settings that are newer than the run are no difference, nor is `auto`, for which a run saves what it became.
    """
    saved = _pinned(*_read(folder), folder)
    for key in keys(wanted):
        now, then = OmegaConf.select(wanted, key), OmegaConf.select(saved, key, default=AUTO)
        if OmegaConf.is_dict(now) or AUTO in (now, then) or any(f"{key}.".startswith(f"{u}.") for u in UNLEARNT):
            continue
        if key in FILE_KEYS and now and then:
            now, then = (str(Path(name).expanduser().resolve()) for name in (now, then))
        if now != then and not (key == "style.image" and now is None):  # a swatch stood in
            return f"{key}={then} instead of {now}"
    return None


def differences(folder: str | Path, now: dict[str, Any]) -> list[str]:
    """What is not as it was in the run of a folder, one line each, by `fst.tracking.run_metadata()`."""
    facts = _read(Path(folder).expanduser())[1]
    then, here = circumstances(facts), circumstances(now)
    was_changed, is_changed = then.pop("changes"), here.pop("changes")
    changed = [f"{key} was {was}, is {here.get(key)}" for key, was in then.items() if was not in (None, here.get(key))]
    if was_changed:
        changed.append(f"the earlier run had changes on top of its commit; {folder}/changes.patch has them")
    if is_changed:
        changed.append("the checkout has uncommitted changes")
    return changed


def given(overrides: list[str], key: str) -> str | None:
    """The value of a key among overrides, without the quotes that `commandline` puts; None of none."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    words = [override for override in overrides if override.partition("=")[0] == key]
    if not words:
        return None
    override = OverridesParser.create().parse_override(words[-1])
    if override.is_sweep_override():
        raise UserError(f"{key}= takes one run: repeat several one by one")
    value = override.value()
    return OmegaConf.create({"value": value}).value or None


def _with_checkpoint(wanted: str) -> Path:
    """The run folder that `resume=last|RUN|CHECKPOINT` means."""
    path = Path(wanted).expanduser()
    if wanted == "last":
        found = sorted(RUNS.rglob(str(CHECKPOINT)), key=lambda file: file.stat().st_mtime)
        if not found:
            raise UserError(f"resume=last finds no checkpoint under {RUNS.resolve()}; give the run folder instead")
        return found[-1].parents[1]
    if path.is_file():
        path = path.resolve().parents[1]
    elif not path.is_dir():
        raise UserError(f"resume={wanted}: there is no such run folder or checkpoint")
    if not (path / CHECKPOINT).is_file():
        raise UserError(f"{path} holds no checkpoint to go on from ({CHECKPOINT})")
    return path


def _replay(folder: Path, overrides: list[str], *, resume: bool) -> Replay:
    """Register the saved config as a primary config of Hydra's."""
    from hydra.core.config_store import ConfigStore

    saved, facts = _read(folder)
    pinned = _pinned(saved, facts, folder)
    if not resume:
        for name in NAMES:
            OmegaConf.update(pinned, name, None)
    primary = f"replay of {folder.resolve()}".replace("/", "|")  # Hydra takes a slash for a group
    base = OmegaConf.load(groups.CONF / f"{PRIMARY}.yaml")
    defaults = [_as_saved(entry, pinned) for entry in base.pop("defaults")]

    def put(settings: DictConfig) -> None:
        node = OmegaConf.merge({"defaults": defaults}, base, settings)
        ConfigStore.instance().store(name=primary, node=node)

    put(pinned)
    try:
        composed([], primary=primary)
    except UserError as error:
        raise UserError(
            f"{folder / CONFIG} does not fit this version of fst: {error} (run.json has the commit of then)"
        ) from None
    put(_without_chosen_anew(pinned, overrides))
    own_folder = [f"hydra.run.dir={quoted(str(folder.resolve()))}"] if resume else []
    return Replay(folder, pinned, resume, primary, own_folder)


def _read(folder: Path) -> tuple[DictConfig, dict[str, Any]]:
    """config.yaml and run.json of a run folder."""
    if not folder.is_dir() or not all((folder / name).is_file() for name in (CONFIG, RUN)):
        raise UserError(f"{folder} is no run folder: one holds {CONFIG} and {RUN}")
    if not (facts := read_json(folder / RUN)):
        raise UserError(f"{folder / RUN} is damaged: it is no record of a run")
    return read_config(folder), facts


def _pinned(saved: DictConfig, facts: dict[str, Any], folder: Path) -> DictConfig:
    """The saved settings, with what each `auto` became, and files as seen from here."""
    config = OmegaConf.create({key: value for key, value in saved.items() if key not in OF_THE_RUN_ITSELF})
    try:
        for key in (*FILE_KEYS, *LISTS_OF_FILES):
            if (value := OmegaConf.select(config, key)) is not None:
                OmegaConf.update(config, key, _from_then(value, facts))
        for group in CHOICES:
            if config.get(group) is not None and not config[group].name:
                raise TypeError
    except Exception:  # settings where there should be groups, and the other way round
        raise UserError(f"{folder / CONFIG} is damaged: it is no config of a run") from None
    return config


def _from_then(value: Any, facts: dict[str, Any]) -> Any:
    """Relative file names seen from the folder where the run was started."""
    if OmegaConf.is_list(value):
        return [_from_then(file, facts) for file in value]
    if not isinstance(value, str) or value.startswith("~") or Path(value).is_absolute():
        return value
    there = Path(facts.get("folder") or ".", value)
    return str(there) if there.exists() else value  # a word such as method.init=noise, or a file that is gone


def _as_saved(entry: Any, saved: DictConfig) -> Any:
    """An entry of the defaults list, with the choice that the saved config was made with."""
    if not OmegaConf.is_dict(entry):
        return entry
    [(group, choice)] = entry.items()
    if group in CHOICES and saved.get(group) is not None:
        name = saved[group].name
        if name not in groups.choices(group):
            if group != "style":
                raise UserError(f"the earlier run had {group}={name}, which no longer exists")
            name = "custom"
        choice = name
    return {group: choice}


def _without_chosen_anew(saved: DictConfig, overrides: list[str]) -> DictConfig:
    """The saved settings, but for those that come with a choice that is given now."""
    kept = saved.copy()
    for override in overrides:
        group, _, values = override.partition("=")
        if group not in groups.groups() or group not in kept:
            continue
        files = [groups.files(group).get(choice) for choice in values.split(",")]
        if group in WHOLE or not all(files):
            kept.pop(group)
            continue
        for key in {key for file in files for key in OmegaConf.load(file)}:
            kept[group].pop(key, None)
    return kept

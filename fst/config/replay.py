"""`rerun=RUN` and `resume=RUN`: the settings that an earlier run saved, as overrides before those that are given now.

The saved config has every setting, so defaults that have changed since do not matter, and what each `auto` became is in
its place: a run that is repeated or goes on computes what it computed then. `resume` also has the run's folder and its
checkpoint, and refuses settings that the checkpoint does not fit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fst.config import groups
from fst.config.commandline import FILE_KEYS, LISTS_OF_FILES, quoted
from fst.config.compose import composed
from fst.config.schema import AUTO, choices
from fst.config.signatures import registered
from fst.errors import UserError
from fst.files import expanded, read_json
from fst.runfolder import CHECKPOINT, CONFIG, JOB, RUN, circumstances, read_config
from fst.values import leaves

RUNS = Path("runs")
OF_THE_RUN_ITSELF = ("rerun", "resume")
NAMES = ("logger.group", "logger.run_name")  # they tell a run from others, so a rerun does not have them
# Settings that say how a run is watched or where its files lie, not what it learns.
UNLEARNT = ("arm", "compile", "content", "logger", "rerun", "resume", "data.download", "data.root", "data.workers")
UNLEARNT += ("data.val_images", "trainer.accelerator", "trainer.checkpoint_every_n_steps", "trainer.devices")
UNLEARNT += ("trainer.log_every_n_steps", "trainer.num_nodes", "trainer.strategy", "trainer.val_check_interval")
BASELINE = "gatys"  # the method that learns nothing of photos but one, content=PHOTO
CHOICES = ("style", "method", "network", "data", "logger")  # groups whose choice the saved config holds as `name`
WHOLE = ("style", "method", "network")  # a choice of these that is given now leaves nothing of the earlier one


def earlier(overrides: list[str]) -> list[str]:
    """The settings of the run that `resume=` or `rerun=` among overrides names, to stand before these; none of none.

    What the overrides choose anew is left out. A run that is not there, is damaged or has a setting that no longer
    exists is a UserError.
    """
    resume, rerun = (given(overrides, key) for key in ("resume", "rerun"))
    if not resume and not rerun:
        return []
    if given(overrides, "experiment"):
        raise UserError("the earlier run has every setting, so experiment= has no part in it: leave it out")
    folder = expanded(resume or rerun)
    saved = _settings(folder) | (dict.fromkeys(NAMES) if rerun else {})
    words = _choices(saved) | {key: _written(value) for key, value in saved.items()}
    try:
        composed([f"{key}={word}" for key, word in words.items()])
    except UserError as error:
        raise UserError(
            f"{folder / CONFIG} does not fit this version of fst: {error} (run.json has the commit of then)"
        ) from None
    anew = _chosen_anew(overrides, list(words))
    return [f"{key}={word}" for key, word in words.items() if key not in anew]


def located(overrides: list[str]) -> list[str]:
    """Overrides with the run folder in place of `resume=last|RUN|CHECKPOINT`; no checkpoint there is a UserError.

    `last` is looked up once: another run may save its checkpoint a moment later.
    """
    if not (named := given(overrides, "resume")):
        return overrides
    if given(overrides, "rerun"):
        raise UserError("rerun= starts a run anew and resume= goes on with one: give one of them")
    rest = [override for override in overrides if not override.startswith("resume=")]
    return [*rest, f"resume={quoted(str(_run_to_resume(named)))}"]


def _run_to_resume(named: str) -> Path:
    path = expanded(named)
    if named == "last":
        found = sorted(RUNS.rglob(str(CHECKPOINT)), key=lambda file: file.stat().st_mtime)
        if not found:
            raise UserError(f"resume=last finds no checkpoint under {RUNS.resolve()}; give the run folder instead")
        return found[-1].parents[1]
    if path.is_file():
        path = path.resolve().parents[1]
    elif not path.is_dir():
        raise UserError(f"resume={named}: there is no such run folder or checkpoint")
    if not (path / CHECKPOINT).is_file():
        jobs = "; its jobs are of a search, which goes on by its own command" if any(path.glob(f"*/{JOB}")) else ""
        raise UserError(f"{path} holds no checkpoint to go on from ({CHECKPOINT}){jobs}")
    return path


def check_fit(config: DictConfig) -> None:
    """Raise UserError if a config's `resume` has a checkpoint that it does not fit, before its folder is touched.

    Another network or image would not fit what is in it, and rates that the optimiser's state has would win over other
    ones: a network's settings stay, and a method's but for those that it names in `changeable`.
    """
    folder, now = Path(config.resume), _flat(config)
    free = {f"method.{name}" for name in choices("method")[config.method.name].attributes.get("changeable", ())}
    for key, before in _settings(folder).items():
        fixed = key.startswith(("network.", "method.")) and key not in free
        if fixed and now.get(key) != before:
            said = key.removesuffix(".name")
            raise UserError(
                f"the checkpoint in {folder} was made with {said}={before} and does not fit {said}={now.get(key)}: "
                f"leave {said} out, or begin anew with rerun={folder}"
            )


def difference(folder: Path, wanted: DictConfig) -> str | None:
    """The first setting with which the run in a folder learnt something else than a config says, or None.

    Settings that are newer than the run are no difference, but for a newer loss term's weight, which was 0; nor is
    `auto`, for which a run saves what it became.
    """
    saved = _settings(folder)
    for key, now in _flat(wanted).items():
        then = saved.get(key, AUTO)
        painted = key == "content" and wanted.method.name == BASELINE  # there it is what the run is about
        if AUTO in (now, then) or (not painted and any(f"{key}.".startswith(f"{u}.") for u in UNLEARNT)):
            continue
        if key in FILE_KEYS and now and then:
            now, then = (str(expanded(name).resolve()) for name in (now, then))
        if now != then and not (key == "style.image" and now is None):  # a swatch stood in
            return f"{key}={then} instead of {now}"
    return None


def differences(folder: str | Path, now: dict[str, Any]) -> list[str]:
    """What is not as it was in the run of a folder, one line each, by `fst.tracking.metadata.run_metadata()`."""
    facts = _read(expanded(folder))[1]
    then, here = circumstances(facts), circumstances(now)
    was_changed, is_changed = then.pop("changes"), here.pop("changes")
    changed = [f"{key} was {was}, is {here.get(key)}" for key, was in then.items() if was not in (None, here.get(key))]
    if was_changed:
        changed.append(f"the earlier run had changes on top of its commit; {folder}/changes.patch has them")
    if is_changed:
        changed.append("the checkout has uncommitted changes")
    return changed


def given(overrides: list[str], key: str) -> str | None:
    """The value of a key among overrides, without the quotes that `commandline` puts; None of none.

    An empty one, as of a shell's variable that is not set, is a UserError: it would begin another run without a word.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    words = [override for override in overrides if override.partition("=")[0] == key]
    if not words:
        return None
    override = OverridesParser.create().parse_override(words[-1])
    if override.is_sweep_override():
        raise UserError(f"{key}= takes one run: repeat several one by one")
    value = override.value()
    if value == "":
        raise UserError(f"{key}= is empty: name a run, or leave it out")
    return OmegaConf.create({"value": value}).value or None


def _read(folder: Path) -> tuple[DictConfig, dict[str, Any]]:
    """config.yaml and run.json of a run folder."""
    if not folder.is_dir() or not all((folder / name).is_file() for name in (CONFIG, RUN)):
        raise UserError(f"{folder} is no run folder: one holds {CONFIG} and {RUN}")
    if not (facts := read_json(folder / RUN)):
        raise UserError(f"{folder / RUN} is damaged: it is no record of a run")
    return read_config(folder), facts


def _settings(folder: Path) -> dict[str, Any]:
    """The saved settings by dotted key, with what each `auto` became, and files as seen from here.

    Loss terms that are newer than the run have the weight 0: it was not computed with them, whatever their default is.
    """
    config, facts = _read(folder)
    try:
        found = {key: value for key, value in _flat(config).items() if key not in OF_THE_RUN_ITSELF}
        for key in found.keys() & {*FILE_KEYS, *LISTS_OF_FILES}:
            found[key] = _from_then(found[key], facts)
        if any(group in config and not config[group].name for group in CHOICES):
            raise TypeError
    except Exception:  # settings where there should be groups, and the other way round
        raise UserError(f"{folder / CONFIG} is damaged: it is no config of a run") from None
    return {f"loss.{name}_weight": 0.0 for name in registered("losses/terms")} | found


def _flat(config: DictConfig) -> dict[str, Any]:
    return dict(leaves(OmegaConf.to_container(config, resolve=True)))


def _from_then(value: Any, facts: dict[str, Any]) -> Any:
    """Relative file names seen from the folder where the run was started."""
    if isinstance(value, list):
        return [_from_then(file, facts) for file in value]
    if not isinstance(value, str) or value.startswith("~") or Path(value).is_absolute():
        return value
    there = Path(facts.get("folder") or ".", value)
    return str(there) if there.exists() else value  # a word such as method.init=noise, or a file that is gone


def _choices(saved: dict[str, Any]) -> dict[str, str]:
    """The choice of each group with which the saved settings were made."""
    found = {group: saved[f"{group}.name"] for group in CHOICES if f"{group}.name" in saved}
    for group, name in found.items():
        if name not in groups.choices(group):
            if group != "style":
                raise UserError(f"the earlier run had {group}={name}, which no longer exists")
            found[group] = "custom"
    return found


def _written(value: Any) -> str:
    """A value in Hydra's grammar."""
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    return quoted(value) if isinstance(value, str) else "null" if value is None else str(value)


def _chosen_anew(overrides: list[str], earlier: list[str]) -> set[str]:
    """Which of the earlier run's keys overrides replace: those that are given, and those that come with a choice."""
    anew = set()
    for override in overrides:
        key, _, values = override.partition("=")
        files = [groups.files(key).get(choice) for choice in values.split(",")] if key in groups.groups() else []
        if key in WHOLE or not all(files):
            anew |= {own for own in earlier if own.startswith(f"{key}.")}
        anew |= {key, *(setting for file in files if file for setting in _of_choice(key, file))}
    return anew


def _of_choice(group: str, file: Path) -> set[str]:
    """The settings that a choice's file has, with those of choices that it makes itself, as method=adapt does."""
    text, content = file.read_text(encoding="utf-8"), OmegaConf.to_container(OmegaConf.load(file))
    if "@package _global_" not in text:
        return {f"{group}.{setting}" for setting in content}
    found = {key for key, _ in leaves(content) if key != "defaults"}
    for chosen in filter(lambda entry: isinstance(entry, dict), content.get("defaults", [])):
        for key, choice in chosen.items():  # as "override /loss": vgg16_small
            own = key.rpartition("/")[2]
            found |= _of_choice(own, groups.files(own)[choice])
    return found

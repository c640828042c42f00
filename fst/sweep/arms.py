"""The arms of a study: the runs that experiments/NAME/study.yaml names, each a job of `train.py -m experiment=NAME`."""

from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf

from fst.config import groups
from fst.config.commandline import ready, several
from fst.errors import UserError, near

RUNS = Path("runs", "studies")
FILE = "study.yaml"


@dataclass(frozen=True)
class Arm:
    """A run that differs from its study's config by overrides."""

    study: str  # in whose folder its run lies: another one for an arm with `same_as: STUDY/ARM`
    key: str  # its name there
    overrides: tuple[str, ...]  # in Hydra's grammar

    @property
    def arguments(self) -> list[str]:
        """What train.py is given to train it alone."""
        return [f"experiment={self.study}", f"arm={self.key}", *self.overrides]

    def folder(self, runs: Path = RUNS) -> Path:
        """Where its run lies."""
        return runs / self.study / self.key


def arms(study: str) -> dict[str, Arm]:
    """The arms of a study by name; none of an experiment without study.yaml. A mistake in it is a UserError."""
    path = groups.EXPERIMENTS / study / FILE
    if not path.is_file():
        return {}
    try:
        content = OmegaConf.to_container(OmegaConf.load(path))
        if "overrides" in content:
            raise KeyError("overrides of all arms belong in config.yaml")
        return {str(name): _arm(study, str(name), entry or {}) for name, entry in content["arms"].items()}
    except (AttributeError, KeyError, TypeError, ValueError, OSError) as error:  # YAML's own are ValueErrors
        raise UserError(f"{path} has no arms: {{NAME: {{overrides: [...]}}}} ({type(error).__name__})") from None


def chosen(overrides: list[str]) -> tuple[list[Arm], list[str]]:
    """(the arms that overrides name or, of `experiment=STUDY` alone, all; the overrides that go to each of them).

    No such arm, or `arm=` without a study, is a UserError.
    """
    given = dict(override.partition("=")[::2] for override in overrides)
    study, wanted = given.get("experiment", "null"), given.get("arm", "null")
    names = [] if wanted == "null" else [name.strip("'\"") for name in wanted.split(",")]
    known = arms(study)
    if names and not known:
        raise UserError(f"arm={wanted} goes with a study: experiment=NAME, one with a {FILE}")
    for name in names:
        if name not in known:
            raise UserError(f"{study} has no arm '{name}'{near(name, list(known))}")
    if not known:
        return [], overrides
    rest = [override for override in overrides if override.partition("=")[0] not in ("experiment", "arm")]
    return [known[name] for name in names or known], rest


def _arm(study: str, name: str, entry: dict) -> Arm:
    if same := entry.get("same_as"):
        other, _, key = same.partition("/")
        known = {} if other == study else arms(other)
        if key not in known:
            raise UserError(f"{study}: arm {name} is to be {same}, which {other} does not have{near(key, list(known))}")
        return known[key]
    overrides = entry.get("overrides") or []
    return Arm(study, name, tuple(ready(word) for override in overrides for word in several(override)))

"""A study, experiments/NAME/study.yaml, and its arms: runs that are each a job of `train.py -m experiment=NAME`."""

from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from fst.config import groups
from fst.config.commandline import ready, several
from fst.errors import UserError, near

RUNS = Path("runs", "studies")
FILE = "study.yaml"


@dataclass
class ArmEntry:
    """An arm: the overrides in which it differs from its entry's config.yaml."""

    overrides: list[str] = field(default_factory=list)
    against: str | None = None  # the arm its row is compared with; None: the study's reference


@dataclass
class JudgeEntry:
    """What is changed in the definition of the losses that every arm is judged by (`fst.evaluate.judge`)."""

    style_scales: list[float] = field(default_factory=lambda: [1.0])
    style_weight: float = 1e5


@dataclass
class FigureEntry:
    """figure.jpg: each photo by each arm."""

    photos: list[str] = field(default_factory=lambda: ["tubingen", "chicago", "golden_gate"])  # content/ of the store
    zoom: int | None = None  # a last row: so many pixels from the middle of the first photo, enlarged
    columns: int = 6


@dataclass
class PlotEntry:
    """A panel of plot.png for each y: a metric of results.json against another, or a setting as loss.style_weight.

    Where x is step, y are metrics of the runs as val/style_loss.
    """

    x: str = MISSING
    y: list[str] = MISSING


@dataclass
class Study:
    """The whole of study.yaml."""

    question: str = MISSING
    arms: dict[str, ArmEntry] = MISSING
    reference: str = MISSING
    judge: JudgeEntry = field(default_factory=JudgeEntry)
    # Of the table. Milliseconds in OpenVINO and equivalence to L-BFGS, which take long, are measured where named here.
    columns: list[str] = field(default_factory=lambda: ["style_ratio", "content_loss", "total", "seconds"])
    figure: FigureEntry = field(default_factory=FigureEntry)
    plots: list[PlotEntry] = field(default_factory=list)
    name: str = ""


@dataclass(frozen=True)
class Arm:
    """A run that differs from its study's config by overrides."""

    study: str
    key: str  # its name there
    overrides: tuple[str, ...]  # in Hydra's grammar

    @property
    def arguments(self) -> list[str]:
        """What train.py is given to train it alone."""
        return [f"experiment={self.study}", f"arm={self.key}", *self.overrides]

    def folder(self, runs: Path = RUNS) -> Path:
        """Where its run lies."""
        return runs / self.study / self.key


def names() -> list[str]:
    """Every entry of experiments/ that is a study."""
    return sorted(file.parent.name for file in groups.EXPERIMENTS.glob(f"*/{FILE}"))


def load(name: str) -> Study:
    """A study by the name of its folder; a UserError names a mistake in its file."""
    if name not in names():
        raise UserError(f"no study is called '{name}'{near(name, names())}")
    path = groups.EXPERIMENTS / name / FILE
    try:
        written = OmegaConf.to_container(OmegaConf.load(path))
        if isinstance(written, dict) and isinstance(written.get("arms"), dict):  # as `200: {}` and `base:`
            written["arms"] = {str(name): {} if arm is None else arm for name, arm in written["arms"].items()}
        study: Study = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Study), written))
    except YAMLError as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}") from None
    except (OmegaConfBaseException, ValueError) as error:
        raise UserError(f"{path}: {str(error).splitlines()[0]}") from None  # OmegaConf's others are internals
    for word in [study.reference, *(arm.against for arm in study.arms.values() if arm.against)]:
        if word not in study.arms:
            raise UserError(f"{path} names an arm '{word}' that it does not have{near(word, list(study.arms))}")
    study.name = name
    return study


def arms(study: str) -> dict[str, Arm]:
    """The arms of a study by name; none of an experiment without study.yaml. A mistake in it is a UserError."""
    if study not in names():
        return {}
    found = {}
    for name, entry in load(study).arms.items():
        words = [word for override in entry.overrides for word in several(override)]
        found[name] = Arm(study, name, tuple(map(ready, words)))
    return found


def chosen(overrides: list[str]) -> tuple[list[Arm], list[str]]:
    """(the arms that overrides name or, of `experiment=STUDY` alone, all; the overrides that go to each of them).

    No such arm, or `arm=` without a study, is a UserError.
    """
    given = dict(override.partition("=")[::2] for override in overrides)
    study, wanted = given.get("experiment", "null"), given.get("arm", "null")
    named = [] if wanted == "null" else [name.strip("'\"") for name in wanted.split(",")]
    known = arms(study)
    if named and not known:
        raise UserError(f"arm={wanted} goes with a study: experiment=NAME, one with a {FILE}")
    for name in named:
        if name not in known:
            raise UserError(f"{study} has no arm '{name}'{near(name, list(known))}")
    if not known:
        return [], overrides
    rest = [override for override in overrides if override.partition("=")[0] not in ("experiment", "arm")]
    return [known[name] for name in named or known], rest

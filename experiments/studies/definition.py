"""study.yaml of an entry in experiments/: the question, the arms, and what its answer shows."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fst.config import groups
from fst.config.compose import compose
from fst.config.schema import AUTO
from fst.errors import UserError, near

RUNS = Path("runs", "studies")
# Settings that say how a run is watched or where its files lie, not what it learns.
UNLEARNT = ("compile", "content", "data.download", "data.root", "data.workers", "data.val_images", "logger", "resume")
UNLEARNT += ("resolved", "trainer.accelerator", "trainer.devices", "trainer.val_check_interval")
UNLEARNT += ("trainer.checkpoint_every_n_steps", "trainer.log_every_n_steps", "trainer.num_nodes", "trainer.strategy")


@dataclass
class ArmEntry:
    """One arm: a run that differs from the study's config by `overrides`, or a run of another study."""

    overrides: list[str] = field(default_factory=list)
    same_as: str | None = None  # OTHER_STUDY/ARM: its run is used, or trained there
    against: str | None = None  # the arm its row is compared with; None: the study's reference
    as_long_as: str | None = None  # as many steps as this arm's seconds allow,
    at_the_rate_of: str | None = None  # at the seconds a step of this one


@dataclass
class FigureEntry:
    """figure.jpg: each photo by each arm."""

    photos: list[str] = field(default_factory=lambda: ["tubingen", "chicago", "golden_gate"])  # content/ of the store
    side: int = 384  # the short side of a photo as it is painted; its middle square is shown
    cell: int = 256  # pixels of a picture in the figure
    zoom: int | None = None  # a last row: so many pixels from the middle of the first photo, enlarged
    columns: int = 6


@dataclass
class PlotEntry:
    """A panel of plot.png for each y: a metric of results.json, or a setting as loss.style_weight, against another."""

    x: str = MISSING
    y: list[str] = MISSING
    log: str = ""  # x, y or xy


@dataclass
class GoalEntry:
    """`metric` of `arm` is to be at most `percent` above that of `against` (below it if negative)."""

    text: str = MISSING
    arm: str = MISSING
    against: str = MISSING
    percent: float = MISSING
    metric: str = "total"


@dataclass
class EquivalenceEntry:
    """How many iterations of L-BFGS each network is worth, on the first of the judged photos. Slow."""

    photos: int = 3
    iterations: int = 60


@dataclass
class StudyFile:
    """The whole of study.yaml."""

    question: str = MISSING
    arms: dict[str, ArmEntry] = MISSING
    reference: str = MISSING
    overrides: list[str] = field(default_factory=list)  # of every arm of this study
    # Every arm is judged by these losses, whatever it was trained with, on its style's own painting.
    judge: list[str] = field(default_factory=lambda: ["loss=vgg16_relu3", "loss.style_scales=[1,0.5]"])
    photos: int = 24
    columns: list[str] = field(default_factory=lambda: ["style_ratio", "content_loss", "total", "seconds"])
    figure: FigureEntry = field(default_factory=FigureEntry)
    plots: list[PlotEntry] = field(default_factory=list)
    curves: list[str] = field(default_factory=list)  # val/ metrics over steps, each a panel of plot.png
    goals: list[GoalEntry] = field(default_factory=list)
    speed: bool = False  # time each network in OpenVINO
    equivalence: EquivalenceEntry | None = None


@dataclass(frozen=True)
class Arm:
    """An arm as it is trained: `study` and `key` say where its run lies, `name` what this study calls it."""

    name: str
    study: str
    key: str
    overrides: tuple[str, ...]
    against: str | None = None
    as_long_as: str | None = None
    at_the_rate_of: str | None = None
    steps: int | None = None  # as many as its time allows, once that is known

    def arguments(self, more: tuple[str, ...] = ()) -> list[str]:
        """What train.py is given: experiment=STUDY and overrides, then `more`, those of a check of the whole."""
        steps = [] if self.steps is None else [f"trainer.max_steps={self.steps}"]
        return [f"experiment={self.study}", *self.overrides, *more, *steps]

    def folder(self, runs: Path = RUNS) -> Path:
        return runs / self.study / self.key


@dataclass(frozen=True)
class Study:
    """A study: its folder's name, its file, its arms by name."""

    name: str
    file: StudyFile
    arms: dict[str, Arm]

    @property
    def folder(self) -> Path:
        return groups.EXPERIMENTS / self.name

    def chosen(self, names: list[str]) -> list[Arm]:
        """The arms of these names; of none: all.

        Raises:
            UserError: no such arm.
        """
        for name in names:
            if name not in self.arms:
                raise UserError(f"{self.name} has no arm '{name}'{near(name, list(self.arms))}")
        return [self.arms[name] for name in names or self.arms]


def names() -> list[str]:
    """Every entry of experiments/ that has a study.yaml."""
    return sorted(file.parent.name for file in groups.EXPERIMENTS.glob("*/study.yaml"))


@functools.cache
def load(name: str) -> Study:
    """A study by the name of its folder, its arms of other studies resolved.

    Raises:
        UserError: no such study, or a mistake in its file.
    """
    if name not in names():
        raise UserError(f"no study is called '{name}'{near(name, names())}")
    path = groups.EXPERIMENTS / name / "study.yaml"
    try:
        file: StudyFile = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(StudyFile), OmegaConf.load(path)))
    except (OmegaConfBaseException, ValueError) as error:
        raise UserError(f"{path}: {str(error).splitlines()[0]}") from None
    arms = {arm: _arm(name, arm, entry, file) for arm, entry in file.arms.items()}
    mentioned = [file.reference, *(goal.arm for goal in file.goals), *(goal.against for goal in file.goals)]
    for arm in arms.values():
        mentioned += [word for word in (arm.against, arm.as_long_as, arm.at_the_rate_of) if word is not None]
        if (arm.as_long_as is None) != (arm.at_the_rate_of is None):
            raise UserError(f"{path}: {arm.name}: as_long_as and at_the_rate_of go together")
    for word in mentioned:
        if word not in arms:
            raise UserError(f"{path} names an arm '{word}' that it does not have{near(word, list(arms))}")
    return Study(name, file, arms)


def _arm(study: str, name: str, entry: ArmEntry, file: StudyFile) -> Arm:
    if entry.same_as is None:
        overrides = (*file.overrides, *entry.overrides)
        return Arm(name, study, name, overrides, entry.against, entry.as_long_as, entry.at_the_rate_of)
    other, _, key = entry.same_as.partition("/")
    arms = load(other).arms
    if key not in arms:
        raise UserError(f"{study}: {name} is to be {entry.same_as}, which {other} does not have{near(key, list(arms))}")
    owner = arms[key]
    return Arm(name, owner.study, owner.key, owner.overrides, entry.against)


def config_of(arm: Arm, more: tuple[str, ...] = ()) -> DictConfig:
    """An arm's config, as train.py composes it.

    Raises:
        UserError: a mistake in its overrides.
    """
    return compose(arm.arguments(more))


def judge_config(study: Study, style: str) -> DictConfig:
    """The config whose criterion judges every arm of a style: the study's, its `judge` overrides, the real painting."""
    return compose([f"experiment={study.name}", f"style={style}", *study.file.judge])


def differences(trained: DictConfig, wanted: DictConfig) -> list[str]:
    """What a run's config says otherwise than the arm's, as "network.depth=3 instead of 4".

    Settings that are newer than the run are no difference: it was trained before there was a choice. Nor is `auto`,
    for which a run writes down what it became.
    """
    before, after = _leaves(trained), {key: value for key, value in _leaves(wanted).items() if value != AUTO}
    return [
        f"{key}={before[key]} instead of {after[key]}"
        for key in after
        if key in before and before[key] != after[key] and not any(f"{key}.".startswith(f"{u}.") for u in UNLEARNT)
    ]


def _leaves(config: DictConfig, prefix: str = "") -> dict[str, Any]:
    plain = OmegaConf.to_container(config, resolve=True) if OmegaConf.is_config(config) else config
    found: dict[str, Any] = {}
    for key, value in plain.items():
        if isinstance(value, dict):
            found |= _leaves(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found

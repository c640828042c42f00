"""The typed schemas under the config groups: config keys are these names, and constructor arguments are the same ones.

Networks, methods and loss terms have no schema here: theirs are their constructors' signatures.
"""

import math
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf

from fst.config.signatures import Signature, registered
from fst.errors import UserError
from fst.files import expanded
from fst.losses.names import check_layers, check_weights, layer_names, smallest_side
from fst.values import above_zero, at_least, between, is_file, one_of

AUTO = "auto"
LARGEST_PAINTING, LARGEST_CROP = 4096, 2048  # pixels: beyond, the features fill the memory of any machine
DATA = ("auto", "coco", "folder", "imagenet_sample", "procedural")
LOGGERS = ("none", "tensorboard", "wandb")
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")


@dataclass
class StyleConfig:
    """A painting. `size` is its long edge in pixels as the loss sees it; strokes grow with it."""

    name: str = MISSING
    image: str | None = None  # a file of one's own; None: the store's, fetched from `address` if it is not there
    size: int = 512
    title: str | None = None
    artist: str | None = None
    year: int | None = None
    file: str | None = None  # its name in the store, under styles/
    address: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    licence: str | None = None
    paintings: str | None = None  # a folder, which a network's predictor learns from; None: the store's paintings/
    names: list[str] = field(default_factory=list)  # several in one network, as style=[gogh,FILE]: see config.several

    def __post_init__(self) -> None:
        if self.name != MISSING and self.image is None and self.file is None and not self.names:
            raise UserError(f"style={self.name} needs a picture: style.image=FILE")
        if self.names and self.image is not None:
            raise UserError("style.image is one painting: several are a list of names or files, style=[gogh,FILE]")
        is_file("style.image", self.image)
        between("style.size", self.size, 16, LARGEST_PAINTING)


def short_name(style: StyleConfig) -> str:
    """A style's name for files and folders: of a picture of one's own, its file's."""
    return Path(style.image).stem if style.name == "custom" and style.image else style.name


def _of_terms() -> type:
    """The settings of every loss term: NAME_weight, and its constructor's ARGUMENT as NAME_ARGUMENT."""
    fields: list[tuple] = []
    for name, term in registered("losses/terms").items():
        fields += [(f"{name}_weight", float, term.attributes.get("default_weight", 0.0)), *term.fields(f"{name}_")]
    return make_dataclass("TermsConfig", fields)


@dataclass
class LossConfig(_of_terms()):  # type: ignore[misc]
    """What "looks like" means: the loss network, and the terms of `fst/losses/terms` with their weights.

    Weights are defined as in README, "The numbers".
    """

    style_weight: Any = 1e5  # a number, or auto: from the energy of the painting's Gram matrices
    architecture: str = "vgg16"  # vgg16, vgg19 or vgg16_small
    weights: str = "IMAGENET1K_FEATURES"  # or IMAGENET1K_V1, BUNDLED (vgg16_small), or a file
    pooling: str = "max"

    def __post_init__(self) -> None:
        if self.style_weight != AUTO and (
            isinstance(self.style_weight, bool) or not isinstance(self.style_weight, int | float)
        ):
            raise UserError(f"loss.style_weight is '{self.style_weight}', but it must be a number, as 1e5, or auto")
        weights = {name: getattr(self, f"{name}_weight") for name in registered("losses/terms")}
        for name, weight in weights.items():
            if weight != AUTO:
                at_least(f"loss.{name}_weight", weight, 0)
        if not weights["content"] and not weights["style"]:
            raise UserError("loss.content_weight and loss.style_weight are both 0: nothing would be learnt")
        one_of("loss.pooling", self.pooling, ["max", "avg"])
        for key in ("content_layers", "style_layers", "style_scales"):
            values = getattr(self, key)
            if not values or len(set(values)) < len(values):
                raise UserError(f"loss.{key} is {values}, but it needs at least one entry, and each once")
        check_layers([*self.content_layers, *self.style_layers], self.architecture)
        check_weights(self.weights, self.architecture)
        if any(not 0 < scale <= 1 for scale in self.style_scales):
            raise UserError("loss.style_scales are fractions of the image's size, as [1, 0.5]")
        if self.style_layer_weights is not None:
            for weight in self.style_layer_weights:
                at_least("loss.style_layer_weights", weight, 0)
            if not any(self.style_layer_weights):
                raise UserError("loss.style_layer_weights are all 0: leave the style out by loss.style_weight=0")
            if len(self.style_layer_weights) != len(self.style_layers):
                raise UserError(
                    f"loss.style_layer_weights has {len(self.style_layer_weights)} numbers for "
                    f"{len(self.style_layers)} loss.style_layers; give one a layer"
                )

    def check_size(self, key: str, size: int) -> None:
        """Raise UserError for a picture of `size` pixels, of which the deepest layer would see nothing."""
        layers = [*self.content_layers, *self.style_layers]
        needed = math.ceil(max(smallest_side(self.style_layers) / min(self.style_scales), smallest_side(layers)))
        if size < needed:
            deepest = max(layers, key=layer_names(self.architecture).index)
            raise UserError(f"{key} is {size} pixels, but {deepest} needs at least {needed}")


@dataclass
class DataConfig:
    """Training photos and how they are cropped."""

    name: str = MISSING  # coco, imagenet_sample, folder, procedural or auto
    root: str | None = None  # folder of photos; None: the store's
    download: bool = False
    size: int = 176  # pixels: a crop of 160 and 8 more on every side, see method.margin
    batch_size: int = 1
    scale: list[float] = field(default_factory=lambda: [1.5, 1.8])  # short side before the crop, times size
    flip: bool = True
    workers: int | None = None  # None: from the number of cores
    val_images: int = 16

    def __post_init__(self) -> None:
        if self.name != MISSING:
            one_of("data.name", self.name, DATA)
        if self.name == "folder" and self.root is None:
            raise UserError("data=folder needs the folder of photos: data.root=DIR")
        if self.root is not None and not self.download and not expanded(self.root).is_dir():
            raise UserError(f"data.root: there is no folder {self.root}")
        between("data.size", self.size, 1, LARGEST_CROP)
        at_least("data.batch_size", self.batch_size, 1)
        between("data.val_images", self.val_images, 1, 1000, ": they are kept in memory")
        if self.workers is not None:
            at_least("data.workers", self.workers, 0)
        if len(self.scale) != 2 or not 1 <= self.scale[0] <= self.scale[1] < math.inf:
            raise UserError("data.scale is a range of short sides in crops, as [1.0, 1.5]: least first, at least 1")


@dataclass
class TrainerConfig:
    """Where and how long, by the names of Lightning's Trainer."""

    accelerator: str = "auto"
    devices: Any = "auto"  # auto, a number, or a list of numbers
    num_nodes: int = 1
    strategy: str = "auto"
    precision: str = AUTO
    max_steps: int = 6000
    val_check_interval: int = 500  # steps
    checkpoint_every_n_steps: int = 500
    log_every_n_steps: int = 10
    gradient_clip_val: float | None = 30.0  # largest 2-norm of a step's gradient, in which a flat photo's is huge
    deterministic: bool = False

    def __post_init__(self) -> None:
        for key in ("max_steps", "val_check_interval", "checkpoint_every_n_steps", "log_every_n_steps", "num_nodes"):
            at_least(f"trainer.{key}", getattr(self, key), 1)
        if self.gradient_clip_val is not None:
            above_zero("trainer.gradient_clip_val", self.gradient_clip_val)
        one_of("trainer.accelerator", self.accelerator, ("auto", "cpu", "gpu", "cuda", "mps"))
        one_of("trainer.strategy", self.strategy, ("auto", "ddp"))
        one_of("trainer.precision", self.precision, PRECISIONS)
        devices = self.devices
        counted = str(devices).isdecimal() and int(devices) > 0
        if devices not in ("auto", -1) and not counted and not (isinstance(devices, list) and devices):
            said = "write auto, a number of devices, or a list of them as [0,1]"
            raise UserError(f"trainer.devices is '{devices}'; {said}")

    @property
    def one_process(self) -> bool:
        """Whether the run is one process on one device."""
        one = len(self.devices) == 1 if isinstance(self.devices, list) else str(self.devices) in ("auto", "1")
        return one and self.strategy == "auto"


@dataclass
class LoggerConfig:
    """Where runs are tracked."""

    name: str = MISSING  # wandb, tensorboard or none
    mode: str = AUTO  # auto, online, offline or disabled
    project: str = "fst"
    entity: str | None = None
    run_name: str | None = None  # None: style and weights
    group: str | None = None
    tags: list[str] = field(default_factory=list)
    notes: str | None = None
    preview_images: list[str] = field(default_factory=list)  # photos to preview; empty: held-out ones
    preview_count: int = 4

    def __post_init__(self) -> None:
        if self.name != MISSING:
            one_of("logger.name", self.name, LOGGERS)
        one_of("logger.mode", self.mode, ("auto", "online", "offline", "disabled"))
        at_least("logger.preview_count", self.preview_count, 0)
        for n, photo in enumerate(self.preview_images):
            is_file(f"logger.preview_images[{n}]", photo)


@dataclass
class TrainConfig:
    """The whole of a training run."""

    style: StyleConfig = field(default_factory=StyleConfig)
    method: Any = None
    network: Any = None
    loss: LossConfig = field(default_factory=LossConfig)
    data: DataConfig = field(default_factory=DataConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    content: str | None = None
    arm: str | None = None  # of a study: experiment=NAME
    resume: str | None = None  # last, a run folder, its checkpoint, or a sweep's folder
    rerun: str | None = None  # the folder of a run to repeat
    compile: Any = AUTO  # auto, true or false
    seed: int = 0

    def __post_init__(self) -> None:
        one_of("compile", str(self.compile).lower(), ("auto", "true", "false"))
        is_file("content", self.content)
        if not 0 <= self.seed < 2**32:
            raise UserError(f"seed is {self.seed}, but it must lie between 0 and 4294967295")
        for key, size in {"style.size": self.style.size, "data.size": self.data.size}.items():
            self.loss.check_size(key, size)


def check(config: DictConfig) -> TrainConfig:
    """The config as typed objects, each of which has checked itself: a value that makes no sense is a UserError."""
    return OmegaConf.to_object(config)


# Groups whose choices are registered classes: each one's constructor is its schema, its docstring its help.
REGISTERED = {"method": "methods", "network": "networks"}


def choices(group: str) -> dict[str, Signature]:
    """The choices of a group of registered classes by name; none for a group of files."""
    return registered(REGISTERED[group]) if group in REGISTERED else {}

"""The typed schemas under the config groups: config keys are these names, and constructor arguments are the same ones.

`network` has no schema here: its settings are checked against the chosen network's constructor.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from fst.config.values import above_zero, at_least, is_count, is_file, one_of
from fst.errors import UserError

AUTO = "auto"
DATA = ("auto", "coco", "folder", "imagenet_sample", "procedural")
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")
RENAMED = {  # what settings were called before: for people's fingers, and for runs of then
    "experiments": "experiment",
    "method.gradient_clip": "trainer.gradient_clip_val",
    "method.start": "method.init_from",
    "trainer.checkpoint_every": "trainer.checkpoint_every_n_steps",
    "trainer.log_every": "trainer.log_every_n_steps",
    "trainer.val_every": "trainer.val_check_interval",
}


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

    def __post_init__(self) -> None:
        if self.name != MISSING and self.image is None and self.file is None:
            raise UserError(f"style={self.name} needs a picture: style.image=FILE")
        is_file("style.image", self.image)


@dataclass
class LossConfig:
    """What "looks like" means. Weights are defined as in README, "The numbers"."""

    architecture: str = "vgg16"  # vgg16, vgg19 or vgg16_small
    weights: str = "IMAGENET1K_FEATURES"  # or IMAGENET1K_V1, BUNDLED (vgg16_small), or a file
    pooling: str = "max"
    content_layers: list[str] = field(default_factory=lambda: ["relu2_2"])
    style_layers: list[str] = field(default_factory=lambda: ["relu1_2", "relu2_2", "relu3_3", "relu4_3"])
    style_layer_weights: list[float] | None = None  # one a style layer; None: 1 each
    style_scales: list[float] = field(default_factory=lambda: [1.0])
    content_weight: float = 1.0
    style_weight: Any = 1e5  # a number, or auto: from the size of the painting's Gram matrices
    tv_weight: float = 0.0


@dataclass
class DataConfig:
    """Training photos and how they are cropped."""

    name: str = MISSING  # coco, imagenet_sample, folder, procedural or auto
    root: str | None = None  # folder of photos; None: the store's
    download: bool = False
    size: int = 256
    batch_size: int = 4
    scale: list[float] = field(default_factory=lambda: [1.0, 1.5])  # short side before the crop, times size
    flip: bool = True
    workers: int | None = None  # None: from the number of cores
    val_images: int = 16

    def __post_init__(self) -> None:
        if self.name != MISSING:
            one_of("data", self.name, DATA)
        if self.name == "folder" and self.root is None:
            raise UserError("data=folder needs the folder of photos: data.root=DIR")
        if self.root is not None and not self.download and not Path(self.root).expanduser().is_dir():
            raise UserError(f"data.root: there is no folder {self.root}")
        at_least("data.batch_size", self.batch_size, 1)
        at_least("data.val_images", self.val_images, 1)
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
    max_steps: int = 40_000
    val_check_interval: int = 1000  # steps
    checkpoint_every_n_steps: int = 500
    log_every_n_steps: int = 10
    gradient_clip_val: float | None = None
    deterministic: bool = False

    def __post_init__(self) -> None:
        for key in ("max_steps", "val_check_interval", "checkpoint_every_n_steps", "log_every_n_steps", "num_nodes"):
            at_least(f"trainer.{key}", getattr(self, key), 1)
        if self.gradient_clip_val is not None:
            above_zero("trainer.gradient_clip_val", self.gradient_clip_val)
        one_of("trainer.accelerator", self.accelerator, ("auto", "cpu", "gpu", "cuda", "mps"))
        one_of("trainer.strategy", self.strategy, ("auto", "ddp", "ddp_spawn"))
        one_of("trainer.precision", self.precision, PRECISIONS)
        devices = self.devices
        if devices not in ("auto", -1) and not is_count(devices) and not (isinstance(devices, list) and devices):
            raise UserError(
                f"trainer.devices is '{devices}'; write auto, a number of devices, or a list of them as [0,1]"
            )


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
        one_of("logger.mode", self.mode, ("auto", "online", "offline", "disabled"))
        at_least("logger.preview_count", self.preview_count, 0)
        for n, photo in enumerate(self.preview_images):
            is_file(f"logger.preview_images[{n}]", photo)


@dataclass
class FeedForwardConfig:
    """A network learns a style."""

    name: str = "feedforward"
    learning_rate: float = 1e-3
    schedule: str = "constant"  # constant, cosine or onecycle
    init_from: str | None = None  # begin with the weights of this style (a bundled name, style file or run folder)

    def __post_init__(self) -> None:
        above_zero("method.learning_rate", self.learning_rate)
        one_of("method.schedule", self.schedule, ("constant", "cosine", "onecycle"))


@dataclass
class GatysConfig:
    """An image is optimised. `content` is the photo; `network` and `data` are not used."""

    name: str = "gatys"
    optimizer: str = "lbfgs"  # lbfgs or adam
    iterations: int = 600  # at all sizes together; trainer.max_steps can only shorten them
    size: int | None = None  # long edge at which the image is optimised; None: the photo's, at most 1024
    coarsest: int | None = 128  # long edge to begin at, growing by √2; None: `size` from the beginning
    init: str = "content"  # content, noise or an image file
    colors: str = "style"  # style, content (luminance alone is optimised) or match (paintings recoloured as the photo)
    styles: list[str] = field(default_factory=list)  # files of further paintings
    style_shares: list[float] | None = None  # one a painting, that of `style` first; None: equal
    content_mask: str | None = None  # each colour in it takes its style from the same colour in style_masks
    style_masks: list[str] = field(default_factory=list)  # one a painting; none: white is styled, the rest is not
    tile: Any = AUTO  # large images in strips: auto, null or the edge of a square with a strip's pixels
    learning_rate: float = 0.02  # Adam's; L-BFGS finds its own
    history: int = 10  # steps that L-BFGS remembers, each as large as two images
    animation: list[str] = field(default_factory=list)  # films of the optimisation: mp4, gif, webp
    animation_steps: list[int] | None = None  # iterations to show; None: about 100, most of them early

    def __post_init__(self) -> None:
        one_of("method.optimizer", self.optimizer, ("lbfgs", "adam"))
        one_of("method.colors", self.colors, ("style", "content", "match"))
        above_zero("method.learning_rate", self.learning_rate)
        for key in ("iterations", "history", "size", "coarsest"):
            if getattr(self, key) is not None:
                at_least(f"method.{key}", getattr(self, key), 1)
        if self.tile not in (AUTO, None) and not (is_count(self.tile) and int(self.tile) >= 32):
            raise UserError(f"method.tile is {self.tile}, but it must be auto, null or a number of pixels from 32 up")
        for kind in self.animation:
            one_of("method.animation", kind, ("gif", "mp4", "webp"))
        self._check_files()
        self._check_paintings()

    def _check_files(self) -> None:
        is_file("method.init", None if self.init in ("content", "noise") else self.init)
        is_file("method.content_mask", self.content_mask)
        for key in ("styles", "style_masks"):
            for n, file in enumerate(getattr(self, key)):
                is_file(f"method.{key}[{n}]", file)

    def _check_paintings(self) -> None:
        shares, paintings = self.style_shares or [], 1 + len(self.styles)
        for share in shares:
            above_zero("method.style_shares", share)
        if self.style_shares is not None and len(shares) != paintings:
            raise UserError(f"method.style_shares has {len(shares)} numbers for {paintings} paintings")
        if self.style_masks and self.content_mask is None:
            raise UserError("method.style_masks needs the photo's: method.content_mask=FILE")


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
    resume: str | None = None  # last, a run folder, or its checkpoint
    rerun: str | None = None  # the folder of a run to repeat
    compile: Any = AUTO  # auto, true or false
    seed: int = 0

    def __post_init__(self) -> None:
        one_of("compile", str(self.compile).lower(), ("auto", "true", "false"))
        is_file("content", self.content)
        if not 0 <= self.seed < 2**32:
            raise UserError(f"seed is {self.seed}, but it must lie between 0 and 4294967295")


@dataclass
class JohnsonConfig:
    """`fst.networks.johnson.Johnson`."""

    name: str = "johnson"
    width: int = 32
    depth: int = 5
    norm: str = "instance"


@dataclass
class JohnsonPaperConfig:
    """`fst.networks.johnson_paper.JohnsonPaper`."""

    name: str = "johnson_paper"
    width: int = 32
    depth: int = 5
    norm: str = "batch"


@dataclass
class RealtimeConfig:
    """`fst.networks.realtime.Realtime`."""

    name: str = "realtime"
    fold: int = 2
    widths: list[int] = field(default_factory=lambda: [16, 32, 64])
    depth: int = 4
    norm: str = "instance"


# Groups whose choices have different settings: each choice's file names its schema in its defaults list.
GROUP_SCHEMAS: dict[str, dict[str, Any]] = {
    "method": {"feedforward": FeedForwardConfig, "gatys": GatysConfig},
    "network": {"johnson": JohnsonConfig, "johnson_paper": JohnsonPaperConfig, "realtime": RealtimeConfig},
}

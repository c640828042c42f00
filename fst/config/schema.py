"""The typed schemas under the config groups: config keys are these names, and constructor arguments are the same ones.

`network` has no schema here: its settings are checked against the chosen network's constructor.
"""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

AUTO = "auto"


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


@dataclass
class LossConfig:
    """What "looks like" means. Weights are defined as in README, "The numbers"."""

    architecture: str = "vgg16"  # vgg16, vgg19, vgg16_small, or auto: see fst.methods.loss_network
    weights: str = "IMAGENET1K_FEATURES"  # or IMAGENET1K_V1, BUNDLED (vgg16_small), or a file
    pooling: str = "max"
    content_layers: list[str] = field(default_factory=lambda: ["relu2_2"])
    style_layers: list[str] = field(default_factory=lambda: ["relu1_2", "relu2_2", "relu3_3", "relu4_3"])
    style_layer_weights: list[float] | None = None  # one a style layer; None: 1 each
    style_scales: list[float] = field(default_factory=lambda: [1.0])
    content_weight: float = 1.0
    style_weight: Any = 1e5  # a number, or auto: from the size of the painting's Gram matrices
    tv_weight: float = 0.0
    style_warmup_steps: int = 0


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


@dataclass
class TrainerConfig:
    """Where and how long."""

    accelerator: str = "auto"
    devices: Any = "auto"
    num_nodes: int = 1
    strategy: str = "auto"
    precision: str = AUTO
    max_steps: int = 40_000
    val_every: int = 1000
    checkpoint_every: int = 500
    log_every: int = 10
    deterministic: bool = False


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


@dataclass
class FeedForwardConfig:
    """A network learns a style."""

    name: str = "feedforward"
    learning_rate: float = 1e-3
    schedule: str = "constant"  # constant, cosine or onecycle
    gradient_clip: float | None = None
    start: str | None = None  # begin with the weights of this style (a bundled name, style file or run folder)


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

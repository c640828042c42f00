"""method=feedforward: a network learns a style (Johnson et al. 2016)."""

from __future__ import annotations

import copy
import dataclasses
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from fst import images, stylefile
from fst.config import several
from fst.config.groups import files
from fst.config.schema import AUTO, StyleConfig, TrainConfig, choices, short_name
from fst.data.paintings import SWATCHES
from fst.errors import UserError
from fst.files import number, shown
from fst.methods.method import Method, register
from fst.runfolder import PREVIEWS, STYLE
from fst.stylefile import StyleInfo
from fst.values import above_zero, at_least, one_of

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

    from fst.losses.term import Term
    from fst.networks import Network

OPTIMIZERS = ("muon", "adam")
SCHEDULES = ("constant", "cosine")


@register
@dataclass
class Feedforward(Method):
    """A network learns the style: paints any photo in one pass (Johnson et al. 2016)"""

    optimizer: str = "muon"  # for the kernels of convolutions, Adam for the rest; or adam
    learning_rate: float = 0.01  # of Adam
    muon_learning_rate: float = 0.008  # of Muon: how far a step moves a kernel's singular values
    schedule: str = "cosine"  # to zero at the last step; or constant
    warmup_steps: int = 50  # the learning rates grow linearly from 0 over so many
    # Pixels of a training crop's edge that the losses do not see: the loss network pads with zeros, and what a network
    # paints to please it there is pale.
    margin: int = 8
    # Largest standard deviation, in levels of 255, of the noise in what the network paints from in training; losses
    # compare with the photos without it, so that it learns to overlook a camera's noise.
    noise: float = 6.0
    # Begin with the weights of this style: a bundled name, a style file or a run folder. A file of many styles begins
    # as the network of the style that it reads from the painting (where it reads none, of the mean of its styles).
    # null: from nothing. auto: with a bundled network where one has this run's network and settings, else from nothing.
    init_from: str | None = "auto"

    changeable = ("warmup_steps", "margin", "noise", "init_from")

    def __post_init__(self) -> None:
        one_of("method.optimizer", self.optimizer, OPTIMIZERS)
        one_of("method.schedule", self.schedule, SCHEDULES)
        for key in ("learning_rate", "muon_learning_rate"):
            above_zero(f"method.{key}", getattr(self, key))
        for key in ("warmup_steps", "margin", "noise"):
            at_least(f"method.{key}", getattr(self, key), 0)

    def check(self, config: TrainConfig) -> None:
        _check_styles(config)
        from fst.methods import parts

        self._check_crop(parts.tried(config), config.data.size)
        if self.init_from not in (None, AUTO) and config.resume is None:
            parts.start_file(self.init_from)

    def unused(self) -> tuple[str, ...]:
        return ("method.muon_learning_rate",) if self.optimizer == "adam" else ()

    def _check_crop(self, terms: Iterable[Term], size: int) -> None:
        from fst.losses.criterion import least_edge

        seen, (needed, layer) = size - 2 * self.margin, least_edge(terms)
        if seen < needed:
            less = f"data.size={size} less method.margin={self.margin} at both edges is {seen} pixels"
            raise UserError(f"{less}, but {layer} needs at least {needed}")

    def prepare(self, config: TrainConfig, run_dir: Path) -> None:
        import torch

        from fst.data.photo_data import PhotoData
        from fst.losses.criterion import room
        from fst.methods import fast, parts

        self.config, self.result = config, run_dir / STYLE
        accelerator = parts.accelerator(config.trainer.accelerator)
        config.trainer.precision = fast.choose_precision(config.trainer.precision, accelerator)
        self.paintings = [(one.title, parts.read_painting(one)) for one in several.styles(config.style).values()]
        self.data = PhotoData(config.data, seed=config.seed, room=room(parts.build_terms(config.loss)))
        config.data.name = self.data.name
        criterion = parts.criterion(config.loss)
        style = criterion.style_target([images.to_tensor(one) for _, one in self.paintings])
        style = parts.decide_style_weight(config, criterion, style)
        self.data.prepare_data()
        network = parts.network(config)
        parts.check_picture(network, config.network.name, config.data.size)
        if config.resume is None:
            start = config.method.init_from = parts.decide_start(config)
            if start is not None:
                parts.init_from(network, start, config.network.name, self.paintings[0][1])
        network = network.to(memory_format=torch.channels_last)
        where = {"accelerator": accelerator, "full_resolution": network.full_resolution}
        config.compile = fast.choose_compile(config.compile, config.trainer.max_steps, **where)
        self.module = self._module(network, criterion, style)
        if config.trainer.precision == "bf16-mixed":
            criterion.features.in_precision(torch.bfloat16)  # after the targets, which stay exact
        if config.compile:
            print("compiling the network: the first step takes up to a minute longer (compile=false does without)")
            self.module.compile_network()

    def _module(self, network: Network, criterion: Any, style: Any) -> Any:
        from fst.methods.any_module import AnyStyle
        from fst.methods.feedforward_module import FeedForwardStyleTransfer, ManyStyles
        from fst.methods.parts import device

        config = self.config
        reads = several.is_many(config) and config.network.predictor
        kind = AnyStyle if reads else ManyStyles if several.is_many(config) else FeedForwardStyleTransfer
        module = kind(network, criterion, style, self, steps=config.trainer.max_steps, info=style_info(config))
        if reads:
            criterion.to(device(config.trainer))
            module.hang(config.style, config.seed)
        named = [(Path(name).stem, images.to_tensor(images.read(name))[0]) for name in config.logger.preview_images]
        module.preview_photos = named or self.data.preview_photos(config.logger.preview_count)
        return module

    def run_name(self) -> str:
        config = self.config
        weights = f"style={number(config.loss.style_weight)} content={number(config.loss.content_weight)}"
        return f"{short_name(config.style)} {config.network.name} {config.loss.architecture} {weights}"

    def finish(self) -> None:
        """The ranges that painting in 8 bits needs, on the held-out photos."""
        from fst.stylize import ranges

        # Copies: the module stays on its device.
        networks = [copy.deepcopy(network).eval().cpu() for network in self.module.trained_networks().values()]
        photos = [photo[None] for _, photo in self.data.preview_photos(self.config.data.val_images)]
        measured = [ranges.measure(network, photos) for network in networks]
        self.module.info = dataclasses.replace(self.module.info, int8=ranges.widest(measured))

    def write_result(self) -> None:
        stylefile.save(self.result, self.module.network, self.module.style_info())

    def log_result(self, logger: Logger) -> None:
        from fst.tracking.loggers import log_style_file

        log_style_file(logger, self.result, self.module.style_info())

    def epilogue(self) -> dict[str, str]:
        run_dir = self.result.parent
        sheets = sorted((run_dir / PREVIEWS).glob("step-*.png"))
        picture = self._paint(run_dir) if self.config.content else sheets[-1] if sheets else None
        style = shown(self.result)
        skipped = self.data.skipped
        return {
            **({"left out": f"{skipped} photos that could not be read"} if skipped else {}),
            **({"picture": shown(picture)} if picture else {}),
            "style file": style,
            "run folder": f"{shown(run_dir)}   (previews/ has pictures of every stage)",
            "next": f"python infer.py source=PHOTO style={shlex.quote(style)}",
        }

    def _paint(self, run_dir: Path) -> Path:
        from fst.stylize import Stylizer
        from fst.stylize.many import Style

        content = Path(self.config.content)
        photo, metadata = images.read_with_metadata(content)
        for name, network in self.module.trained_networks().items():
            style = Style(name, self.result, self.module.info, network.eval)
            painted = Stylizer.load(style, backend="torch")(photo)  # as infer.py paints: a large photo in strips
            picture = images.write(run_dir / f"{content.stem}-{name}.jpg", painted, metadata=metadata)
        return picture


def _check_styles(config: TrainConfig) -> None:
    if config.style.names and not several.is_many(config):
        many = [name for name, found in choices("network").items() if "styles" in found.arguments]
        raise UserError(f"network={config.network.name} learns one style; several need network={' or '.join(many)}")
    if several.is_many(config) and config.network.styles:
        raise UserError("network.styles is what style=[gogh,hokusai] sets: leave it out")
    if getattr(config.network, "predictor", 0) and not config.loss.style_weight:
        raise UserError("network.predictor learns from the style loss: give loss.style_weight a value above 0")


def style_info(config: TrainConfig) -> StyleInfo:
    """What a style file of this run says, but for steps and losses."""
    name = Path(config.style.image).stem if _is_own(config.style) else config.style.name
    if several.is_many(config):
        paintings = {own: about_painting(one) for own, one in several.styles(config.style).items()}
        about = {"title": f"{len(paintings)} styles", "paintings": paintings}
    else:
        about = about_painting(config.style)
    training = {key: dict(vars(getattr(config, key))) for key in ("loss", "data", "method")} | {"seed": config.seed}
    return StyleInfo(name, config.network.name, several.network_settings(config), about, training)


def about_painting(style: StyleConfig) -> dict[str, Any]:
    """What a style file says of a painting; of a file of one's own, its name."""
    about = {key: getattr(style, key) for key in ("title", "artist", "year", "licence", "size")}
    if not _is_own(style):
        return about
    # Another picture than the one that a style's name stands for has nothing of what is said of that.
    about = about if style.name == "custom" else {"title": None, "size": style.size}
    return about | {"title": about["title"] or Path(style.image).name}


def _is_own(style: StyleConfig) -> bool:
    """Whether the painting is another than the one that the style's name stands for, or it stands for none."""
    if style.image is None or Path(style.image).parent == SWATCHES:
        return False
    known = files("style").get(style.name)
    named = known and OmegaConf.load(known).get("image")
    return not named or Path(named).name != Path(style.image).name  # where it lies is seen from a run's own folder

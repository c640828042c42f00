"""method=gatys: an image is optimised (Gatys, Ecker, Bethge 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fst import images
from fst.config.schema import TrainConfig, short_name
from fst.errors import UserError
from fst.files import number, shown
from fst.methods.method import Method, register
from fst.values import above_zero, at_least, between, is_file, one_of

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

OPTIMIZERS = ("lbfgs", "adam")
COLORS = ("style", "content", "match")
ANIMATIONS = ("gif", "mp4", "webp")


@register
@dataclass
class Gatys(Method):
    """An image is optimised, no network learns: content=PHOTO; slow (Gatys et al. 2016)"""

    optimizer: str = "lbfgs"  # or adam
    iterations: int = 600  # at all sizes together; trainer.max_steps can only shorten them
    size: int | None = None  # long edge at which the image is optimised; None: the photo's, at most 1024
    coarsest: int | None = 128  # long edge to begin at, growing by √2; None: `size` from the beginning
    init: str = "content"  # or noise, or an image file
    colors: str = "style"  # or content (luminance alone is optimised), or match (paintings recoloured as the photo)
    styles: Sequence[str] = ()  # files of further paintings
    style_shares: Sequence[float] | None = None  # one a painting, that of `style` first; None: equal
    content_mask: str | None = None  # a file; each colour in it takes its style from the same colour in style_masks
    style_masks: Sequence[str] = ()  # files, one a painting; none: white is styled, the rest is not
    learning_rate: float = 0.02  # Adam's; L-BFGS finds its own
    history: int = 10  # steps that L-BFGS remembers, each as large as two images
    animation: Sequence[str] = ()  # films of the optimisation: mp4, gif, webp
    animation_steps: Sequence[int] | None = None  # iterations to show; None: about 100, most of them early

    changeable = (
        "iterations", "init", "styles", "style_shares", "content_mask", "style_masks", "animation", "animation_steps",
    )  # fmt: skip

    def __post_init__(self) -> None:
        one_of("method.optimizer", self.optimizer, OPTIMIZERS)
        one_of("method.colors", self.colors, COLORS)
        for kind in self.animation:
            one_of("method.animation", kind, ANIMATIONS)
        for step in self.animation_steps or []:
            between("method.animation_steps", step, 0, self.iterations, ": the iterations that a film shows")
        if self.animation_steps is not None and not (self.animation and self.animation_steps):
            raise UserError(
                "method.animation_steps wants method.animation=[mp4], say, and a step at least: or leave it out"
            )
        above_zero("method.learning_rate", self.learning_rate)
        for key in ("iterations", "history", "size", "coarsest"):
            if getattr(self, key) is not None:
                at_least(f"method.{key}", getattr(self, key), 1)
        for share in self.style_shares or []:
            above_zero("method.style_shares", share)
        paintings = 1 + len(self.styles)
        if self.style_shares is not None and len(self.style_shares) != paintings:
            raise UserError(f"method.style_shares has {len(self.style_shares)} numbers for {paintings} paintings")
        if self.style_masks and self.content_mask is None:
            raise UserError("method.style_masks needs the photo's: method.content_mask=FILE")
        is_file("method.init", None if self.init in ("content", "noise") else self.init)
        is_file("method.content_mask", self.content_mask)
        for key in ("styles", "style_masks"):
            for place, file in enumerate(getattr(self, key)):
                is_file(f"method.{key}[{place}]", file)

    def check(self, config: TrainConfig) -> None:
        if config.content is None:
            self._check_without_photo(config)
        from fst.methods import parts

        trainer = config.trainer
        if config.style.names:
            raise UserError("method=gatys mixes paintings by method.styles=[FILE,...]: style= is one")
        if str(config.compile).lower() == "true":
            raise UserError("compile=true is of no use to method=gatys: each size of the image would be compiled anew")
        if trainer.precision == "16-mixed":
            raise UserError("trainer.precision=16-mixed does not go with method=gatys: bf16-mixed does")
        if not trainer.one_process:
            raise UserError("method=gatys works on one device: trainer.strategy=auto trainer.devices=1")
        for name, (weight, term) in parts.build_terms(config.loss).items():
            if term.needs_network and weight not in (0, term.default_weight):
                raise UserError(f"loss.{name}_weight is for training a network: leave it out with method=gatys")

    def _check_without_photo(self, config: TrainConfig) -> None:
        if config.loss.content_weight > 0:
            raise UserError("method=gatys paints one photo: content=PHOTO (a texture: loss.content_weight=0)")
        for key, value in (("init", "content"), ("colors", "content"), ("colors", "match")):
            if getattr(self, key) == value:
                raise UserError(f"method.{key}={value} needs a photo: content=PHOTO, or choose another")
        if self.content_mask is not None:
            raise UserError("method.content_mask needs a photo: content=PHOTO")

    def unused(self) -> tuple[str, ...]:
        return ("data", "network")

    def prepare(self, config: TrainConfig, run_dir: Path) -> None:
        from fst.methods import parts
        from fst.methods.gatys.film import Film, spaced
        from fst.methods.gatys.problem import Problem
        from fst.methods.gatys.style_transfer import GatysStyleTransfer

        self.config, self.steps = config, min(self.iterations, config.trainer.max_steps)
        # Near a minimum L-BFGS compares losses that differ by less than bf16 resolves: bf16 is for those who ask.
        if config.trainer.precision == "auto":
            config.trainer.precision = "32-true"
        config.compile = False
        inputs = Problem(self, parts.read_painting(config.style), config)
        config.method.size = max(inputs.size)
        titles = [config.style.title, *(Path(name).name for name in self.styles)]
        self.paintings = list(zip(titles, inputs.paintings, strict=True))
        criterion = parts.criterion(config.loss)
        first = criterion.style_target([images.to_tensor(inputs.paintings[0])])
        parts.decide_style_weight(config, criterion, first)
        self.name = Path(config.content).stem if config.content else "texture"
        self.result = run_dir / f"{self.name}-{short_name(config.style)}.png"
        self.metadata = images.read_with_metadata(config.content)[1] if config.content else None
        shown_steps = spaced(self.steps) if self.animation_steps is None else self.animation_steps
        self.films = [run_dir / f"animation.{kind}" for kind in self.animation]
        self.callbacks = [Film(self.films, shown_steps)] if self.films else []
        self.module, self.data = GatysStyleTransfer(criterion, inputs, self), None

    def trainer_settings(self) -> dict[str, Any]:
        # The module says itself how precise its features are; the optimiser works in fp32.
        return {
            "max_steps": self.steps,
            "val_check_interval": self.steps + 1,  # at the end alone
            "precision": "32-true",
            "gradient_clip_val": None,
        }

    def run_name(self) -> str:
        loss = self.config.loss
        weights = f"style={number(loss.style_weight)} content={number(loss.content_weight)}"
        return f"{short_name(self.config.style)} gatys {loss.architecture} {weights} {self.name}"

    def write_result(self) -> None:
        images.write(self.result, self.module.result(), metadata=self.metadata)

    def log_result(self, logger: Logger) -> None:
        from fst.tracking.loggers import log_images

        log_images(logger, {"picture": self.module.picture()}, step=self.module.global_step)

    def epilogue(self) -> dict[str, str]:
        return {
            "picture": shown(self.result),
            **({"animation": ", ".join(map(shown, self.films))} if self.films else {}),
            "run folder": f"{shown(self.result.parent)}   (previews/ has the picture, step by step)",
        }

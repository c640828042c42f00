"""Networks of one style, trained whole on a GPU, or further."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from experiments.gpu.captured import Captured, Optimizer, compiled
from experiments.gpu.objective import CONTENT, LAYERS, SHIFT, Objective, extractor, grams_of, unrest
from experiments.gpu.paintings import Painting
from experiments.gpu.pictures import Bank, painting
from fst import stylefile
from fst.config.signatures import registered
from fst.networks import Network, build
from fst.stylefile import StyleInfo

CROP = 240  # of the pictures that the losses see
KERNELS, OTHERS = 8e-3, 1e-2  # learning rates: of Muon, and of Adam for what is not a kernel


@dataclass(frozen=True)
class How:
    """How a network is trained.

    Attributes:
        steps: of the run.
        batch: pictures of a step.
        crop: edge of the pictures that the losses see.
        checkerboard: weight of the checkerboard term, which sees smooth skies besides; 0: without.
        evenness: weight of the evenness term; 0: without.
        rate: all learning rates are multiplied by it.
        start: a folder whose NAME.safetensors is trained further; None: from nothing.
        fused: network and losses are compiled.
    """

    steps: int
    batch: int = 4
    crop: int = CROP
    checkerboard: float = 0.0
    evenness: float = 0.0
    rate: float = 1.0
    start: Path | None = None
    fused: bool = False


class Studio:
    """What all jobs share: photos, and VGG-16 in bf16 and in fp32."""

    def __init__(self, device: str, photos: Bank) -> None:
        self.device, self.photos = device, photos
        self.exact = extractor(device)
        self.features = extractor(device, dtype=torch.bfloat16)

    def objective(self, how: How) -> Objective:
        return Objective(self.features, how.crop, how.checkerboard, how.evenness, fused=how.fused)

    def skies(self, how: How, each: int, paint: Callable[[Tensor], Tensor]) -> Tensor | float:
        """The checkerboard term, weighted, of what is painted from smooth skies, four times `each`."""
        return how.checkerboard * unrest(paint, self.photos.skies(each)) if how.checkerboard else 0.0


def started(name: str, how: How, network: str, settings: dict) -> tuple[Network, StyleInfo]:
    """The network to train and what is known of it: new, or from a style file of the folder."""
    if how.start is None:
        return build(network, **settings), StyleInfo(name, network, settings, training={"steps": 0})
    model, info = stylefile.load(how.start / f"{name}.safetensors")
    return model.train().requires_grad_(True), info


def trained(info: StyleInfo, how: How, weights: dict, steps: int) -> StyleInfo:
    """What a style file says of itself after so many steps by a loss of these `weights`.

    Of what went before it keeps the steps and nothing else: losses and figures were another network's.
    """
    loss = {"architecture": "vgg16", "content_layers": [CONTENT], "style_layers": LAYERS, "stability_shift": SHIFT}
    loss |= {"checkerboard_weight": how.checkerboard, "evenness_weight": how.evenness} | weights
    told = {"steps": info.training["steps"] + steps, "batch_size": how.batch, "crop": how.crop, "loss": loss}
    return replace(info, training=told, int8={})


def painted(model: Network, *inputs: Tensor) -> Tensor:
    """Pictures of a network (N, 3, H, W), in bf16 where that is safe."""
    with torch.autocast(inputs[0].device.type, torch.bfloat16, cache_enabled=False):
        return model(*inputs)


def whole(network: str, settings: dict | None) -> dict:
    """All settings of a network: a style file that leaves some out is of another network when defaults change."""
    defaults = asdict(registered("networks")[network].schema()())
    del defaults["name"]
    return defaults | (settings or {})


def job(
    studio: Studio,
    name: str,
    style: Painting,
    out: Path,
    how: How,
    *,
    network: str = "realtime",
    settings: dict | None = None,
) -> Callable[[], tuple[Captured, Callable[[], None]]]:
    """A maker of the job that trains one style and writes OUT/NAME.safetensors."""

    def make() -> tuple[Captured, Callable[[], None]]:
        torch.manual_seed(0)
        device = studio.device
        model, info = started(name, how, network, whole(network, settings))
        model.to(device, memory_format=torch.channels_last)
        kernels = [one for one in model.parameters() if one.dim() == 4]
        others = [one for one in model.parameters() if one.dim() != 4]
        optimizer = Optimizer(kernels, {how.rate * OTHERS: others}, how.steps, how.rate * KERNELS)
        grams = grams_of(studio.exact, painting(style.path).to(device))
        objective = studio.objective(how)
        weights = torch.tensor([style.style_weight], device=device)
        paint = functools.partial(compiled(painted) if how.fused else painted, model)

        def step() -> dict[str, Tensor]:
            crops = studio.photos.crops(how.batch, objective.taken)
            total, told = objective(crops, paint, grams, weights, style.stability)
            (total + studio.skies(how, 1, paint)).backward()
            optimizer.step()
            return told

        def end() -> None:
            loss = {"style_weight": style.style_weight, "stability_weight": style.stability}
            stylefile.save(out / f"{name}.safetensors", model, trained(info, how, loss, captured.done), half=True)

        captured = Captured(name, step, list(model.parameters()), how.steps)
        return captured, end

    return make

"""Networks of one style, trained whole on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

from experiments.gpu.captured import Captured, Optimizer
from experiments.gpu.objective import LAYERS, Objective, extractor, grams_of
from experiments.gpu.paintings import Painting
from experiments.gpu.pictures import Bank, painting
from fst import stylefile
from fst.config.signatures import registered
from fst.networks import build
from fst.stylefile import StyleInfo

CROP = 240  # of the pictures that the losses see


class Studio:
    """What all jobs share: photos, and VGG-16 in bf16 and in fp32."""

    def __init__(self, device: str, photos: Bank) -> None:
        self.device, self.photos = device, photos
        self.exact = extractor(device)
        self.features = extractor(device, dtype=torch.bfloat16)


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
    *,
    steps: int,
    batch: int = 4,
    network: str = "realtime",
    settings: dict | None = None,
    crop: int = CROP,
    muon_lr: float = 0.008,
) -> Callable[[], tuple[Captured, Callable[[], None]]]:
    """A maker of the job that trains one style and writes OUT/NAME.safetensors."""

    def make() -> tuple[Captured, Callable[[], None]]:
        torch.manual_seed(0)
        device = studio.device
        chosen = whole(network, settings)
        model = build(network, **chosen).to(device, memory_format=torch.channels_last)
        kernels = [one for one in model.parameters() if one.dim() == 4]
        others = [one for one in model.parameters() if one.dim() != 4]
        optimizer = Optimizer(kernels, {1e-2: others}, steps, muon_lr)
        grams = grams_of(studio.exact, painting(style.path).to(device))
        objective = Objective(studio.features, crop)
        weights = torch.tensor([style.style_weight], device=device)

        def paint(photos: torch.Tensor) -> torch.Tensor:
            with torch.autocast(device, torch.bfloat16, cache_enabled=False):
                return model(photos)

        def step() -> dict[str, torch.Tensor]:
            crops = studio.photos.crops(batch, objective.taken)
            total, told = objective(crops, paint, grams, weights, style.stability)
            total.backward()
            optimizer.step()
            return told

        def end() -> None:
            loss = {"style_weight": style.style_weight, "stability_weight": style.stability, "style_layers": LAYERS}
            training = {"steps": steps, "batch_size": batch, "crop": crop, "loss": loss}
            info = StyleInfo(name, network, chosen, training=training)
            stylefile.save(out / f"{name}.safetensors", model, info, half=True)

        return Captured(name, step, list(model.parameters()), steps), end

    return make

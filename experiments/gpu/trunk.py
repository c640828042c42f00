"""The network of many styles, with the predictor that reads any painting, trained whole on a GPU.

Of each batch some are painted in styles of the table, the others in styles that are predicted from paintings of the
store; both share every convolution.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from experiments.gpu.captured import Captured, Optimizer
from experiments.gpu.objective import LAYERS, Grams, Objective, energy, grams_of
from experiments.gpu.paintings import Painting
from experiments.gpu.pictures import Bank, painting
from experiments.gpu.styles import CROP, Studio, whole
from fst import stylefile
from fst.data.painting_crops import SEEN, SHORT, split
from fst.losses.student import student
from fst.methods.parts import LEAST, MOST
from fst.networks import build
from fst.stylefile import StyleInfo


class Shelf:
    """Gram matrices of many crops of many paintings: VGG-16's to reach, the small student's to predict from."""

    @torch.no_grad()
    def __init__(self, studio: Studio, files: list[Path], crops_each: int, unit: Tensor) -> None:
        device = studio.device
        reader = student().to(device)
        bank = Bank(files, device, SHORT)
        targets, seen = [], []
        for number in range(crops_each):
            for index in torch.arange(len(files), device=device).split(32):
                crops = bank.crops(len(index), SEEN, 0.7, index)
                crops = _turned(crops) if number % 3 == 2 else crops
                targets.append(grams_of(studio.exact, crops))
                seen.append(grams_of(reader, crops))
        self.targets = {layer: torch.cat([one[layer] for one in targets]) for layer in LAYERS}
        self.seen = {layer: torch.cat([one[layer] for one in seen]) for layer in LAYERS}
        self.count = len(self.seen[LAYERS[0]])
        self.unit = unit

    def draw(self, count: int) -> tuple[Grams, Grams, Tensor]:
        """Targets, what is seen of them, and style weights, of random crops; a quarter are mixtures of two."""
        device = self.unit.device
        first, second = (torch.randint(self.count, (count,), device=device) for _ in range(2))
        share = torch.rand(count, 1, 1, device=device) * (torch.rand(count, 1, 1, device=device) < 0.25)
        targets, seen = (
            {layer: torch.lerp(g[layer][first], g[layer][second], share) for layer in LAYERS}
            for g in (self.targets, self.seen)
        )
        return targets, seen, style_weights(targets, self.unit)


def style_weights(grams: Grams, unit: Tensor) -> Tensor:
    """(N,): 1e5 times the energy of The Starry Night over the painting's own."""
    return (1e5 * unit / energy(grams)).clamp(LEAST, MOST)


def job(
    studio: Studio,
    styles: dict[str, Painting],
    out: Path,
    *,
    name: str = "many",
    steps: int,
    batch: int = 8,
    predicted: int = 4,
    crops_each: int = 8,
    settings: dict | None = None,
    stability: float = 400.0,
    crop: int = CROP,
    most: int | None = None,
) -> Callable[[], tuple[Captured, Callable[[], None]]]:
    """A maker of the job that trains the network of many styles and writes OUT/many.safetensors.

    Args:
        studio: photos and loss networks.
        styles: of its table.
        out: a folder.
        name: of the file.
        steps: of the whole run.
        batch: pictures of a step.
        predicted: how many of them are painted in styles predicted from paintings.
        crops_each: crops of each painting to learn from.
        settings: of the network, but for styles and predictor.
        stability: the stability term's weight.
        crop: edge of the pictures that the losses see.
        most: how many paintings; None: all but those held out.
    """

    def make() -> tuple[Captured, Callable[[], None]]:
        torch.manual_seed(0)
        device = studio.device
        of_styles = {"styles": list(styles), "predictor": 192 if predicted else 0}
        chosen = whole("realtime_many", of_styles | (settings or {}))
        model = build("realtime_many", **chosen).to(device, memory_format=torch.channels_last)
        kernels = [one for one in model.layers.parameters() if one.dim() == 4]
        biases = [one for one in model.layers.parameters() if one.dim() != 4]
        reader = list(model.predictor.parameters()) if predicted else []
        optimizer = Optimizer(kernels, {1e-2: [*biases, model.table], 1e-3: reader}, steps, 0.008)
        own = [grams_of(studio.exact, painting(style.path).to(device)) for style in styles.values()]
        grams = {layer: torch.cat([one[layer] for one in own]) for layer in LAYERS}
        weights = torch.tensor([style.style_weight for style in styles.values()], device=device)
        unit = energy(own[list(styles).index("gogh")])[0] if "gogh" in styles else energy(own[0])[0]
        shelf = Shelf(studio, split(None)[0][:most], crops_each, unit) if predicted else None
        objective = Objective(studio.features, crop)
        turn = torch.zeros((), dtype=torch.long, device=device)

        def step() -> dict[str, Tensor]:
            crops = studio.photos.crops(batch, objective.taken)
            places = (turn + torch.arange(batch - predicted, device=device)) % len(weights)  # each style as often
            turn.add_(batch - predicted)
            vectors = model.table.index_select(0, places)
            targets = {layer: gram.index_select(0, places) for layer, gram in grams.items()}
            style_weight = weights[places]
            if shelf is not None:
                wanted, seen, theirs = shelf.draw(predicted)
                vectors = torch.cat([vectors, model.predictor(seen)])
                targets = {layer: torch.cat([targets[layer], wanted[layer]]) for layer in LAYERS}
                style_weight = torch.cat([style_weight, theirs])

            def paint(photos: Tensor) -> Tensor:
                with torch.autocast(device, torch.bfloat16, cache_enabled=False):
                    return model(photos, vectors)

            total, told = objective(crops, paint, targets, style_weight, stability)
            total.backward()
            optimizer.step()
            return told

        def end() -> None:
            info = StyleInfo(name, "realtime_many", chosen, training={"steps": steps, "batch_size": batch})
            stylefile.save(out / f"{name}.safetensors", model, info, half=True)

        return Captured(name, step, [*model.parameters()], steps), end

    return make


def _turned(crops: Tensor) -> Tensor:
    """Crops with other colours: their channels in another order, and their contrast changed."""
    order = torch.randperm(3, device=crops.device)
    gain = 0.7 + 0.6 * torch.rand(len(crops), 1, 1, 1, device=crops.device)
    mean = crops.mean((2, 3), keepdim=True)
    return ((crops[:, order] - mean) * gain + mean).clamp(0, 1)

"""The network of many styles, with the predictor that reads any painting, trained whole on a GPU, or further.

Of each batch some are painted in styles of the table, the others in styles that are predicted from paintings of the
store; both share every convolution.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from experiments.gpu.captured import Captured, Optimizer, compiled
from experiments.gpu.objective import LAYERS, Grams, energy, grams_of
from experiments.gpu.paintings import Painting
from experiments.gpu.pictures import Bank, painting
from experiments.gpu.styles import KERNELS, OTHERS, How, Studio, painted, started, trained, whole
from fst import stylefile
from fst.data.painting_crops import SEEN, SHORT, split
from fst.losses.student import student
from fst.methods.parts import LEAST, MOST

NAME = "many"
READER = 1e-3  # the predictor's learning rate
STABILITY = 450.0


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


class Table:
    """The table's paintings: VGG-16's Gram matrices, style weights, and whose turn it is."""

    def __init__(self, studio: Studio, paintings: list[Painting]) -> None:
        device = studio.device
        own = [grams_of(studio.exact, painting(one.path).to(device)) for one in paintings]
        self.grams = {layer: torch.cat([one[layer] for one in own]) for layer in LAYERS}
        self.weights = torch.tensor([one.style_weight for one in paintings], device=device)
        turns = [row for row, one in enumerate(paintings) for _ in range(one.turns)]
        self.turns = torch.tensor(turns, device=device)
        self.turn = torch.zeros((), dtype=torch.long, device=device)

    def next(self, count: int) -> Tensor:
        """The next rows (N,): each as often as it has turns."""
        places = (self.turn + torch.arange(count, device=self.turn.device)) % len(self.turns)
        self.turn.add_(count)
        return self.turns.index_select(0, places)

    def of(self, rows: Tensor) -> Grams:
        return {layer: gram.index_select(0, rows) for layer, gram in self.grams.items()}


def style_weights(grams: Grams, unit: Tensor) -> Tensor:
    """(N,): 1e5 times the energy of The Starry Night over the painting's own."""
    return (1e5 * unit / energy(grams)).clamp(LEAST, MOST)


def job(
    studio: Studio,
    styles: dict[str, Painting],
    out: Path,
    how: How,
    *,
    predicted: int = 4,
    crops_each: int = 8,
    settings: dict | None = None,
    most: int | None = None,
) -> Callable[[], tuple[Captured, Callable[[], None]]]:
    """A maker of the job that trains the network of many styles and writes OUT/many.safetensors.

    Args:
        studio: photos and loss networks.
        styles: of its table; of a network that is trained further, its own.
        out: a folder.
        how: it is trained.
        predicted: how many pictures of a batch are painted in styles predicted from paintings.
        crops_each: crops of each painting to learn from.
        settings: of the network, but for styles and predictor.
        most: how many paintings; None: all but those held out.
    """

    def make() -> tuple[Captured, Callable[[], None]]:
        torch.manual_seed(0)
        device = studio.device
        of_styles = {"styles": list(styles), "predictor": 192 if predicted else 0}
        model, info = started(NAME, how, "realtime_many", whole("realtime_many", of_styles | (settings or {})))
        model.to(device, memory_format=torch.channels_last)
        kernels = [one for one in model.layers.parameters() if one.dim() == 4]
        biases = [one for one in model.layers.parameters() if one.dim() != 4]
        reader = list(model.predictor.parameters()) if predicted else []
        rates = {how.rate * OTHERS: [*biases, model.table], how.rate * READER: reader}
        optimizer = Optimizer(kernels, rates, how.steps, how.rate * KERNELS)
        table = Table(studio, [styles[name] for name in model.names])
        first = table.of(torch.tensor([model.names.index("gogh") if "gogh" in model.names else 0], device=device))
        shelf = Shelf(studio, split(None)[0][:most], crops_each, energy(first)[0]) if predicted else None
        objective = studio.objective(how)
        forward = compiled(painted) if how.fused else painted

        def step() -> dict[str, Tensor]:
            places = table.next(how.batch - predicted)
            vectors, targets, weights = model.table.index_select(0, places), table.of(places), table.weights[places]
            if shelf is not None:
                wanted, seen, theirs = shelf.draw(predicted)
                vectors = torch.cat([vectors, model.predictor(seen)])
                targets = {layer: torch.cat([targets[layer], wanted[layer]]) for layer in LAYERS}
                weights = torch.cat([weights, theirs])
            crops = studio.photos.crops(how.batch, objective.taken)
            total, told = objective(crops, lambda photos: forward(model, photos, vectors), targets, weights, STABILITY)
            each = max(1, how.batch // 8)  # skies of each kind, in the styles of every other picture if there are many
            chosen = torch.arange(4 * each, device=device) * how.batch // (4 * each)
            in_skies = vectors.index_select(0, chosen)
            (total + studio.skies(how, each, lambda skies: forward(model, skies, in_skies))).backward()
            optimizer.step()
            return told

        def end() -> None:
            loss = {"style_weight": 1e5, "stability_weight": STABILITY}
            stylefile.save(out / f"{NAME}.safetensors", model, trained(info, how, loss, captured.done), half=True)

        captured = Captured(NAME, step, [*model.parameters()], how.steps)
        return captured, end

    return make


def _turned(crops: Tensor) -> Tensor:
    """Crops with other colours: their channels in another order, and their contrast changed."""
    order = torch.randperm(3, device=crops.device)
    gain = 0.7 + 0.6 * torch.rand(len(crops), 1, 1, 1, device=crops.device)
    mean = crops.mean((2, 3), keepdim=True)
    return ((crops[:, order] - mean) * gain + mean).clamp(0, 1)

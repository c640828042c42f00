"""What a loss network sees: photos and drawings, noisy, recoloured, painted, and pulled about by its own gradients."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from fst import images, stylefile
from fst.config.schema import DataConfig
from fst.data.photo_data import PhotoData
from fst.losses.gram import gram_matrix
from fst.losses.vgg import VGGFeatures
from fst.networks import build

SIDE = 96
POOL = 32  # pictures being optimised at a time
LIFE = 40  # gradient steps that such a picture gets


def batches(name: str, count: int, seed: int, scale: tuple[float, float] = (1.0, 2.6)) -> Iterator[Tensor]:
    """Endless batches (count, 3, SIDE, SIDE) in [0, 1] of a data set."""
    config = DataConfig(name=name, size=SIDE, batch_size=count, scale=list(scale), workers=0)
    data = PhotoData(config, seed=seed)
    data.prepare_data()
    data.setup()
    for batch in data.train_dataloader():
        yield data.on_after_batch_transfer(batch, 0)


def paintings(files: list[Path], seed: int) -> Iterator[Tensor]:
    """Endless crops (1, 3, SIDE, SIDE) of paintings at sizes of 128 to 512."""
    rng = torch.Generator().manual_seed(seed)
    whole = [images.read(file) for file in files]
    while True:
        picture = whole[int(torch.randint(len(whole), (1,), generator=rng))]
        edge = int(torch.randint(160, 513, (1,), generator=rng))
        small = images.to_tensor(images.resize(picture, images.fit_long_edge(*picture.shape[:2], edge)))
        small = F.pad(small, (0, max(0, SIDE - small.shape[3]), 0, max(0, SIDE - small.shape[2])), mode="replicate")
        top, left = (int(torch.randint(n - SIDE + 1, (1,), generator=rng)) for n in small.shape[2:])
        yield small[..., top : top + SIDE, left : left + SIDE]


class Pictures:
    """Endless mixed batches (12, 3, SIDE, SIDE), RGB in about [0, 1].

    Four photos and drawings, two of them with noise or new colours; two blends; one painting's crop; one picture of
    a transform network, trained or not; four that the student's own style and content losses pulled, a replay pool.
    """

    def __init__(self, student: VGGFeatures, styles: list[Path], seed: int) -> None:
        self.student = student
        self.photos = [batches("imagenet_sample", 3, seed), batches("coco", 3, seed)]
        self.drawings = batches("procedural", 1, seed)
        self.paintings = paintings(styles, seed)
        self.painters = [stylefile.load(path)[0] for path in stylefile.bundled().values()]
        self.rng = torch.Generator().manual_seed(seed)
        self.pool: list[tuple[int, Tensor, Tensor, float]] = []  # age, picture, photo, strength
        self.turn = 0

    def __call__(self) -> Tensor:
        self.turn += 1
        photos = torch.cat([next(self.photos[self.turn % 2]), next(self.drawings)])
        order = photos[torch.randperm(4, generator=self.rng)]
        mixed = torch.lerp(photos[:2], order[:2], torch.rand(2, 1, 1, 1, generator=self.rng))
        parts = [order[:2], self._roughened(order[2:]), mixed, next(self.paintings), self._painted(photos[:1])]
        return torch.cat([*parts, self._pulled(photos[:1])])

    def _uniform(self, low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=self.rng))

    def _roughened(self, photos: Tensor) -> Tensor:
        """Noise of any strength and coarseness; colours turned and stretched beyond what photos have."""
        first, second = photos[:1], photos[1:]
        side = int(self._uniform(8, SIDE))
        noise = F.interpolate(torch.randn(1, 3, side, side, generator=self.rng), (SIDE, SIDE), mode="bilinear")
        turn = torch.eye(3) + torch.randn(3, 3, generator=self.rng) * self._uniform(0, 0.8)
        recoloured = torch.einsum("ij,njhw->nihw", turn, second - 0.5) + 0.5 + self._uniform(-0.15, 0.15)
        return torch.cat([first + noise * self._uniform(0.02, 0.4), recoloured])

    @torch.no_grad()
    def _painted(self, photo: Tensor) -> Tensor:
        if self.turn % 2 and self.painters:
            return self.painters[(self.turn // 2) % len(self.painters)](photo)
        torch.manual_seed(self.turn)
        painted = build("realtime", widths=[8, 16], depths=[0, 1])(photo)
        return torch.lerp(photo, (painted - painted.mean()) * self._uniform(0.5, 3) + 0.5, self._uniform(0.2, 1))

    def _pulled(self, photo: Tensor) -> Tensor:
        """Four of the pool, a gradient step of the student's losses further on."""
        if len(self.pool) < POOL:
            self.pool.append((0, photo.clone(), photo, 10 ** self._uniform(3.5, 6)))
        chosen = torch.randint(len(self.pool), (4,), generator=self.rng).tolist()
        pictures = torch.cat([self.pool[i][1] for i in chosen])
        contents = torch.cat([self.pool[i][2] for i in chosen])
        strengths = torch.tensor([self.pool[i][3] for i in chosen])
        style = next(self.paintings)
        with torch.no_grad():
            targets = {name: gram_matrix(found) for name, found in self._seen(style).items()}
            kept = self._seen(contents)["relu2_2"]
        pictures.requires_grad_()
        found = self._seen(pictures)
        style_loss = sum((gram_matrix(found[name]) - targets[name]).square().mean((1, 2)) for name in targets)
        content_loss = (found["relu2_2"] - kept).square().mean((1, 2, 3))
        gradient = torch.autograd.grad((content_loss + strengths * style_loss).sum(), pictures)[0]
        size = gradient.square().mean((1, 2, 3), keepdim=True).sqrt() + 1e-12
        pictures = (pictures.detach() - self._uniform(0.01, 0.06) * gradient / size).clamp(-0.2, 1.2)
        for place, i in enumerate(chosen):
            age, _, content, strength = self.pool[i]
            self.pool[i] = (age + 1, pictures[place : place + 1], content, strength)
        self.pool = [entry for entry in self.pool if entry[0] < LIFE]
        return pictures

    def _seen(self, pictures: Tensor) -> dict[str, Tensor]:
        return self.student(pictures, list(self.student.heads))


if __name__ == "__main__":
    sys.exit("run experiments/distil_vgg/run.py")

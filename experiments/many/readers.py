"""What reads a painting, and of how many it learns: python -m experiments.many.readers [ARM ...] [settings of train.py]

`ours` and `adain` learn from nothing, trunk and all, alike but for how the painting comes in. The others are predictors
from nothing on the bundled trunk, which stays as it is: of 30, 300 or all paintings, from Gram matrices, or from means
and deviations. Each is kept in runs/many; prints one row per arm, medians over every third of the paintings held out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from experiments.gpu.pictures import painting
from experiments.many import heldout, loop
from fst import stylefile
from fst.data.painting_crops import crops, split
from fst.errors import UserError, one_line_errors
from fst.losses.gram import gram_matrix
from fst.losses.names import HEADS
from fst.losses.student import student
from fst.losses.style_target import StyleTarget
from fst.losses.vgg import VGGFeatures
from fst.methods.any_module import SLOWER, _packed, _unpacked, weighted
from fst.networks import build, framed
from fst.networks.blocks import ConvBlock, uncentred
from fst.networks.predictor import Predictor
from fst.stylize.framing import MARGIN

RUNS = Path("runs", "many")
DEEPEST = "relu3_3"
WIDTH = 192  # of the predictors
CROPS = 2  # of each painting
EVERY, PHOTOS = 3, 3  # of the paintings held out, and of content/
WHOLE, READER = loop.Length(2800, 2, 144), loop.Length(200, 4, 128)

Read = dict[str, Tensor]  # of paintings, by layer: Gram matrices, and "mean" and "deviation" of relu1_2 and so on


@dataclass(frozen=True)
class Arm:
    """How a painting is read, whether the trunk learns as well, and of how many paintings."""

    kind: str
    whole: bool = False
    paintings: int | None = None

    @property
    def length(self) -> loop.Length:
        return WHOLE if self.whole else READER


ARMS = {
    "ours": Arm("grams", whole=True),
    "adain": Arm("adain", whole=True),
    "grams-all": Arm("grams"),
    "grams-300": Arm("grams", paintings=300),
    "grams-30": Arm("grams", paintings=30),
    "means-all": Arm("means"),
}


def reading(features: VGGFeatures, pictures: Sequence[Tensor]) -> Read:
    """Of pictures (1, 3, H, W) in [0, 1]."""
    found: dict[str, list[Tensor]] = {}
    for picture in pictures:
        for layer, of in features(picture, HEADS).items():
            deviation, mean = torch.std_mean(of.float(), (2, 3), correction=0)
            told = {layer: gram_matrix(of), f"mean {layer}": mean, f"deviation {layer}": deviation}
            for key, value in told.items():
                found.setdefault(key, []).append(value)
    return {key: torch.cat(values) for key, values in found.items()}


class Shelf:
    """Crops of paintings, as they are read: their Gram matrices are also what to reach."""

    @torch.no_grad()
    def __init__(self, files: Sequence[Path]) -> None:
        features, found = student(), []
        for number, file in enumerate(files):
            read = reading(features, crops(file, number)[:CROPS])
            found.append({key: _packed(of) if key in HEADS else of for key, of in read.items()})
        self.read = {key: torch.cat([one[key] for one in found]) for key in found[0]}

    def draw(self, count: int, paintings: int | None = None) -> tuple[StyleTarget, Read]:
        """Any of the crops of the first so many paintings."""
        most = len(self.read[DEEPEST])
        places = torch.randint(most if paintings is None else min(most, paintings * CROPS), (count,))
        read = {key: _unpacked(of[places]) if key in HEADS else of[places] for key, of in self.read.items()}
        grams = {(1.0, layer): read[layer] for layer in HEADS}
        return weighted(StyleTarget(grams), dict.fromkeys(HEADS, 1.0)), read


class Means(nn.Module):
    """As fst's predictor, but it sees each feature's mean and deviation."""

    def __init__(self, neutral: Tensor, width: int) -> None:
        super().__init__()
        like = Predictor(neutral, width)
        self.layers, self.last = like.layers, like.last
        self.layers[0] = nn.Linear(2 * sum(HEADS.values()), width)

    def forward(self, read: Read) -> Tensor:
        """(N, V)."""
        seen = [(read[f"{told} {layer}"] + 1e-4).log() for layer in HEADS for told in ("mean", "deviation")]
        return self.last(self.layers(torch.cat(seen, dim=1)))


class AdaIN(nn.Module):
    """Huang and Belongie 2017: a photo's features take the painting's means and deviations; a decoder paints them.

    The encoder is fst's small student of VGG-16, to relu3_3; the decoder mirrors it, without normalisation.
    """

    def __init__(self, width: int = 160) -> None:
        super().__init__()
        self.features = student()
        blocks = [(HEADS[DEEPEST], width, 1), (width, width, 1), (width, 64, 2), (64, 64, 1), (64, 32, 2)]
        layers = [ConvBlock(before, after, 3, upsample=up, norm=None) for before, after, up in blocks]
        self.decoder = nn.Sequential(*layers, ConvBlock(32, 3, 3, norm=None, relu=False))

    def forward(self, photos: Tensor, read: Read) -> Tensor:
        """(N, 3, H, W) of multiples of four, in about [0, 1]."""
        with torch.no_grad():
            found = self.features(photos, [DEEPEST])[DEEPEST].float()
        return uncentred(self.decoder(renormalised(found, read[f"mean {DEEPEST}"], read[f"deviation {DEEPEST}"])))


def renormalised(features: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Features (N, C, H, W) with other means and deviations, (N, C) or (1, C)."""
    own, centre = torch.std_mean(features, (2, 3), correction=0, keepdim=True)
    return (features - centre) / (own + 1e-5) * deviation[..., None, None] + mean[..., None, None]


class Painter(nn.Module):
    """What an arm trains."""

    def __init__(self, arm: Arm) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.arm = arm
        if arm.kind == "adain":
            self.network = AdaIN()
            return
        if arm.whole:
            self.network = build("realtime_many", styles=["any"], predictor=WIDTH, widths=[16, 32, 96])
        else:
            self.network = stylefile.load(stylefile.BUNDLED / stylefile.MANY)[0].requires_grad_(False)
        neutral = self.network.table.detach().mean(0)
        self.network.predictor = (Predictor if arm.kind == "grams" else Means)(neutral, WIDTH)

    def forward(self, photos: Tensor, read: Read) -> Tensor:
        if self.arm.kind == "adain":
            return self.network(photos, read)
        with torch.autocast("cpu", enabled=False):
            vectors = self.network.predictor(read)
        return self.network(photos, vectors)

    def groups(self) -> dict[float, list[nn.Parameter]]:
        """What learns, by its speed: predictors slowly, as in fst."""
        slow = [] if self.arm.kind == "adain" else list(self.network.predictor.parameters())
        others = [one for one in self.parameters() if one.requires_grad and all(one is not other for other in slow)]
        return {rate: of for rate, of in ((1.0, others), (SLOWER, slow)) if of}


def train(name: str, shelf: Callable[[], Shelf], settings: Sequence[str]) -> None:
    """An arm, unless it is there."""
    arm, path = ARMS[name], RUNS / f"{name}.pt"
    if path.is_file():
        return
    painter, hung = Painter(arm), shelf()
    last = loop.fit(painter, painter.groups(), lambda count: hung.draw(count, arm.paintings), arm.length, settings)
    print(f"{name}: {last:.1f} at the end", file=sys.stderr)
    torch.save(painter.state_dict(), path)


@torch.no_grad()
def judged(name: str, unseen: heldout.Unseen) -> list[heldout.Row]:
    """A row for each of some paintings held out."""
    painter, features = Painter(ARMS[name]).eval(), student()
    painter.load_state_dict(torch.load(RUNS / f"{name}.pt", weights_only=True))
    rows = []
    for file in split(None)[1][::EVERY]:
        picture = painting(file)
        read = reading(features, [picture])
        rows.append(unseen.row(picture, lambda photo, read=read: framed(lambda x: painter(x, read), photo, MARGIN)))
    return rows


def line(name: str, rows: list[heldout.Row]) -> str:
    """Of the table: medians, and the objective's 10 and 90 %."""
    median = np.median(rows, axis=0)
    low, high = np.percentile([row[heldout.OBJECTIVE] for row in rows], (10, 90))
    size = sum(one.numel() for one in Painter(ARMS[name]).parameters()) / 1e6
    told = f"{size:.2f} | {median[1]:.2f} | {median[2]:.2e} | {median[3]:.1f} | {low:.1f} to {high:.1f}"
    return f"| {name} | {told} | {median[4]:.3f} |"


def main(words: Sequence[str]) -> None:
    """Train what is not there, then tell.

    Raises:
        UserError: no such arm.
    """
    names, settings = [word for word in words if "=" not in word], [word for word in words if "=" in word]
    unknown = [name for name in names if name not in ARMS]
    if unknown:
        raise UserError(f"no arm is called '{unknown[0]}': choose from {', '.join(ARMS)}")
    RUNS.mkdir(parents=True, exist_ok=True)
    hung: list[Shelf] = []

    def shelf() -> Shelf:
        hung[:] = hung or [Shelf(split(None)[0])]
        return hung[0]

    for name in names or ARMS:
        train(name, shelf, settings)
    unseen = heldout.Unseen(PHOTOS)
    print("| arm | parameters, millions | content | style | objective | 10 to 90 % | style / untouched |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name in names or ARMS:
        print(line(name, judged(name, unseen)), flush=True)


if __name__ == "__main__":
    with one_line_errors():
        main(sys.argv[1:])

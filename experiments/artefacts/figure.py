"""Do the networks draw borders, checkerboards or grids? Flat and real images, untrained and trained:

    python experiments/artefacts/figure.py PHOTO [STYLE_FILE ...]

writes figure.png beside this file and prints the figures of README.md.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fst import images, stylefile
from fst.errors import UserError, one_line_errors
from fst.networks import NETWORKS, build

HERE = Path(__file__).parent
SIDE, CROP, RING, PATCH = 256, 48, 8, 32
MARGIN = 16  # what infer.py mirrors around a photo and cuts off again
LEVEL = 0.6  # of the flat image
GAIN = 8  # by which the flat image's deviations are enlarged to be seen


def main(photo: Path, style_files: list[Path]) -> None:
    """Paint a flat image and a photo with every network and put them side by side."""
    pixels = images.read(photo)
    original = images.to_tensor(images.resize(pixels, images.fit_long_edge(*pixels.shape[:2], SIDE)))
    flat = torch.full((1, 3, SIDE, SIDE), LEVEL)
    rows = {}
    for name, network in networks(style_files).items():
        with torch.inference_mode():
            rows[name] = (network(flat), network(original))
    captions = {name: f"{name}: {measured(*pair, original)}" for name, pair in rows.items()}
    print("\n".join(captions.values()))
    draw(rows, captions)


def networks(style_files: list[Path]) -> dict[str, Callable[[Tensor], Tensor]]:
    """Each kind of network with random weights, then the trained ones, alone and as infer.py paints with them."""
    found = {}
    for name in sorted(NETWORKS, reverse=True):
        torch.manual_seed(0)
        found[f"{name}, untrained"] = build(name, norm="instance").eval()
    for file in style_files:
        network, info = stylefile.load(file)
        found[f"{info.network}, {file.stem}, alone"] = network
        found[f"{info.network}, {file.stem}, in a margin"] = lambda image, network=network: network(
            F.pad(image, (MARGIN,) * 4, mode="reflect")
        )[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    return found


def border(painted: Tensor) -> float:
    """By how many of 255 levels the outer ring of a painted flat image differs from its middle, worst channel."""
    inside = painted[..., RING:-RING, RING:-RING]
    ring = torch.ones(painted.shape[-2:], dtype=torch.bool)
    ring[RING:-RING, RING:-RING] = False
    return 255 * (painted[..., ring].mean(-1) - inside.mean((-1, -2))).abs().max().item()


def ripple(painted: Tensor) -> float:
    """Standard deviation, in levels, of the middle of a painted flat image, where nothing should be seen."""
    return 255 * painted[..., 64:-64, 64:-64].std((-1, -2)).max().item()


def grid(painted: Tensor) -> float:
    """How far the spectrum stands out at periods of 2 and 4 pixels, against the frequencies around: 1 is no grid."""
    patches = painted.mean(1)[0].unfold(0, PATCH, PATCH // 2).unfold(1, PATCH, PATCH // 2)
    window = torch.outer(torch.hann_window(PATCH), torch.hann_window(PATCH))
    centred = patches - patches.mean((-1, -2), keepdim=True)
    power = torch.fft.fft2(centred * window).abs().square().mean((0, 1))
    worst = 0.0
    marks = [(y, x) for y in (0, PATCH // 4, PATCH // 2) for x in (0, PATCH // 4, PATCH // 2) if x or y]
    for y, x in marks:
        around = [power[(y + dy) % PATCH, (x + dx) % PATCH] for dy in (-3, 0, 3) for dx in (-3, 0, 3) if dx or dy]
        worst = max(worst, (power[y, x] / torch.stack(around).median()).item())
    return worst


def edge_energy(painted: Tensor, original: Tensor) -> float:
    """Energy of differences in the outer ring over that of the whole picture, where the photo's own is 1."""

    def share(image: Tensor) -> Tensor:
        energy = (image[..., 1:, 1:] - image[..., :-1, 1:]).square() + (
            image[..., 1:, 1:] - image[..., 1:, :-1]
        ).square()
        inside = energy[..., RING:-RING, RING:-RING]
        ring = (energy.sum() - inside.sum()) / (energy.numel() - inside.numel())
        return ring / energy.mean()

    return (share(painted) / share(original)).item()


def measured(flat: Tensor, photo: Tensor, original: Tensor) -> str:
    edge = edge_energy(photo, original)
    return (
        f"flat: border {border(flat):.2f}, ripple {ripple(flat):.2f} of 255 levels; "
        f"photo: grid {grid(photo) / grid(original):.1f}, strokes at the edge {edge:.2f} of the photo's"
    )


def draw(rows: dict[str, tuple[Tensor, Tensor]], captions: dict[str, str]) -> None:
    """A row a network: flat, its corner, its middle, photo, its corner, a part of it."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(13, 2.45 * len(rows)), layout="constrained")
    middle, corner = slice(SIDE // 2, SIDE // 2 + CROP), slice(0, CROP)
    for band, (name, (flat, photo)) in zip(figure.subfigures(len(rows), 1), rows.items(), strict=True):
        centre = flat[..., 64:-64, 64:-64].mean((-1, -2), keepdim=True)
        shown = images.to_pixels((flat - centre) * GAIN + 0.5)
        painted = images.to_pixels(stretched(photo) if "untrained" in name else photo)
        part = slice(painted.shape[0] // 2, painted.shape[0] // 2 + CROP)
        cut = {
            f"flat, deviations × {GAIN}": shown,
            "its corner": shown[corner, corner],
            "its middle": shown[middle, middle],
            "photo": painted,
            "the photo's corner": painted[corner, corner],
            "a part of it": painted[part, middle],
        }
        band.suptitle(captions[name], x=0.01, ha="left", fontsize=9)
        for axis, (title, picture) in zip(band.subplots(1, len(cut)), cut.items(), strict=True):
            axis.imshow(np.asarray(picture), interpolation="nearest")
            axis.set_title(title, fontsize=7)
            axis.set_axis_off()
    figure.savefig(HERE / "figure.png", dpi=80)


def stretched(image: Tensor) -> Tensor:
    """Random weights paint in pale colours: least to most becomes 0 to 1."""
    return (image - image.amin()) / (image.amax() - image.amin())


if __name__ == "__main__":
    with one_line_errors():
        if len(sys.argv) < 2:
            raise UserError("usage: python experiments/artefacts/figure.py PHOTO [STYLE_FILE ...]")
        main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]] or list(stylefile.bundled().values()))

"""How well vgg16_small stands in for VGG-16: python experiments/distil_vgg/judge.py [weights=FILE]

On photos that it was not trained on (photos/ of the store), as they are, with noise, and painted by the bundled styles,
against a painting it never saw: features explained, style losses side by side, directions of the losses' gradients, and
the time that a loss takes. Writes results.json and the table in README.md.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from fst import images, store, stylefile
from fst.config.schema import LossConfig
from fst.errors import UserError, one_line_errors
from fst.evaluate.report import renew
from fst.files import write_json
from fst.losses.criterion import Criterion
from fst.losses.names import HEADS, SMALL
from fst.losses.style_target import StyleTarget
from fst.losses.weights import SMALL_WEIGHTS, load_features
from fst.methods.parts import build_terms
from fst.system import keep_memory

HERE = Path(__file__).parent
LAYERS = list(HEADS)
PAINTINGS = {"gogh": "starry_night_google.jpg", "hokusai": "wave.jpg"}
COUNT, SIDE = 24, 192


def criteria(small: Path) -> dict[str, Criterion]:
    """The loss on VGG-16 and on the student, as `loss=vgg16_relu3` and `loss=vgg16_small` build it."""
    networks = {"vgg16": load_features(LAYERS), "vgg16_small": load_features(LAYERS, str(small), architecture=SMALL)}
    terms = build_terms(LossConfig(style_layers=LAYERS, stability_weight=0))
    return {name: Criterion(network.to(memory_format=torch.channels_last), terms) for name, network in networks.items()}


def pictures() -> dict[str, list[tuple[Tensor, Tensor]]]:
    """Kinds of pictures, each a list of (photo, picture), (1, 3, SIDE, SIDE) in [0, 1]."""
    files = sorted((store.home() / "photos").glob("*.jpg"))[:COUNT]
    if len(files) < COUNT:
        raise UserError(f"{store.home() / 'photos'} holds fewer than {COUNT} photos (*.jpg)")
    photos = [images.to_tensor(images.resize(images.read(file, at_least=SIDE), (SIDE, SIDE))) for file in files]
    rng = torch.Generator().manual_seed(0)
    made = {
        "photo": [(photo, photo) for photo in photos],
        "noisy": [(photo, photo + 0.15 * torch.randn(photo.shape, generator=rng)) for photo in photos],
    }
    for name, path in stylefile.bundled().items():
        network = stylefile.load(path)[0]
        with torch.no_grad():
            made[f"painted by {name}"] = [(photo, network(photo)) for photo in photos]
    return made


def measure(loss: Criterion, style: StyleTarget, photo: Tensor, picture: Tensor) -> dict[str, object]:
    """Losses of a picture and their gradients by it."""
    picture = picture.clone().requires_grad_()
    losses = loss(picture, loss.content_target(photo), style)
    found = {}
    for name in ("style", "content"):
        value = losses.values[name]
        gradient = torch.autograd.grad(value, picture, retain_graph=name == "style")[0]
        found |= {name: value.item(), f"{name}_gradient": gradient}
    return found


def explained(losses: dict[str, Criterion], picture: Tensor) -> list[float]:
    """The share of the features' variance that the student has, layer by layer."""
    with torch.no_grad():
        whole, ours = (loss.features(picture, LAYERS) for loss in losses.values())
    return [
        1 - ((ours[name] - whole[name]).square().mean() / whole[name].var(dim=(2, 3)).mean()).item() for name in LAYERS
    ]


def compare(
    losses: dict[str, Criterion], styles: dict[str, StyleTarget], kind: list[tuple[Tensor, Tensor]]
) -> dict[str, float]:
    """One row of the table."""
    both = [[measure(loss, styles[name], *pair) for name, loss in losses.items()] for pair in kind]
    shares = [explained(losses, picture) for _, picture in kind]
    row = {name: statistics.median(share[i] for share in shares) for i, name in enumerate(LAYERS)}
    for name in ("style", "content"):
        if all(whole[name] > 0 for whole, _ in both):
            ratios = [ours[name] / whole[name] for whole, ours in both]
            row[f"{name}_ratio"] = statistics.median(ratios)
            row[f"{name}_spread"] = statistics.pstdev([torch.tensor(ratio).log().item() for ratio in ratios])
            row[f"{name}_cosine"] = statistics.median(
                torch.cosine_similarity(*(one[f"{name}_gradient"].flatten() for one in pair), dim=0).item()
                for pair in both
            )
    return row


def seconds(run: Callable[[], object], times: int = 9) -> float:
    run()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main(arguments: list[str]) -> None:
    """Measure, write results.json and the table."""
    small = Path(next((word.partition("=")[2] for word in arguments if word.startswith("weights=")), SMALL_WEIGHTS))
    keep_memory()
    losses, kinds = criteria(small), pictures()
    rows = []
    for painting, file in PAINTINGS.items():
        target = images.read(store.home() / "styles" / file)
        target = images.to_tensor(images.resize(target, images.fit_long_edge(*target.shape[:2], 512)))
        styles = {name: loss.style_target([target]) for name, loss in losses.items()}
        rows += [
            {"painting": painting, "pictures": kind, **compare(losses, styles, pairs)} for kind, pairs in kinds.items()
        ]
    photo, picture = kinds["noisy"][0]
    times = {
        name: seconds(lambda name=name, loss=loss: measure(loss, styles[name], photo, picture))
        for name, loss in losses.items()
    }
    result = {"rows": rows, "seconds": times, "side": SIDE, "photos": COUNT, "threads": torch.get_num_threads()}
    write_json(HERE / "results.json", result)
    text = table(result)
    print(text)
    renew(HERE / "README.md", "<!-- table -->", text)


def table(result: dict) -> str:
    """The results as Markdown."""
    lines = [
        f"| painting | {result['photos']} pictures | relu1_2 | relu2_2 | relu3_3 | style loss | its gradient "
        "| content loss | its gradient |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        cells = [f"{100 * row[name]:.0f} %" for name in LAYERS]
        for name in ("style", "content"):
            if f"{name}_ratio" in row:
                cells += [
                    f"×{row[f'{name}_ratio']:.2f} ±{100 * row[f'{name}_spread']:.0f} %", f"{row[f'{name}_cosine']:.2f}"
                ]  # fmt: skip
            else:
                cells += ["0 in both", ""]
        lines.append(f"| {row['painting']} | {row['pictures']} | {' | '.join(cells)} |")
    whole, ours = result["seconds"].values()
    lines.append(
        f"\nA loss and its gradient at {result['side']}², {result['threads']} thread(s): VGG-16 {1000 * whole:.0f} ms, "
        f"vgg16_small {1000 * ours:.0f} ms, {whole / ours:.1f} times faster."
    )
    return "\n".join(lines)


if __name__ == "__main__":
    with one_line_errors():
        main(sys.argv[1:])

"""Train vgg16_small, the student of VGG-16 that comes with fst: python experiments/distil_vgg/run.py minutes=40

Needs VGG-16's weights to relu3_3, photos (imagenet-sample and coco) and paintings in FST_HOME. The file is written to
output= (fst/losses/vgg16_small.safetensors) every 200 steps, in 16 bits; Ctrl-C keeps the last. start=FILE goes on from
a student's file with other pictures (seed=) instead of from a pruned VGG-16.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from pictures import Pictures
from safetensors.torch import save
from torch import Tensor

from fst import store
from fst.errors import UserError, one_line_errors
from fst.files import replacing
from fst.losses.gram import gram_matrix
from fst.losses.names import HEADS, SMALL, layer_names
from fst.losses.vgg import OXFORD_SCALE, VGGFeatures, tensor_shapes
from fst.losses.weights import SMALL_WEIGHTS, load_features, load_weights
from fst.system import keep_memory

LAYERS = list(HEADS)
# Of these paintings the student never sees a brushstroke: the study of zero downloads measures on them.
UNSEEN = ("starry_night", "wave")
LEARNING_RATE = 3e-3
SAVE_EVERY = 200


def teacher() -> VGGFeatures:
    """VGG-16 to relu3_3 with Oxford's weights."""
    return load_features(LAYERS)


@torch.no_grad()
def pruned(whole: VGGFeatures, photos: Tensor) -> dict[str, Tensor]:
    """First weights for the student: the teacher's own kernels between the channels that explain most.

    Channels of a block are chosen once, at its last ReLU, by pivoted Gram-Schmidt on their second moments; heads start
    as the least squares fit of all channels by the chosen ones.
    """
    shapes = tensor_shapes(layer_names(SMALL), SMALL)
    found = whole(photos, whole.names)
    kept_before = torch.arange(3)
    weights: dict[str, Tensor] = {}
    for name, convolution in zip(whole.names, whole.convolutions, strict=True):
        key = _key(name)
        outputs = shapes[f"{key}.weight"][0]
        moments = _moments(found[name])
        kept = _pivots(moments, outputs)
        ratio = (convolution.weight.shape[1] / len(kept_before)) ** 0.5  # lost inputs: the sum keeps its deviation
        weights[f"{key}.weight"] = convolution.weight[kept][:, kept_before] * ratio
        weights[f"{key}.bias"] = convolution.bias[kept] * OXFORD_SCALE
        if name in HEADS:
            fit = torch.linalg.lstsq(moments[kept][:, kept], moments[kept]).solution.T
            weights[f"heads.{name}.weight"] = fit[:, :, None, None].contiguous()
            weights[f"heads.{name}.bias"] = torch.zeros(len(fit))
        kept_before = kept
    return weights


def _moments(features: Tensor) -> Tensor:
    pixels = features.permute(0, 2, 3, 1).flatten(0, 2)
    return pixels.T @ pixels / len(pixels) + 1e-6 * torch.eye(pixels.shape[1])


def _pivots(moments: Tensor, count: int) -> Tensor:
    rest, kept = moments.clone(), []
    for _ in range(count):
        pivot = int((rest.square().sum(1) / rest.diagonal().clamp(min=1e-12)).argmax())
        kept.append(pivot)
        rest -= torch.outer(rest[:, pivot], rest[pivot]) / rest[pivot, pivot]
        rest[pivot], rest[:, pivot] = 0, 0
    return torch.tensor(kept)


def _key(layer: str) -> str:
    names = layer_names(SMALL)
    return [key for key in tensor_shapes(names, SMALL) if key.startswith("features")][2 * names.index(layer)][:-7]


def distance(student: dict[str, Tensor], teacher: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """How far the student's features are from the teacher's, and differences of its Gram matrices from the teacher's.

    Both relative, summed over layers. Differences between two pictures' Gram matrices, not the matrices: it is these
    that a style loss squares, and pictures close to a painting in style have small ones.
    """
    features, grams = [], []
    for name in LAYERS:
        size = teacher[name].square().mean((1, 2, 3), keepdim=True) + 1e-4
        features.append(((student[name] - teacher[name]).square() / size).mean())
        ours, theirs = gram_matrix(student[name]), gram_matrix(teacher[name])
        for shift in (1, 3):
            wanted = theirs - theirs.roll(shift, 0)
            missed = ours - ours.roll(shift, 0) - wanted
            scale = wanted.square().sum((1, 2)) + 1e-3 * theirs.square().sum((1, 2))
            grams.append((missed.square().sum((1, 2)) / scale).mean() / 2)
    return sum(features), sum(grams)


def write(student: VGGFeatures, path: Path) -> None:
    """The student's weights as `load_weights` reads them: biases as for an image of 0..255."""
    names = [name.rsplit(".", 1)[0] for name in tensor_shapes(layer_names(SMALL), SMALL) if name.endswith("weight")]
    modules = [*student.convolutions, *(student.heads[name] for name in LAYERS)]
    ordered = sorted(names, key=lambda name: name.startswith("heads"))
    tensors = {}
    for name, module in zip(ordered, modules, strict=True):
        tensors[f"{name}.weight"] = module.weight.detach().half().contiguous()
        tensors[f"{name}.bias"] = (module.bias.detach() * OXFORD_SCALE).half()
    with replacing(path) as beside:
        beside.write_bytes(save(tensors, metadata={"source": "fst, experiments/distil_vgg"}))


def train(minutes: float, output: Path, start: Path | None = None, seed: int = 0) -> None:
    """Distil for so many minutes, from a pruned teacher or from a student's file."""
    torch.manual_seed(seed)
    keep_memory()
    whole = teacher().to(memory_format=torch.channels_last)
    styles = [path for path in sorted((store.home() / "styles").glob("*.jpg")) if not path.stem.startswith(UNSEEN)]
    draft = Pictures(VGGFeatures(LAYERS, _untrained(), architecture=SMALL), styles, seed)
    if start:
        weights = load_weights(str(start), LAYERS, architecture=SMALL)
    else:
        weights = pruned(whole, torch.cat([next(draft.photos[i % 2]) for i in range(8)]))
    student = VGGFeatures(LAYERS, weights, architecture=SMALL).to(memory_format=torch.channels_last)
    pictures = Pictures(student, styles, seed)
    optimizer = torch.optim.Adam(student.parameters(), LEARNING_RATE)
    began, step, shown = time.monotonic(), 0, [0.0, 0.0]
    try:
        while (spent := (time.monotonic() - began) / 60) < minutes:
            for group in optimizer.param_groups:  # a ramp of 100 steps, then half a cosine over the time
                group["lr"] = LEARNING_RATE * min(1, (step + 1) / 100) * (0.01 + 0.99 * _half_cosine(spent / minutes))
            student.requires_grad_(False)
            batch = pictures().contiguous(memory_format=torch.channels_last)
            student.requires_grad_(True)
            with torch.no_grad():
                wanted = whole(batch, LAYERS)
            features, grams = distance(student(batch, LAYERS), wanted)
            optimizer.zero_grad()
            (features + 0.5 * grams).backward()
            torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            optimizer.step()
            step += 1
            weight = max(0.02, 1 / step)
            shown = [old + weight * (new.item() - old) for old, new in zip(shown, (features, grams), strict=True)]
            if step % 20 == 0:
                state = f"step {step}  features {shown[0]:.4f}  Gram {shown[1]:.4f}"
                print(f"\r{spent:5.1f} of {minutes:g} min  {state}", end="", flush=True)
            if step % SAVE_EVERY == 0:
                write(student, output)
    except KeyboardInterrupt:
        print("\nstopped; what was learnt is kept", end="")
    write(student, output)
    print(f"\n{output}: {output.stat().st_size / 1e3:.0f} kB after {step} steps")


def _untrained() -> dict[str, Tensor]:
    shapes = tensor_shapes(layer_names(SMALL), SMALL)
    return {name: torch.zeros(shape) for name, shape in shapes.items()}


def _half_cosine(done: float) -> float:
    return 0.5 + 0.5 * float(torch.cos(torch.tensor(torch.pi * min(done, 1.0))))


def main(arguments: list[str]) -> None:
    settings = {"minutes": "40", "output": str(SMALL_WEIGHTS), "start": "", "seed": "0"}
    for word in arguments:
        key, _, value = word.partition("=")
        if key not in settings or not value:
            raise UserError("usage: python run.py [minutes=40] [output=FILE] [start=FILE] [seed=0]")
        settings[key] = value
    start = Path(settings["start"]) if settings["start"] else None
    train(float(settings["minutes"]), Path(settings["output"]), start, int(settings["seed"]))


if __name__ == "__main__":
    with one_line_errors():
        main(sys.argv[1:])

"""Where a VGG's weights come from: the store, torchvision's pinned files, or a file of one's own."""

import hashlib
import pickle
import zipfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor

from fst import store
from fst.errors import UserError
from fst.losses.names import BUNDLED, check_weights, convolution_number, layer_names
from fst.losses.vgg import tensor_shapes

MODELS = "https://download.pytorch.org/models/"
# torchvision's names, files, digests and bytes (it publishes MiB): torchvision.models.VGG16_Weights and VGG19_Weights.
PINNED = {
    ("vgg16", "IMAGENET1K_FEATURES"): ("vgg16_features-amdegroot-88682ab5.pth", "88682ab5", 553_440_510),
    ("vgg16", "IMAGENET1K_V1"): ("vgg16-397923af.pth", "397923af", 553_433_881),
    ("vgg19", "IMAGENET1K_V1"): ("vgg19-dcbb9e9d.pth", "dcbb9e9d", 574_673_361),
}
OXFORD = "IMAGENET1K_FEATURES"
SMALL_DIGEST = "346d9d53080c4e38"  # of the file below: whoever distils another one writes its own here
SMALL_WEIGHTS = Path(__file__).with_name("vgg16_small.safetensors")  # fst's own, with Oxford's normalisation


@dataclass(frozen=True)
class Weights:
    """Tensors under torchvision's names, the input normalisation they were trained with, and their file."""

    tensors: dict[str, Tensor]
    normalisation: str
    path: Path


def load_weights(source: str, layers: Iterable[str], *, architecture: str = "vgg16") -> Weights:
    """The weights for the given layers.

    Args:
        source: "IMAGENET1K_FEATURES" (Oxford's, as Johnson et al. used), "IMAGENET1K_V1" (torchvision's own training),
            "BUNDLED" (the small student's), or a .safetensors or .pth file with torchvision's names, taken to expect
            Oxford's normalisation.
        layers: the ReLUs needed.
        architecture: "vgg16", "vgg19" or "vgg16_small".

    Raises:
        UserError: no such file, a file that does not reach the deepest layer, or no network to download one.
    """
    names = layer_names(architecture)
    deepest = max(layers, key=names.index)
    path = _locate(source, architecture, deepest)
    _check_digest(path)
    tensors = _read(path)
    reached = _reach(tensors, architecture)
    if reached is None:
        raise UserError(f"weights file {path} holds no {architecture}: tensors are named like features.0.weight there")
    if names.index(reached) < names.index(deepest):
        raise UserError(_too_short(f"weights file {path}", reached, deepest))
    _check_shapes(tensors, names[: names.index(deepest) + 1], architecture, path)
    return Weights(tensors, "imagenet" if source == "IMAGENET1K_V1" else "oxford", path)


def _check_digest(path: Path) -> None:
    """Raise UserError if a file whose digest is known is not what it was: a flipped bit changes losses unnoticed."""
    known = {file: digest for file, digest, _ in PINNED.values()} | {SMALL_WEIGHTS.name: SMALL_DIGEST}
    if path.name not in known or not path.is_file():
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(known[path.name]):
        raise UserError(f"weights file {path} is damaged (sha256 {found[:16]}…): remove it, so that it is fetched anew")


def _locate(source: str, architecture: str, deepest: str) -> Path:
    check_weights(source, architecture)
    if source == BUNDLED:
        return SMALL_WEIGHTS
    if (architecture, source) not in PINNED:
        return Path(source).expanduser()
    partial = _partial_files(architecture) if source == OXFORD else {}
    names = layer_names(architecture)
    longest = max(partial, key=lambda path: names.index(partial[path]), default=None)
    if longest is not None and names.index(partial[longest]) >= names.index(deepest):
        return longest
    file, sha256, size = PINNED[architecture, source]
    without = "loss=vgg16_small does without them, loss.weights=FILE takes a file of yours"
    try:
        return store.fetch(f"weights/{file}", store.Remote(MODELS + file, sha256, size), otherwise=without)
    except UserError as error:
        if longest is None:
            raise
        raise UserError(f"{_too_short(longest.name, partial[longest], deepest)} ({error})") from None


def _partial_files(architecture: str) -> dict[Path, str]:
    """The store's safetensors files of an architecture (Oxford weights), with the deepest layer each reaches."""
    files = sorted((store.home() / "weights").glob(f"{architecture}_*.safetensors"))
    reached = {file: _reach(_read(file), architecture) for file in files}
    return {file: layer for file, layer in reached.items() if layer is not None}


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # torchvision's files of 2017 are older than the zip format, which alone can be mapped into memory.
        tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
        if not isinstance(tensors, dict):
            raise ValueError("it holds no named tensors")
        return tensors
    except (pickle.UnpicklingError, EOFError, KeyError):  # torch's text advises a load that could run code
        raise UserError(f"weights file {path} is damaged or no weights file: it is no plain file of tensors") from None
    except (OSError, RuntimeError, ValueError, safetensors.SafetensorError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"weights file {path} is damaged or no weights file: {reason}") from None


def _reach(tensors: Collection[str], architecture: str) -> str | None:
    """The deepest layer up to which no convolution is missing."""
    deepest = None
    for layer in layer_names(architecture):
        if f"features.{convolution_number(layer, architecture)}.weight" not in tensors:
            break
        deepest = layer
    return deepest


def _check_shapes(tensors: dict[str, Tensor], layers: Iterable[str], architecture: str, path: Path) -> None:
    for name, shape in tensor_shapes(layers, architecture).items():
        if name not in tensors or tuple(tensors[name].shape) != shape:
            raise UserError(f"weights file {path} is no {architecture}'s: {name} is missing or misshapen")


def _too_short(file: str, reached: str, deepest: str) -> str:
    shorter = f"set loss.style_layers and loss.content_layers to layers up to {reached}"
    advice = "use loss=vgg16_relu3" if reached == "relu3_3" else shorter
    return f"{file} reaches {reached}, but the loss asks for {deepest}: {advice}"

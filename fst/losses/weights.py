"""Where a VGG's weights come from: the store, torchvision's pinned files, or a file of one's own."""

import hashlib
import itertools
import pickle
import zipfile
from collections.abc import Collection, Iterable
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor

from fst import store
from fst.errors import UserError
from fst.files import expanded
from fst.losses.names import BUNDLED, check_weights, convolution_number, layer_names
from fst.losses.vgg import VGGFeatures, tensor_shapes

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


def load_features(
    layers: Collection[str], source: str = OXFORD, *, architecture: str = "vgg16", pooling: str = "max"
) -> VGGFeatures:
    """The extractor of the given layers, with the weights of `load_weights` and the normalisation that they expect."""
    normalisation = "imagenet" if source == "IMAGENET1K_V1" else "oxford"
    weights = load_weights(source, layers, architecture=architecture)
    return VGGFeatures(layers, weights, architecture=architecture, normalisation=normalisation, pooling=pooling)


def load_weights(source: str, layers: Iterable[str], *, architecture: str = "vgg16") -> dict[str, Tensor]:
    """The weights for the given layers, under torchvision's names.

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
    needed = names[: 1 + max(names.index(layer) for layer in layers)]
    path = _locate(source, architecture, needed)
    _check_digest(path)
    tensors = _read(path)
    reached = _reached(tensors, architecture)
    if not reached:
        raise UserError(f"weights file {path} holds no {architecture}: tensors are named like features.0.weight there")
    if len(reached) < len(needed):
        raise UserError(_too_short(f"weights file {path}", reached, needed))
    for name, shape in tensor_shapes(needed, architecture).items():
        if name not in tensors or tuple(tensors[name].shape) != shape:
            raise UserError(f"weights file {path} is no {architecture}'s: {name} is missing or misshapen")
    return tensors


def _check_digest(path: Path) -> None:
    """Raise UserError if a file whose digest is known is not what it was: a flipped bit changes losses unnoticed."""
    known = {file: digest for file, digest, _ in PINNED.values()} | {SMALL_WEIGHTS.name: SMALL_DIGEST}
    if path.name not in known:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(known[path.name]):
        raise UserError(f"weights file {path} is damaged (sha256 {found[:16]}…): remove it, so that it is fetched anew")


def _locate(source: str, architecture: str, needed: list[str]) -> Path:
    check_weights(source, architecture)
    if source == BUNDLED:
        return SMALL_WEIGHTS
    if (architecture, source) not in PINNED:
        return expanded(source)
    reached, cut = _longest_cut() if source == OXFORD else ([], None)
    if len(reached) >= len(needed):
        return cut
    file, sha256, size = PINNED[architecture, source]
    without = "loss=vgg16_small does without them, loss.weights=FILE takes a file of yours"
    try:
        return store.fetch(f"weights/{file}", store.Remote(MODELS + file, sha256, size), otherwise=without)
    except UserError as error:
        if not reached:
            raise
        raise UserError(f"{_too_short(cut.name, reached, needed)} ({error})") from None


def _longest_cut() -> tuple[list[str], Path | None]:
    """Of the store's safetensors files of VGG-16 (Oxford weights), the deepest, after the layers that it reaches."""
    files = sorted((store.home() / "weights").glob("vgg16_*.safetensors"))
    return max(
        ((_reached(_read(file), "vgg16"), file) for file in files), key=lambda cut: len(cut[0]), default=([], None)
    )


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


def _reached(tensors: Collection[str], architecture: str) -> list[str]:
    """The layers from the first on, up to which no convolution is missing."""

    def there(layer: str) -> bool:
        return f"features.{convolution_number(layer, architecture)}.weight" in tensors

    return list(itertools.takewhile(there, layer_names(architecture)))


def _too_short(file: str, reached: list[str], needed: list[str]) -> str:
    shorter = f"set loss.style_layers and loss.content_layers to layers up to {reached[-1]}"
    advice = "use loss=vgg16_relu3" if reached[-1] == "relu3_3" else shorter
    return f"{file} reaches {reached[-1]}, but the loss asks for {needed[-1]}: {advice}"

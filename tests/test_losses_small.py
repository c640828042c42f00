"""fst's own small loss network."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from criteria import build_criterion
from safetensors.torch import load_file
from torch import Tensor

from fst import images
from fst.errors import UserError
from fst.losses.names import HEADS
from fst.losses.vgg import VGGFeatures, tensor_shapes
from fst.losses.weights import SMALL_WEIGHTS, load_features


def small(layers: list[str]) -> VGGFeatures:
    return load_features(layers, "BUNDLED", architecture="vgg16_small")


def test_it_is_vgg16s_blocks_with_fewer_channels_and_a_head_at_each_tap() -> None:
    """The forward pass written out with functions, from the file's own numbers."""
    weights = {name: tensor.double() for name, tensor in load_file(SMALL_WEIGHTS).items()}
    image = torch.rand(1, 3, 24, 40, generator=torch.Generator().manual_seed(0)).double()
    x = (image * 255 - torch.tensor([123.68, 116.779, 103.939]).view(1, 3, 1, 1)) / 128
    expected: dict[str, Tensor] = {}
    for block, numbers in enumerate([(0, 2), (5, 7), (10, 12, 14)], start=1):
        if block > 1:
            x = F.max_pool2d(x, 2)
        for number in numbers:
            weight, bias = weights[f"features.{number}.weight"], weights[f"features.{number}.bias"]
            x = F.relu(F.conv2d(x, weight, bias / 128, padding=1))
        name = f"relu{block}_{len(numbers)}"
        head, bias = weights[f"heads.{name}.weight"], weights[f"heads.{name}.bias"]
        expected[name] = F.relu(F.conv2d(x, head, bias / 128))
    found = small(list(HEADS)).in_precision(torch.float64)(image, HEADS)
    assert {name: tensor.shape[1] for name, tensor in found.items()} == {"relu1_2": 64, "relu2_2": 128, "relu3_3": 256}
    for name, tensor in expected.items():
        assert torch.allclose(found[name], tensor, atol=1e-5)


def test_it_is_small_and_cheap() -> None:
    assert SMALL_WEIGHTS.stat().st_size < 2_000_000

    def work(architecture: str) -> float:
        """Multiplications a pixel, from the shapes: a layer of block b sees a 4^(b-1)-th of the pixels."""
        layers = ["relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu3_3"]
        shapes = [(layer, tensor_shapes([layer], architecture)) for layer in layers]
        kernels = [
            (layer, shape) for layer, found in shapes for name, shape in found.items() if name.endswith("weight")
        ]
        return sum(torch.Size(shape).numel() / 4 ** (int(layer[4]) - 1) for layer, shape in kernels)

    assert 4 <= work("vgg16") / work("vgg16_small") <= 10


def test_only_its_taps_can_be_asked_for() -> None:
    with pytest.raises(UserError, match="unknown layer 'relu3_2' of vgg16_small, did you mean 'relu3_3'"):
        small(["relu3_2"])


def test_its_losses_are_vgg16s(store: Path) -> None:
    """Style and content losses of real pictures, ranked and sized as by the real VGG-16."""
    criteria = [
        build_criterion(features, style_layers=list(HEADS), style_weight=1e5)
        for features in (load_features(HEADS), small(list(HEADS)))
    ]
    painting = images.to_tensor(images.resize(images.read(store / "styles/starry_night_google.jpg"), (256, 320)))
    photos = [images.to_tensor(images.resize(images.read(file), (128, 128))) for file in _photos(store)]
    noisy = [(photo + 0.1 * torch.randn(photo.shape, generator=torch.Generator().manual_seed(1))) for photo in photos]
    losses = []
    for criterion in criteria:
        style = criterion.style_target([painting])
        with torch.no_grad():
            terms = [
                criterion(image, criterion.content_target(photo), style)
                for photo, image in zip([*photos, *photos], [*photos[::-1], *noisy], strict=True)
            ]
        losses.append(torch.tensor([[float(term.values["style"]), float(term.values["content"])] for term in terms]))
    whole, ours = losses
    assert ((ours / whole).log2().abs().median(0).values < 0.5).all()  # within a factor of 1.4
    ranks = [column.argsort().argsort().float() for column in (whole[:, 0], ours[:, 0])]
    assert torch.corrcoef(torch.stack(ranks))[0, 1] > 0.9


def _photos(store: Path) -> list[Path]:
    return sorted((store / "photos").glob("*.jpg"))[:8]

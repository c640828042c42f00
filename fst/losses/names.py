"""The layers and the weights of VGG-16, VGG-19 (Simonyan and Zisserman 2014) and fst's own small student of VGG-16, by
name: no torch needed.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from fst.errors import UserError, near
from fst.files import expanded
from fst.values import one_of

SMALL = "vgg16_small"
CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4), SMALL: (2, 2, 3)}  # in each block
WIDTHS = {"vgg16": (64, 128, 256, 512, 512), "vgg19": (64, 128, 256, 512, 512), SMALL: (32, 48, 96)}  # of each block
# The small student predicts VGG-16's features at these ReLUs, and only there: channels predicted.
HEADS = {"relu1_2": 64, "relu2_2": 128, "relu3_3": 256}
# torchvision's names for the weights it publishes, VGG16_Weights and VGG19_Weights; fst's own come with it.
BUNDLED = "BUNDLED"
WEIGHTS = {"vgg16": ("IMAGENET1K_FEATURES", "IMAGENET1K_V1"), "vgg19": ("IMAGENET1K_V1",), SMALL: (BUNDLED,)}


def layer_names(architecture: str = "vgg16") -> list[str]:
    """Every ReLU of an architecture in order: relu1_1, relu1_2, relu2_1, ... relu5_3 (VGG-16)."""
    return [
        f"relu{block}_{index}"
        for block, count in enumerate(CONVOLUTIONS[architecture], start=1)
        for index in range(1, count + 1)
    ]


def check_layers(layers: Iterable[str], architecture: str = "vgg16") -> None:
    """Raise UserError for an unknown architecture, or a name that is no ReLU of it that can be tapped."""
    one_of("loss.architecture", architecture, CONVOLUTIONS)
    known = list(HEADS) if architecture == SMALL else layer_names(architecture)
    for layer in layers:
        if layer not in known:
            raise UserError(f"unknown layer '{layer}' of {architecture}{near(layer, known)}")


def check_weights(source: str, architecture: str = "vgg16") -> None:
    """Raise UserError for a source of weights that is neither one of the architecture's names nor a file."""
    known = WEIGHTS[architecture]
    if source in known or expanded(source).is_file():
        return
    if Path(source).suffix or "/" in source:
        raise UserError(f"weights file {source} does not exist")
    raise UserError(f"loss.weights={source} is neither a file nor weights of {architecture}{near(source, list(known))}")


def block_and_index(layer: str) -> tuple[int, int]:
    """relu3_2 -> (3, 2)."""
    block, index = re.findall(r"\d+", layer)
    return int(block), int(index)


def convolution_number(layer: str, architecture: str = "vgg16") -> int:
    """torchvision's number of a layer's convolution: relu1_1 -> 0 ("features.0"), relu3_3 -> 14."""
    block, index = block_and_index(layer)
    return sum(2 * count + 1 for count in CONVOLUTIONS[architecture][: block - 1]) + 2 * (index - 1)


def smallest_side(layers: Iterable[str]) -> int:
    """The least image side, in pixels, at which each of the layers still sees a 2×2 feature map."""
    return max(2 ** block_and_index(layer)[0] for layer in layers)

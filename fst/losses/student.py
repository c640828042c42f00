"""What a network's predictor reads of paintings: Gram matrices of fst's own small student of VGG-16."""

from collections.abc import Iterable

import torch
from torch import Tensor

from fst.losses.gram import gram_matrix
from fst.losses.names import BUNDLED, HEADS, SMALL
from fst.losses.vgg import VGGFeatures
from fst.losses.weights import load_features


def student() -> VGGFeatures:
    """The small student, to all layers that it predicts, channels last."""
    return load_features(HEADS, BUNDLED, architecture=SMALL).to(memory_format=torch.channels_last)


@torch.no_grad()
def read(features: VGGFeatures, pictures: Iterable[Tensor]) -> dict[str, Tensor]:
    """Gram matrices (N, C, C) by layer, of pictures each (1, 3, H, W) in [0, 1]; sizes may differ."""
    found = [{layer: gram_matrix(of) for layer, of in features(picture, HEADS).items()} for picture in pictures]
    return {layer: torch.cat([grams[layer] for grams in found]) for layer in HEADS}

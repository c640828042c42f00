"""From a composed config to the parts of a run: criterion, network, module."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from fst import images, stylefile
from fst.config.schema import AUTO
from fst.errors import UserError
from fst.losses.perceptual import PerceptualLoss
from fst.losses.vgg import VGGFeatures
from fst.losses.weights import load_weights
from fst.methods.feedforward import FeedForwardStyleTransfer
from fst.networks import build as build_network
from fst.runfolder import STYLE
from fst.stylefile import StyleInfo

if TYPE_CHECKING:
    from fst.data.module import PhotoData

STARRY_NIGHT = 580.0  # 1e5 times its style_size, at 512 pixels, to relu3_3, at scales 1 and 1/2


def criterion(config: DictConfig, painting: np.ndarray, *, precision: str = "32-true") -> PerceptualLoss:
    """The perceptual loss of a config with its painting set, channels last, features in the run's precision.

    Args:
        config: a training config.
        painting: uint8 (H, W, 3).
        precision: Lightning's name for it.

    Raises:
        UserError: no weights to be had.
    """
    loss = config.loss
    layers = [*loss.content_layers, *loss.style_layers]
    weights = load_weights(loss.weights, layers, architecture=loss.architecture)
    features = VGGFeatures(
        layers,
        weights.tensors,
        architecture=loss.architecture,
        normalisation=weights.normalisation,
        pooling=loss.pooling,
    )
    found = PerceptualLoss(
        features.to(memory_format=torch.channels_last),
        content_layers=loss.content_layers,
        style_layers=loss.style_layers,
        style_layer_weights=loss.style_layer_weights,
        style_scales=loss.style_scales,
        content_weight=loss.content_weight,
        style_weight=1.0 if loss.style_weight == AUTO else loss.style_weight,
        tv_weight=loss.tv_weight,
    )
    found.set_style([images.to_tensor(painting)])
    if loss.style_weight == AUTO:
        found.style_weight = automatic_style_weight(found.style_size())
    if precision == "bf16-mixed":
        features.in_precision(torch.bfloat16)  # after the targets, which stay exact
    return found


def automatic_style_weight(size: float) -> float:
    """The style weight for a painting whose `PerceptualLoss.style_size` is `size`, to two digits.

    Paintings differ sixfold in the size of their Gram matrices, and so do style losses at the same likeness. With
    this weight the weighted style loss of a featureless picture is the same for all of them: what it is for The Starry
    Night at 1e5 (experiments/style_weight).
    """
    return float(f"{STARRY_NIGHT / size:.2g}")


def feedforward(config: DictConfig, criterion: PerceptualLoss, data: PhotoData) -> FeedForwardStyleTransfer:
    """The feed-forward method of a config, with the photos to preview."""
    settings = OmegaConf.to_container(config.network)
    del settings["name"]
    network = build_network(config.network.name, **settings)
    if config.method.init_from is not None and config.resume is None:
        start_from(network, config.method.init_from, config.network.name)
    module = FeedForwardStyleTransfer(
        network.to(memory_format=torch.channels_last),
        criterion,
        config.method,
        steps=config.trainer.max_steps,
        info=style_info(config, settings, data.name),
    )
    named = [(Path(name).stem, images.to_tensor(images.read(name))[0]) for name in config.logger.preview_images]
    module.preview_photos = named or data.preview_photos(config.logger.preview_count)
    return module


def start_from(network: nn.Module, style: str, name: str) -> None:
    """Give a network the weights of a trained style: another painting is learnt from there in a fraction of the steps.

    Args:
        network: changed in place.
        style: a bundled style's name, a style file or a run folder.
        name: of the network, for the message.

    Raises:
        UserError: no such style, or its network is not of the same shape.
    """
    path = stylefile.bundled().get(style, Path(style).expanduser())
    weights, info = stylefile.load(path / STYLE if path.is_dir() else path)
    shapes = [{key: value.shape for key, value in of.state_dict().items()} for of in (weights, network)]
    if info.network != name or shapes[0] != shapes[1]:
        described = ", ".join(f"network.{key}={value}" for key, value in info.settings.items())
        raise UserError(
            f"method.init_from={style} holds another network than this run's: {info.network} with {described}"
        )
    network.load_state_dict(weights.state_dict())


def style_info(config: DictConfig, settings: dict[str, Any], data: str) -> StyleInfo:
    """What a style file of this run says, but for steps and losses."""
    about = {key: config.style[key] for key in ("title", "artist", "year", "licence", "size")}
    training = {
        "loss": OmegaConf.to_container(config.loss, resolve=True),
        "data": {**OmegaConf.to_container(config.data, resolve=True), "name": data},
        "method": OmegaConf.to_container(config.method, resolve=True),
        "seed": config.seed,
    }
    return StyleInfo(
        name=config.style.name, network=config.network.name, settings=settings, style=about, training=training
    )

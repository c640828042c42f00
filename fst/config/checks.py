"""What spans several groups of the config, refused before anything is loaded."""

import math

from omegaconf import DictConfig, OmegaConf

from fst.config.schema import LossConfig, TrainConfig
from fst.errors import UserError
from fst.losses.names import layer_names, smallest_side


def check(config: DictConfig) -> TrainConfig:
    """The config as typed objects, each of which has checked itself, and what spans several of them.

    Raises:
        UserError: the first value that makes no sense.
    """
    typed: TrainConfig = OmegaConf.to_object(config)
    _check_size("style.size", typed.style.size, typed.loss)
    _check_size("data.size", typed.data.size, typed.loss)
    return typed


def _check_size(key: str, size: int, loss: LossConfig) -> None:
    layers = [*loss.content_layers, *loss.style_layers]
    needed = math.ceil(max(smallest_side(loss.style_layers) / min(loss.style_scales), smallest_side(layers)))
    if size < needed:
        deepest = max(layers, key=layer_names(loss.architecture).index)
        raise UserError(f"{key} is {size} pixels, but {deepest} needs at least {needed}")

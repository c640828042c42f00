"""What spans several groups of the config, refused before anything is loaded."""

import math

from omegaconf import DictConfig, OmegaConf

from fst.config.schema import AUTO, GatysConfig, TrainConfig
from fst.config.values import at_least, one_of
from fst.errors import UserError
from fst.losses.names import check_layers, check_weights, layer_names, smallest_side


def check(config: DictConfig) -> TrainConfig:
    """The config as typed objects, each of which has checked itself, and what spans several of them.

    Raises:
        UserError: the first value that makes no sense.
    """
    typed: TrainConfig = OmegaConf.to_object(config)
    _check_loss(config.loss)
    _check_size("style.size", config.style.size, config.loss)
    _check_size("data.size", config.data.size, config.loss)
    if config.network is not None:
        _check_network(config.network)
    if isinstance(typed.method, GatysConfig):
        _check_gatys(typed)
    return typed


def _check_network(network: DictConfig) -> None:
    for key in ("width", "depth"):
        if key in network:
            at_least(f"network.{key}", network[key], 1)
    if "fold" in network:
        one_of("network.fold", str(network.fold), ["2", "4"])
    if "widths" in network and min(network.widths, default=0) < 1:
        raise UserError(f"network.widths is {network.widths}; it takes a positive number a resolution, as [16,32,64]")
    one_of("network.norm", network.norm, ["instance", "batch"])


def _check_gatys(config: TrainConfig) -> None:
    method: GatysConfig = config.method
    if config.content is None:
        if config.loss.content_weight > 0:
            raise UserError("method=gatys paints one photo: content=PHOTO (a texture: loss.content_weight=0)")
        for key, values in {"init": ["content"], "colors": ["content", "match"]}.items():
            if (value := getattr(method, key)) in values:
                raise UserError(f"method.{key}={value} needs a photo: content=PHOTO, or choose another")
        if method.content_mask is not None:
            raise UserError("method.content_mask needs a photo: content=PHOTO")
    # Settings that would be ignored without a word.
    if str(config.compile).lower() == "true":
        raise UserError("compile=true is of no use to method=gatys: each size of the image would be compiled anew")
    if config.trainer.precision == "16-mixed":
        raise UserError("trainer.precision=16-mixed does not go with method=gatys: bf16-mixed does")
    if config.trainer.strategy != "auto" or config.trainer.devices not in ("auto", 1, "1"):
        raise UserError("method=gatys works on one device: trainer.strategy=auto trainer.devices=1")


def _check_loss(loss: DictConfig) -> None:
    if loss.style_weight != AUTO:
        if isinstance(loss.style_weight, bool) or not isinstance(loss.style_weight, int | float):
            raise UserError(f"loss.style_weight is '{loss.style_weight}', but it must be a number, as 1e5, or auto")
        at_least("loss.style_weight", loss.style_weight, 0)
    for key in ("content_weight", "tv_weight"):
        at_least(f"loss.{key}", loss[key], 0)
    if loss.content_weight == 0 and loss.style_weight == 0:
        raise UserError("loss.content_weight and loss.style_weight are both 0: nothing would be learnt")
    one_of("loss.pooling", loss.pooling, ["max", "avg"])
    check_layers([*loss.content_layers, *loss.style_layers], loss.architecture)
    check_weights(loss.weights, loss.architecture)
    for key in ("content_layers", "style_layers", "style_scales"):
        if len(set(loss[key])) < len(loss[key]):
            raise UserError(f"loss.{key}={loss[key]} names one of them twice")
    if not loss.content_layers or not loss.style_layers:
        raise UserError("loss.content_layers and loss.style_layers need at least one layer each, as [relu2_2]")
    for weight in loss.style_layer_weights or []:
        at_least("loss.style_layer_weights", weight, 0)
    if loss.style_layer_weights is not None and len(loss.style_layer_weights) != len(loss.style_layers):
        raise UserError(
            f"loss.style_layer_weights has {len(loss.style_layer_weights)} numbers for "
            f"{len(loss.style_layers)} loss.style_layers; give one a layer"
        )
    if not loss.style_scales or any(not 0 < scale <= 1 for scale in loss.style_scales):
        raise UserError("loss.style_scales are fractions of the image's size, as [1, 0.5]")


def _check_size(key: str, size: int, loss: DictConfig) -> None:
    layers = [*loss.content_layers, *loss.style_layers]
    needed = math.ceil(max(smallest_side(loss.style_layers) / min(loss.style_scales), smallest_side(layers)))
    if size < needed:
        deepest = max(layers, key=layer_names(loss.architecture).index)
        raise UserError(f"{key} is {size} pixels, but {deepest} needs at least {needed}")

"""Values that no type can rule out, refused before anything is loaded."""

import math
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf

from fst.config.schema import AUTO
from fst.errors import UserError, near
from fst.losses.names import check_layers, check_weights, layer_names, smallest_side

DATA = ["auto", "coco", "folder", "imagenet_sample", "procedural"]
PRECISIONS = ["auto", "32-true", "bf16-mixed", "16-mixed"]
SCHEDULES = ["constant", "cosine", "onecycle"]
ACCELERATORS = ["auto", "cpu", "gpu", "cuda", "mps"]
STRATEGIES = ["auto", "ddp", "ddp_spawn"]


def check(config: DictConfig) -> None:
    """Raise UserError for the first value of a training config that makes no sense."""
    _check_loss(config)
    _check_data(config)
    _check_trainer(config.trainer)
    _check_pictures(config)
    method = config.method
    _one_of("logger.mode", config.logger.mode, ["auto", "online", "offline", "disabled"])
    _at_least("logger.preview_count", config.logger.preview_count, 0)
    _one_of("compile", str(config.compile).lower(), ["auto", "true", "false"])
    if not 0 <= config.seed < 2**32:
        raise UserError(f"seed is {config.seed}, but it must lie between 0 and 4294967295")
    if "schedule" in method:
        _one_of("method.schedule", method.schedule, SCHEDULES)
    for key in ("learning_rate", "gradient_clip"):
        if method.get(key) is not None:
            _above_zero(f"method.{key}", method[key])
    if config.network is not None:
        _check_network(config.network)
    if method.name == "gatys":
        _check_gatys(config)


def _check_network(network: DictConfig) -> None:
    for key in ("width", "depth"):
        if key in network:
            _at_least(f"network.{key}", network[key], 1)
    if "fold" in network:
        _one_of("network.fold", str(network.fold), ["2", "4"])
    if "widths" in network and min(network.widths, default=0) < 1:
        raise UserError(f"network.widths is {network.widths}; it takes a positive number a resolution, as [16,32,64]")
    _one_of("network.norm", network.norm, ["instance", "batch"])


def _check_gatys(config: DictConfig) -> None:
    method, loss = config.method, config.loss
    _one_of("method.optimizer", method.optimizer, ["lbfgs", "adam"])
    _one_of("method.colors", method.colors, ["style", "content", "match"])
    for key, least in {"iterations": 1, "history": 1, "size": 1, "coarsest": 1}.items():
        if method[key] is not None:
            _at_least(f"method.{key}", method[key], least)
    if config.content is None:
        if loss.content_weight > 0:
            raise UserError("method=gatys paints one photo: content=PHOTO (a texture: loss.content_weight=0)")
        for key, value in {"init": "content", "colors": "content", "colors ": "match"}.items():
            if method[key.strip()] == value:
                raise UserError(f"method.{key.strip()}={value} needs a photo: content=PHOTO, or choose another")
        if method.content_mask is not None:
            raise UserError("method.content_mask needs a photo: content=PHOTO")
    if method.tile not in ("auto", None) and not (_is_count(method.tile) and int(method.tile) >= 32):
        raise UserError(f"method.tile is {method.tile}, but it must be auto, null or a number of pixels from 32 up")
    files = {f"method.styles[{n}]": file for n, file in enumerate(method.styles)}
    files |= {f"method.style_masks[{n}]": file for n, file in enumerate(method.style_masks)}
    files |= {"method.content_mask": method.content_mask}
    if method.init not in ("content", "noise"):
        files["method.init"] = method.init
    for key, file in files.items():
        if file is not None and not Path(file).expanduser().is_file():
            raise UserError(f"{key}: there is no file {file}")
    paintings = 1 + len(method.styles)
    if method.style_shares is not None:
        for share in method.style_shares:
            _above_zero("method.style_shares", share)
        if len(method.style_shares) != paintings:
            raise UserError(f"method.style_shares has {len(method.style_shares)} numbers for {paintings} paintings")
    if method.style_masks and method.content_mask is None:
        raise UserError("method.style_masks needs the photo's: method.content_mask=FILE")
    for kind in method.animation:
        _one_of("method.animation", kind, ["gif", "mp4", "webp"])
    _refuse_for_gatys(config)


def _refuse_for_gatys(config: DictConfig) -> None:
    """Settings that would be ignored without a word."""
    if str(config.compile).lower() == "true":
        raise UserError("compile=true is of no use to method=gatys: each size of the image would be compiled anew")
    if config.loss.style_warmup_steps:
        raise UserError("loss.style_warmup_steps is for training a network: leave it at 0 with method=gatys")
    if config.trainer.precision == "16-mixed":
        raise UserError("trainer.precision=16-mixed does not go with method=gatys: bf16-mixed does")
    if config.trainer.strategy != "auto" or config.trainer.devices not in ("auto", 1, "1"):
        raise UserError("method=gatys works on one device: trainer.strategy=auto trainer.devices=1")


def _check_pictures(config: DictConfig) -> None:
    """Missing ones are told now, not when the run ends and paints `content`."""
    if OmegaConf.is_missing(config.style, "image") or (config.style.image is None and config.style.file is None):
        raise UserError(f"style={config.style.name} needs a picture: style.image=FILE")
    own = config.style.image and str(Path(config.style.image).expanduser())
    pictures = {"style.image": own, "content": config.content}
    pictures |= {f"logger.preview_images[{n}]": photo for n, photo in enumerate(config.logger.preview_images)}
    for key, picture in pictures.items():
        if picture is not None and not Path(picture).is_file():
            raise UserError(f"{key}: there is no file {picture}")


def _check_trainer(trainer: DictConfig) -> None:
    for key in ("max_steps", "val_every", "checkpoint_every", "log_every", "num_nodes"):
        _at_least(f"trainer.{key}", trainer[key], 1)
    _one_of("trainer.accelerator", trainer.accelerator, ACCELERATORS)
    _one_of("trainer.strategy", trainer.strategy, STRATEGIES)
    _one_of("trainer.precision", trainer.precision, PRECISIONS)
    devices = trainer.devices
    if devices not in ("auto", -1) and not _is_count(devices) and not (isinstance(devices, ListConfig) and devices):
        raise UserError(f"trainer.devices is '{devices}'; write auto, a number of devices, or a list of them as [0,1]")


def _check_loss(config: DictConfig) -> None:
    loss = config.loss
    if loss.style_weight != AUTO:
        if isinstance(loss.style_weight, bool) or not isinstance(loss.style_weight, int | float):
            raise UserError(f"loss.style_weight is '{loss.style_weight}', but it must be a number, as 1e5, or auto")
        _at_least("loss.style_weight", loss.style_weight, 0)
    for key in ("content_weight", "tv_weight", "style_warmup_steps"):
        _at_least(f"loss.{key}", loss[key], 0)
    if loss.content_weight == 0 and loss.style_weight == 0:
        raise UserError("loss.content_weight and loss.style_weight are both 0: nothing would be learnt")
    _one_of("loss.pooling", loss.pooling, ["max", "avg"])
    check_layers([*loss.content_layers, *loss.style_layers], architecture(loss))
    check_weights(loss.weights, architecture(loss))
    for key in ("content_layers", "style_layers", "style_scales"):
        if len(set(loss[key])) < len(loss[key]):
            raise UserError(f"loss.{key}={loss[key]} names one of them twice")
    if not loss.content_layers or not loss.style_layers:
        raise UserError("loss.content_layers and loss.style_layers need at least one layer each, as [relu2_2]")
    for weight in loss.style_layer_weights or []:
        _at_least("loss.style_layer_weights", weight, 0)
    if loss.style_layer_weights is not None and len(loss.style_layer_weights) != len(loss.style_layers):
        raise UserError(
            f"loss.style_layer_weights has {len(loss.style_layer_weights)} numbers for "
            f"{len(loss.style_layers)} loss.style_layers; give one a layer"
        )
    if not loss.style_scales or any(not 0 < scale <= 1 for scale in loss.style_scales):
        raise UserError("loss.style_scales are fractions of the image's size, as [1, 0.5]")
    _check_size("style.size", config.style.size, loss)


def architecture(loss: DictConfig) -> str:
    """The loss network's name; of `auto`, the one whose layers are all there are to ask for."""
    return "vgg16" if loss.architecture == AUTO else loss.architecture


def _check_data(config: DictConfig) -> None:
    data = config.data
    _one_of("data", data.name, DATA)
    if data.name == "folder" and data.root is None:
        raise UserError("data=folder needs the folder of photos: data.root=DIR")
    if data.root is not None and not data.download and not Path(data.root).expanduser().is_dir():
        raise UserError(f"data.root: there is no folder {data.root}")
    _at_least("data.batch_size", data.batch_size, 1)
    _at_least("data.val_images", data.val_images, 1)
    if data.workers is not None:
        _at_least("data.workers", data.workers, 0)
    if len(data.scale) != 2 or not 1 <= data.scale[0] <= data.scale[1] < math.inf:
        raise UserError("data.scale is a range of short sides in crops, as [1.0, 1.5]: least first, at least 1")
    _check_size("data.size", data.size, config.loss)


def _check_size(key: str, size: int, loss: DictConfig) -> None:
    layers = [*loss.content_layers, *loss.style_layers]
    needed = math.ceil(max(smallest_side(loss.style_layers) / min(loss.style_scales), smallest_side(layers)))
    if size < needed:
        deepest = max(layers, key=layer_names(architecture(loss)).index)
        raise UserError(f"{key} is {size} pixels, but {deepest} needs at least {needed}")


def _at_least(key: str, value: float, least: float) -> None:
    if not least <= value < math.inf:
        raise UserError(
            f"{key} is {value:g}, but it must be {'finite' if value == math.inf else f'at least {least:g}'}"
        )


def _above_zero(key: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise UserError(f"{key} is {value:g}, but it must be {'finite' if value == math.inf else 'above 0'}")


def _is_count(value: object) -> bool:
    return str(value).isdigit() and int(str(value)) > 0


def _one_of(key: str, value: str, known: list[str]) -> None:
    if value not in known:
        raise UserError(f"{key} is '{value}'{near(value, known)}")

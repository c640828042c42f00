"""Values that no type can rule out, refused before anything is loaded."""

from omegaconf import DictConfig

from fst.errors import UserError, near
from fst.layers import check_layers, smallest_side

DATA = ["auto", "coco", "folder", "imagenet_sample", "procedural"]
PRECISIONS = ["auto", "32-true", "bf16-mixed", "16-mixed"]
SCHEDULES = ["constant", "cosine", "onecycle"]
WEIGHT_NAMES = ["IMAGENET1K_FEATURES", "IMAGENET1K_V1"]


def check(config: DictConfig) -> None:
    """Raise UserError for the first value of a training config that makes no sense."""
    _check_loss(config)
    _check_data(config)
    trainer, method = config.trainer, config.method
    for key in ("max_steps", "val_every", "checkpoint_every", "log_every", "num_nodes"):
        _at_least(f"trainer.{key}", trainer[key], 1)
    _one_of("trainer.precision", trainer.precision, PRECISIONS)
    _one_of("logger.mode", config.logger.mode, ["auto", "online", "offline", "disabled"])
    _one_of("compile", str(config.compile).lower(), ["auto", "true", "false"])
    if "schedule" in method:
        _one_of("method.schedule", method.schedule, SCHEDULES)
    _above_zero("method.learning_rate", method.learning_rate)
    for key in ("width", "depth", "channels"):
        if config.network is not None and key in config.network:
            _at_least(f"network.{key}", config.network[key], 1)
    if config.network is not None:
        _one_of("network.norm", config.network.norm, ["instance", "batch"])


def _check_loss(config: DictConfig) -> None:
    loss = config.loss
    for key in ("content_weight", "style_weight", "tv_weight", "style_warmup_steps"):
        _at_least(f"loss.{key}", loss[key], 0)
    if loss.content_weight == 0 and loss.style_weight == 0:
        raise UserError("loss.content_weight and loss.style_weight are both 0: nothing would be learnt")
    _one_of("loss.pooling", loss.pooling, ["max", "avg"])
    check_layers([*loss.content_layers, *loss.style_layers], loss.architecture)
    if not loss.content_layers or not loss.style_layers:
        raise UserError("loss.content_layers and loss.style_layers need at least one layer each, as [relu2_2]")
    if loss.style_layer_weights is not None and len(loss.style_layer_weights) != len(loss.style_layers):
        raise UserError(
            f"loss.style_layer_weights has {len(loss.style_layer_weights)} numbers for "
            f"{len(loss.style_layers)} loss.style_layers; give one a layer"
        )
    if not loss.style_scales or any(not 0 < scale <= 1 for scale in loss.style_scales):
        raise UserError("loss.style_scales are fractions of the image's size, as [1, 0.5]")
    _check_size("style.size", config.style.size, loss)


def _check_data(config: DictConfig) -> None:
    data = config.data
    _one_of("data", data.name, DATA)
    if data.name == "folder" and data.root is None:
        raise UserError("data=folder needs the folder of photos: data.root=DIR")
    _at_least("data.batch_size", data.batch_size, 1)
    _at_least("data.val_images", data.val_images, 1)
    if data.workers is not None:
        _at_least("data.workers", data.workers, 0)
    if len(data.scale) != 2 or not 1 <= data.scale[0] <= data.scale[1]:
        raise UserError("data.scale is a range of short sides in crops, as [1.0, 1.5]: least first, at least 1")
    _check_size("data.size", data.size, config.loss)


def _check_size(key: str, size: int, loss: DictConfig) -> None:
    layers = [*loss.content_layers, *loss.style_layers]
    needed = round(smallest_side(layers) / min(loss.style_scales))
    if size < needed:
        deepest = max(layers)
        raise UserError(f"{key} is {size} pixels, but {deepest} needs at least {needed}")


def _at_least(key: str, value: float, least: float) -> None:
    if not value >= least:
        raise UserError(f"{key} is {value:g}, but it must be at least {least:g}")


def _above_zero(key: str, value: float) -> None:
    if not value > 0:
        raise UserError(f"{key} is {value:g}, but it must be above 0")


def _one_of(key: str, value: str, known: list[str]) -> None:
    if value not in known:
        raise UserError(f"{key} is '{value}'{near(value, known)}")

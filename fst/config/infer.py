"""infer.py's configuration: `conf/infer.yaml` and the command line's `key=value`, typed by `InferConfig`.

OmegaConf alone, without Hydra: to Hydra `style=` and `network=` are groups of train.py's choices, here they are names.
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fst.config.infer_schema import InferConfig
from fst.config.wording import wrong_value
from fst.errors import UserError, near

FILE = Path(__file__).resolve().parents[2] / "conf" / "infer.yaml"

# Values of these keys are names, taken as the shell passes them: commas, brackets, quotes and all.
VERBATIM = ("source", "style", "output", "calibration", "webcam.device", "page.host")


def compose(arguments: list[str]) -> InferConfig:
    """The config after the command line's `key=value` arguments.

    Raises:
        UserError: an unknown key, with the near ones, or a value of the wrong type.
    """
    config = OmegaConf.structured(InferConfig)
    known = _keys(config)
    names: dict[str, str | None] = {}
    if FILE.is_file():
        config = _merged(config, OmegaConf.load(FILE), str(FILE))
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            raise UserError(f"'{argument}' is no setting: write key=value, as source=photo.jpg; see --help")
        if key not in known:
            raise UserError(f"there is no setting '{key}'{near(key, known)}")
        if key in VERBATIM:
            names[key] = None if value in ("", "null") else value
        else:
            config = _merged(config, _parsed(argument), argument)
    try:
        typed = OmegaConf.to_object(config)
    except OmegaConfBaseException as error:  # ${...} of something that is not there
        raise UserError(wrong_value(str(error.full_key), str(error))) from None
    for key, value in names.items():
        room, _, last = key.rpartition(".")
        setattr(getattr(typed, room) if room else typed, last, value)
    return typed


def _parsed(argument: str) -> DictConfig:
    try:
        return OmegaConf.from_dotlist([argument])
    except Exception:  # the YAML reader's own kinds
        raise UserError(f"cannot read '{argument}' (brackets or quotes unbalanced?)") from None


def _merged(config: DictConfig, more: DictConfig, where: str) -> DictConfig:
    try:
        return OmegaConf.merge(config, more)
    except OmegaConfBaseException as error:
        raise UserError(wrong_value(where.partition("=")[0], str(error))) from None


def _keys(config: DictConfig) -> list[str]:
    found = []
    for key in config:
        inner = config._get_node(key)
        found += [f"{key}.{name}" for name in inner] if OmegaConf.is_dict(inner) else [str(key)]
    return found

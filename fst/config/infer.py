"""infer.py's configuration: `conf/infer.yaml` and the command line's `key=value`, typed by `InferConfig`.

OmegaConf alone, without Hydra: to Hydra `style=` is a group of train.py's choices, here it is a name.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fst.config.messages import wrong_value
from fst.errors import UserError, near
from fst.values import above_zero, leaves

FILE = Path(__file__).resolve().parents[2] / "conf" / "infer.yaml"

# Values of these keys are names, taken as the shell passes them: commas, brackets, quotes and all.
VERBATIM = ("source", "style", "output", "webcam.device", "page.host")
NEEDED = ("style", "page.host")  # of these: what has no None


@dataclass
class WebcamConfig:
    """What is asked of the camera; it may give something near."""

    device: str | None = None  # a number, an address or a video file that stands in; None: the first camera
    width: int = 640
    height: int = 480
    fps: float = 60.0
    mirror: bool = True

    def __post_init__(self) -> None:
        for key in ("width", "height", "fps"):
            above_zero(f"webcam.{key}", getattr(self, key))


@dataclass
class PageConfig:
    """Where the page is served when this machine has no display or no camera."""

    host: str = "127.0.0.1"
    port: int = 8765


@dataclass
class InferConfig:
    """The whole of a run of infer.py. How a style is painted is said as in `fst.stylize.Stylizer.load`."""

    source: str | None = None  # photo, folder, glob, video, webcam, webcam:N, address, or - for standard input
    style: str = "gogh"  # name, file, run folder, painting, …; a,b: each; a:0.7,b:0.3: mixed; a>b: one into the other
    output: str | None = None  # file, folder, window, page, or - for standard output; None: SOURCE-STYLE, here
    backend: str = "auto"  # auto, torch or openvino
    precision: str = "auto"  # of openvino: auto, f32, bf16, or int8
    painting_size: int = 512  # long edge in pixels at which a painting's style is read: more makes larger strokes
    size: int | None = None  # long edge in pixels at which the network works; None: the source's
    strength: float = 1.0  # 0: the source, 1: the painting
    colors: str = "style"  # style, or content: the source's colours
    stabilize: str = "hold"  # of films and live: hold: paint stays where the source stays; flow: and moves along; none
    quality: int | None = None  # of JPEG and WebP (1 to 100, default 95), or of video
    codec: str | None = None  # of video
    overwrite: bool = False
    export: str | None = None  # onnx: write the network instead of painting
    webcam: WebcamConfig = field(default_factory=WebcamConfig)
    page: PageConfig = field(default_factory=PageConfig)


def compose(arguments: list[str]) -> InferConfig:
    """The config after the command line's `key=value` arguments; an unknown key or a wrong value is a UserError."""
    config = OmegaConf.structured(InferConfig)
    known = [key for key, _ in leaves(OmegaConf.to_container(config))]
    names: dict[str, str | None] = {}
    if FILE.is_file():
        config = _merged(config, OmegaConf.load, FILE, str(FILE))
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            raise UserError(f"'{argument}' is no setting: write key=value, as source=photo.jpg; see --help")
        if key not in known:
            raise UserError(f"there is no setting '{key}'{near(key, known)}")
        if key == "source" and key in names:
            raise UserError("source= is given twice: for many photos name a folder, or a pattern as source='*.jpg'")
        if key in VERBATIM:
            names[key] = None if value in ("", "null") else value
            if names[key] is None and key in NEEDED:
                raise UserError(f"{key}= is empty: name one, or leave it out")
        else:
            config = _merged(config, OmegaConf.from_dotlist, [argument], argument)
    try:
        typed = OmegaConf.to_object(config)
    except OmegaConfBaseException as error:  # ${...} of something that is not there
        raise UserError(wrong_value(str(error.full_key), str(error))) from None
    for key, value in names.items():
        room, _, last = key.rpartition(".")
        setattr(getattr(typed, room) if room else typed, last, value)
    return typed


def _merged(config: DictConfig, read: Callable[[Any], DictConfig], given: Any, where: str) -> DictConfig:
    try:
        return OmegaConf.merge(config, read(given))
    except OmegaConfBaseException as error:
        raise UserError(wrong_value(where.partition("=")[0], str(error))) from None
    except Exception:  # the YAML reader's own kinds
        raise UserError(f"cannot read '{where}' (brackets or quotes unbalanced?)") from None

"""The typed schema of infer.py's configuration, `conf/infer.yaml`."""

from dataclasses import dataclass, field
from typing import Any

AUTO = "auto"


@dataclass
class WebcamConfig:
    """What is asked of the camera; it may give something near."""

    device: str | None = None  # a number, an address or a video file that stands in; None: the first camera
    width: int = 640
    height: int = 480
    fps: float = 30.0
    mirror: bool = True


@dataclass
class PageConfig:
    """Where the page is served when this machine has no display or no camera."""

    host: str = "127.0.0.1"
    port: int = 8765


@dataclass
class InferConfig:
    """The whole of a run of infer.py. Names and meanings of the look's settings are those of `Stylizer.load`."""

    source: str | None = None  # photo, folder, glob, video, webcam, webcam:N, address, or - for standard input
    style: str = "gogh"  # bundled name, file, checkpoint, run folder or wandb:…; several with commas
    output: str | None = (
        None  # file, folder, window, or - for standard output; None: named after the source, in the current folder
    )
    backend: str = AUTO  # auto, torch, openvino or onnx
    precision: str = AUTO  # of openvino: auto, f32, bf16, or int8 (needs nncf the first time)
    calibration: str | None = None  # of int8: a folder of photos to measure ranges on; None: made pictures
    network: str | None = None  # which of a bundled style's networks: realtime, johnson
    size: int | None = None  # long edge in pixels at which the network works; None: the source's
    strength: float = 1.0  # 0: the source, 1: the painting
    colors: str = "style"  # style, or content: the source's colours
    tile: Any = AUTO  # auto, a number of pixels, or null for never
    quality: int | None = None  # of JPEG and WebP (1 to 100, default 95), or of video
    codec: str | None = None  # of video
    overwrite: bool = False
    export: str | None = None  # onnx: write the network instead of painting
    webcam: WebcamConfig = field(default_factory=WebcamConfig)
    page: PageConfig = field(default_factory=PageConfig)

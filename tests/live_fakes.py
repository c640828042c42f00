"""For tests of live painting: a film with known pixels in the camera's place, and stylisers whose result is known."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import cv2
import numpy as np

RED, GREEN, BLUE, GREY = (200, 40, 40), (40, 160, 40), (40, 60, 200), (120, 120, 120)
SIZE = (240, 320)


def quadrants(height: int = SIZE[0], width: int = SIZE[1]) -> np.ndarray:
    """uint8 (H, W, 3) RGB: red, green over blue, grey."""
    frame = np.empty((height, width, 3), np.uint8)
    frame[: height // 2, : width // 2] = RED
    frame[: height // 2, width // 2 :] = GREEN
    frame[height // 2 :, : width // 2] = BLUE
    frame[height // 2 :, width // 2 :] = GREY
    return frame


def centres(frame: np.ndarray) -> list[tuple[int, int, int]]:
    """The mean colours of an image's four quadrants, in reading order: at the right, where a window has no letters."""
    height, width = frame.shape[:2]
    places = [(row * height // 4, column * width // 16) for row in (1, 3) for column in (7, 15)]
    return [tuple(frame[y - 4 : y + 4, x - 4 : x + 4].reshape(-1, 3).mean(0).round().astype(int)) for y, x in places]


def near(first: list, second: list, within: float = 12) -> bool:
    """Whether colours agree but for what JPEG and H.264 lose."""
    return bool(np.abs(np.subtract(first, second, dtype=float)).max() <= within)


def inverse(colors: list) -> list:
    return [tuple(255 - value for value in color) for color in colors]


def film(path: Path, frames: int = 80, rate: float = 20) -> Path:
    """The quadrants with a white square that moves along the top and a grey level, 3 a frame, at the bottom left."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, (SIZE[1], SIZE[0]))
    for number in range(frames):
        frame = quadrants()
        frame[2:18, 4 * number : 4 * number + 16] = 255
        frame[-20:, :40] = 3 * number
        writer.write(frame[..., ::-1])
    writer.release()
    return path


class Fake:
    """A Stylizer's outside: "invert" inverts, "swap" exchanges red and blue, "slow" sleeps; strength mixes.

    "white" and "black" are of one file of many styles, and paint just that.
    """

    def __init__(self, name: str, seconds: float = 0.0):
        self.name = name
        level = {"white": 255, "black": 0}.get(name)
        self.many, self.vector = (None, None) if level is None else ("fakes", np.float32([level]))
        self.strength = 1.0
        self.colors = "style"
        self.seconds = seconds

    def __call__(self, frame: np.ndarray, vector: np.ndarray | None = None) -> np.ndarray:
        assert frame.dtype == np.uint8 and frame.ndim == 3
        time.sleep(self.seconds)
        if self.colors == "content":
            return frame.copy()
        if vector is not None:
            return np.full_like(frame, vector[0].round())
        painted = frame[..., ::-1] if self.name == "swap" else 255 - frame
        return (self.strength * painted + (1 - self.strength) * frame.astype(np.float32)).round().astype(np.uint8)


def load(config: object, style: str) -> Fake:
    """In place of `fst.media.live.session._load`."""
    from fst.errors import UserError

    if style == "broken":
        raise UserError("style broken is damaged")
    return Fake(style)


if __name__ == "__main__":  # python live_fakes.py '{"output": ...}' invert swap: live painting in a process of its own
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from fst.config.infer import InferConfig, PageConfig, WebcamConfig
    from fst.errors import one_line_errors
    from fst.media.live import session as live_session

    live_session._load = load
    words = json.loads(sys.argv[1])
    webcam, page = WebcamConfig(**words.pop("webcam", {})), PageConfig(**words.pop("page", {}))
    with one_line_errors():
        live_session.run(InferConfig(source="webcam", webcam=webcam, page=page, **words), sys.argv[2:])

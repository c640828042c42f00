"""The live window: OpenCV shows the frame, Pillow letters it, keys come back as words."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fst.media.live.state import KEYS

# What cv2.waitKeyEx returns for keys without a letter under X11, Windows and macOS.
_CODES = {65361: "ArrowLeft", 65362: "ArrowUp", 65363: "ArrowRight", 65364: "ArrowDown", 27: "Escape"}
_CODES |= {0x250000: "ArrowLeft", 0x260000: "ArrowUp", 0x270000: "ArrowRight", 0x280000: "ArrowDown"}
_CODES |= {63234: "ArrowLeft", 63232: "ArrowUp", 63235: "ArrowRight", 63233: "ArrowDown"}
SLIDER = 0.15  # of the height, at the bottom: where a drag moves the slider
LARGEST = 1280  # width in pixels at which a window opens; any screen has room for it, and it can be enlarged


def has_display() -> bool:
    """Whether a window can be opened here.

    Without a display, or with one that does not answer, OpenCV aborts the process, which nothing can catch; so on
    Linux a window is first opened in a process of its own.
    """
    if sys.platform != "linux":
        return True
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    probe = [sys.executable, "-c", "import cv2; cv2.namedWindow('fst')"]
    try:
        return subprocess.run(probe, capture_output=True, timeout=30).returncode == 0
    except subprocess.TimeoutExpired:
        return False


class Window:
    """A resizable window in the frame's proportions."""

    def __init__(self, title: str):
        self._title = title
        self._shape: tuple[int, int] | None = None
        self._dragged: str | None = None
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        cv2.setMouseCallback(title, self._drag)

    def show(self, frame: np.ndarray) -> None:
        """Show uint8 (H, W, 3) RGB; a frame of another shape resizes the window."""
        if frame.shape[:2] != self._shape:
            self._shape = frame.shape[:2]
            scale = min(1.0, LARGEST / frame.shape[1])
            cv2.resizeWindow(self._title, round(frame.shape[1] * scale), round(frame.shape[0] * scale))
        cv2.imshow(self._title, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def key(self) -> str | None:
        """The word of the key pressed since the last call, or its digit; of a drag along the bottom edge, the slider;
        "quit" once the window is closed.
        """
        code = cv2.waitKeyEx(1)
        if self._is_closed():
            return "quit"
        if self._dragged is not None:
            word, self._dragged = self._dragged, None
            return word
        name = _CODES.get(code) or (chr(code).lower() if 0 <= code < 0x100 else "")
        return name if name.isdecimal() else KEYS.get(name)

    def _drag(self, event: int, x: int, y: int, flags: int, _: object) -> None:
        if self._shape is None or not flags & cv2.EVENT_FLAG_LBUTTON or y < (1 - SLIDER) * self._shape[0]:
            return
        self._dragged = f"mix={min(1.0, max(0.0, x / self._shape[1])):.2f}"

    def _is_closed(self) -> bool:
        try:
            return cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1
        except cv2.error:  # Qt's answer once its last window is closed
            return True


def slide(frame: np.ndarray, share: float) -> None:
    """Draw the slider into uint8 (H, W, 3) RGB, along its bottom edge, at a share of its width; in place."""
    height, width = frame.shape[:2]
    radius = max(5, height // 60)
    level, place = height - 2 * radius, round(share * (width - 1))
    for color, more in (((0, 0, 0), 2), ((255, 255, 255), 0)):
        cv2.line(frame, (0, level), (width, level), color, 1 + more, cv2.LINE_AA)
        cv2.circle(frame, (place, level), radius + more // 2, color, -1, cv2.LINE_AA)


def letter(frame: np.ndarray, texts: dict[str, str]) -> np.ndarray:
    """A copy of uint8 (H, W, 3) RGB with texts on it, outlined in black so that they read on any painting.

    Texts come by corner, of one or more lines: "top left", "top right" (a recording's, in red) and "bottom left".
    """
    height, width = frame.shape[:2]
    size = max(13, min(height, width) // 25)
    margin, lettered = size // 2, frame.copy()
    for corner, text in texts.items():
        label = _label(text, size, (230, 30, 30) if corner == "top right" else (255, 255, 255))
        left = margin if corner.endswith("left") else max(0, width - label.width - margin)
        top = margin if corner.startswith("top") else max(0, height - label.height - margin)
        under = lettered[top : top + label.height, left : left + label.width]
        image = Image.fromarray(under)  # not of the whole frame, which would take milliseconds
        image.paste(label, (0, 0), label)
        under[:] = image
    return lettered


@functools.lru_cache(maxsize=16)  # the words change a few times a second, the frames more often
def _label(text: str, size: int, color: tuple[int, int, int]) -> Image.Image:
    font, outline = ImageFont.load_default(size), max(2, size // 9)
    box = ImageDraw.Draw(Image.new("L", (1, 1))).textbbox((0, 0), text, font, stroke_width=outline)
    label = Image.new("RGBA", (int(box[2] - box[0]) + 2, int(box[3] - box[1]) + 2))
    place = (-box[0], -box[1])
    ImageDraw.Draw(label).text(place, text, color, font, stroke_width=outline, stroke_fill="black")
    return label

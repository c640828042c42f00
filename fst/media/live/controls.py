"""What the keys of the live window do: the look, the pictures saved and the film recorded."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fst import images
from fst.errors import UserError
from fst.media.live.recorder import Clock, Recorder, free_path
from fst.media.live.style_loader import Palette
from fst.media.live.window import HELP, letter

if TYPE_CHECKING:
    from fst.config.infer import InferConfig
    from fst.stylize import Stylizer

HELP_SECONDS = 8.0
NOTICE_SECONDS = 4.0
READABLE = 240  # pixels of height that the help fits in


class Booth:
    """Paints frames in the style chosen and does what a key asks; closing it completes a recording.

    Attributes:
        ended: whether "quit" was asked for.
        strength, colors, mirror, side: the look, as changed by keys.
    """

    def __init__(self, config: InferConfig, palette: Palette, rate: float):
        self.ended = False
        self.strength = config.strength
        self.colors = config.colors
        self.mirror = config.webcam.mirror
        self.side = False
        self._config = config
        self._palette = palette
        self._rate = rate
        self._index = 0
        self._stylizer: Stylizer = palette.choose(0).result()
        self._coming = None
        self._clock = Clock()
        self._picture: np.ndarray | None = None
        self._recorder: Recorder | None = None
        self._notice, self._notice_ends = "", 0.0
        self._help_ends = time.monotonic() + HELP_SECONDS

    def __enter__(self) -> Booth:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_recording()

    def paint(self, frame: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3) RGB from the camera to what the window shows: painted, lettered, beside the source."""
        self._change_style()
        if self.mirror:
            frame = cv2.flip(frame, 1)
        self._stylizer.strength, self._stylizer.colors = self.strength, self.colors
        painted = self._stylizer(frame)
        self._picture = np.concatenate([frame, painted], axis=1) if self.side else painted
        if self._recorder is not None:
            self._recorder.write(self._picture)
        self._clock.tick()
        # Letters need pixels: a small picture is enlarged for them, and the window with it.
        scale = math.ceil(READABLE / painted.shape[0])
        if scale > 1:
            return self._lettered(cv2.resize(self._picture, None, fx=scale, fy=scale))
        return self._lettered(self._picture.copy())

    def do(self, word: str) -> None:
        """What a key means: a word of `fst.media.live.window`, or a digit for a style."""
        if word.isdecimal():
            self._choose(int(word) - 1)
            return
        steps = {"next": 1, "previous": -1}
        if word in steps:
            self._choose((self._index + steps[word]) % len(self._palette))
        elif word in ("stronger", "weaker"):
            change = 0.1 if word == "stronger" else -0.1
            self.strength = round(min(1.0, max(0.0, self.strength + change)), 2)
            self._say(f"strength {self.strength:.0%}")
        elif word == "colors":
            self.colors = "style" if self.colors == "content" else "content"
            self._say("the source's colours" if self.colors == "content" else "the style's colours")
        elif word == "mirror":
            self.mirror = not self.mirror
        elif word == "side":
            self.side = not self.side
        elif word == "help":
            shown = self._help_ends > time.monotonic()
            self._help_ends = 0.0 if shown else time.monotonic() + 3 * HELP_SECONDS
        elif word == "save":
            self._save()
        elif word == "record":
            self._begin_recording() if self._recorder is None else self._end_recording()
        elif word == "quit":
            self.ended = True

    def _choose(self, index: int) -> None:
        if 0 <= index < len(self._palette):
            self._index = index
            self._coming = self._palette.choose(index)
            if not self._coming.done():
                self._say(f"loading {self._palette.names[index]} ...", 60)

    def _change_style(self) -> None:
        """Take the style chosen once it is loaded; until then the last one goes on painting."""
        if self._coming is None or not self._coming.done():
            return
        try:
            self._stylizer = self._coming.result()
            self._say("")
        except UserError as error:
            self._say(str(error), 2 * NOTICE_SECONDS)
            print(f"error: {error}")
        self._coming = None

    def _save(self) -> None:
        if self._picture is None:
            return
        try:
            path = images.write(self._new_path(".png"), self._picture)
        except UserError as error:
            self._say(str(error))
            return
        self._say(f"saved {path}")
        print(f"Saved {path}")

    def _begin_recording(self) -> None:
        if self._picture is None:
            return
        try:
            self._recorder = Recorder(self._new_path(".mp4"), self._picture.shape[:2], self._rate, self._config)
        except UserError as error:
            self._say(str(error))

    def _end_recording(self) -> None:
        if self._recorder is None:
            return
        recorder, self._recorder = self._recorder, None
        recorder.close()
        self._say(f"recorded {recorder.path}")
        print(f"Recorded {recorder.path}, {recorder.seconds:.1f} s")

    def _new_path(self, suffix: str) -> Path:
        return free_path(Path(f"{self._stylizer.name}-{time.strftime('%Y%m%d-%H%M%S')}{suffix}"))

    def _say(self, text: str, seconds: float = NOTICE_SECONDS) -> None:
        self._notice, self._notice_ends = text, time.monotonic() + seconds

    def _lettered(self, frame: np.ndarray) -> np.ndarray:
        now = time.monotonic()
        letter(frame, f"{self._palette.names[self._index]}   {self._clock.fps:.0f} fps", "top left")
        if self._recorder is not None:
            minutes, seconds = divmod(int(self._recorder.seconds), 60)
            letter(frame, f"{minutes}:{seconds:02d}", "top right", dot=True)
        if now < self._notice_ends and self._notice:
            letter(frame, self._notice, "bottom left")
        elif now < self._help_ends:
            letter(frame, HELP, "bottom left")
        return frame

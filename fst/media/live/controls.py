"""What the keys of the live window do: the state, the pictures saved and the film recorded."""

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
from fst.media.live.state import HELP, LiveState
from fst.media.live.style_loader import LivePainter, StyleLoader
from fst.media.live.window import letter, slide

if TYPE_CHECKING:
    from fst.config.infer import InferConfig

HELP_SECONDS = 8.0
NOTICE_SECONDS = 4.0
READABLE = 240  # pixels of height that the help fits in


class Controls:
    """Paints frames for the window and does what a key asks; closing it completes a recording.

    Attributes:
        ended: whether "quit" was asked for.
        state: changed by keys.
    """

    def __init__(self, config: InferConfig, loader: StyleLoader, rate: float):
        self.ended = False
        self.state = LiveState.of(config, len(loader))
        self._config = config
        self._loader = loader
        self._frame: np.ndarray | None = None
        self._rate = rate
        self._painter = LivePainter(loader, self.state, loader.choose(0).result(), config.stabilize == "hold")
        self._clock = Clock()
        self._picture: np.ndarray | None = None
        self._recorder: Recorder | None = None
        self._notice, self._notice_ends = "", 0.0
        self._help_ends = time.monotonic() + HELP_SECONDS

    def __enter__(self) -> Controls:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_recording()

    def paint(self, frame: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3) RGB from the camera to what the window shows: painted, lettered, beside the source."""
        self._frame = frame
        try:
            self._painter.follow()
        except UserError as error:
            self._say(str(error), 2 * NOTICE_SECONDS)
            print(f"error: {error}")
        self._picture = self._painter.paint(frame)
        if self._recorder is not None:
            self._recorder.write(self._picture)
        self._clock.tick()
        # Letters need pixels: a small picture is enlarged for them, and the window with it.
        scale = math.ceil(READABLE / frame.shape[0])
        if scale > 1:
            return self._lettered(cv2.resize(self._picture, None, fx=scale, fy=scale))
        return self._lettered(self._picture.copy())

    def do(self, word: str) -> None:
        """What a key means: a word of `fst.media.live.state.KEYS`, or a digit for a style."""
        own = {"help": self._help, "save": self._save, "record": self._record, "quit": self._quit}
        own |= {"photograph": self._photograph}
        if word in own:
            own[word]()
        elif not word.isdecimal() or 0 < int(word) <= self.state.styles:
            self.state.apply(word)
            if "mix" not in word:  # the slider shows that
                self._say(str(self.state))

    def _quit(self) -> None:
        self.ended = True

    def _help(self) -> None:
        shown = self._help_ends > time.monotonic()
        self._help_ends = 0.0 if shown else time.monotonic() + 3 * HELP_SECONDS

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

    def _photograph(self) -> None:
        if self._frame is None:
            return
        try:
            index = self._loader.add(self._frame, self._config.painting_size)
        except UserError as error:
            return self._say(str(error), 2 * NOTICE_SECONDS)
        self.state.styles = len(self._loader)
        self.state.apply(f"style={index}")

    def _record(self) -> None:
        if self._recorder is not None:
            return self._end_recording()
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
        return free_path(Path(f"{self._painter.stylizer.name}-{time.strftime('%Y%m%d-%H%M%S')}{suffix}"))

    def _say(self, text: str, seconds: float = NOTICE_SECONDS) -> None:
        self._notice, self._notice_ends = text, time.monotonic() + seconds

    def _lettered(self, frame: np.ndarray) -> np.ndarray:
        now = time.monotonic()
        state, names = self.state, self._loader.names
        title = f"{names[state.style]} loads ..." if state.style != self._painter.shown else names[state.style]
        if state.mix:
            title += f" {1 - state.mix:.0%}, {names[state.other]} {state.mix:.0%}"
            slide(frame, state.mix)
        letter(frame, f"{title}   {self._clock.fps:.0f} fps", "top left")
        if self._recorder is not None:
            minutes, seconds = divmod(int(self._recorder.seconds), 60)
            letter(frame, f"{minutes}:{seconds:02d}", "top right", dot=True)
        if now < self._notice_ends:
            letter(frame, self._notice, "bottom left")
        elif now < self._help_ends:
            letter(frame, HELP, "bottom left")
        return frame

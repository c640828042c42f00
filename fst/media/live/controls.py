"""What the keys of the live window do: the state, the pictures saved and the film recorded."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fst import images
from fst.errors import UserError
from fst.media.live.state import HELP
from fst.media.live.style_loader import NO_PICTURE, LivePainter, StyleLoader
from fst.media.live.window import letter, slide
from fst.media.places import numbered

if TYPE_CHECKING:
    from fst.config.infer import InferConfig
    from fst.media.live.recorder import Recorder

HELP_SECONDS = 8.0
NOTICE_SECONDS = 4.0
ERROR_SECONDS = 8.0


class Controls(contextlib.AbstractContextManager):
    """Paints frames for the window and does what a key asks; its end completes a recording."""

    def __init__(self, config: InferConfig, loader: StyleLoader, rate: float):
        self.ended = False  # whether "quit" was asked for
        self._config = config
        self._loader = loader
        self._rate = rate
        self._painter = LivePainter(config, loader, loader.choose(0).result())
        self.state = self._painter.state
        self._times: deque[float] = deque(maxlen=30)  # of the last frames
        self._picture: np.ndarray | None = None
        self._recorder: Recorder | None = None
        self._recording = contextlib.ExitStack()
        self._say(HELP, HELP_SECONDS)

    def __exit__(self, *_: object) -> None:
        self._end_recording()

    def paint(self, frame: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3) RGB from the camera to what the window shows: painted, lettered, beside the source."""
        try:
            self._painter.follow()
        except UserError as error:
            self._say(str(error), ERROR_SECONDS)
            print(f"error: {error}")
        self._picture = self._painter.paint(frame)
        if self._recorder is not None:
            self._recorder.record(self._picture)
        self._times.append(time.monotonic())
        shown = letter(self._picture, self._texts())
        if self.state.mix:
            slide(shown, self.state.mix)
        return shown

    def do(self, word: str) -> None:
        """What a key means: a word of `fst.media.live.state.KEYS`, or a digit for a style."""
        own = {"quit": self._quit, "help": self._help, "save": self._save, "record": self._record}
        own["photograph"] = self._painter.choose_painting
        try:
            if word in ("save", "record") and self._picture is None:
                raise UserError(NO_PICTURE)
            if word in own:
                own[word]()
            elif not word.isdecimal() or 0 < int(word) <= self.state.styles:
                self.state.apply(word)
                if "mix" not in word:  # the slider shows that
                    self._say(str(self.state))
        except UserError as error:
            self._say(str(error), ERROR_SECONDS)

    def record(self, path: Path, shape: tuple[int, int]) -> None:
        """Begin to record what is painted, of (height, width)."""
        from fst.media.live.recorder import Recorder  # late: most sessions record nothing

        self._recorder = self._recording.enter_context(Recorder(path, shape, self._rate, self._config))

    def _record(self) -> None:
        if self._recorder is None:
            self.record(self._new_path(".mp4"), self._picture.shape[:2])
        else:
            self._end_recording()

    def _end_recording(self) -> None:
        recorder, self._recorder = self._recorder, None
        self._recording.close()
        if recorder is not None:
            self._say(f"recorded {recorder.path}")
            print(f"Recorded {recorder.path}, {recorder.seconds:.1f} s")

    def _quit(self) -> None:
        self.ended = True

    def _help(self) -> None:
        self._say(HELP, 0 if self._shown_notice() == HELP else 3 * HELP_SECONDS)

    def _save(self) -> None:
        path = images.write(self._new_path(".png"), self._picture)
        self._say(f"saved {path}")
        print(f"Saved {path}")

    def _new_path(self, suffix: str) -> Path:
        return numbered(Path(f"{self._painter.stylizer.name}-{time.strftime('%Y%m%d-%H%M%S')}{suffix}"))

    def _say(self, text: str, seconds: float = NOTICE_SECONDS) -> None:
        self._notice, self._notice_ends = text, time.monotonic() + seconds

    def _shown_notice(self) -> str:
        return self._notice if time.monotonic() < self._notice_ends else ""

    @property
    def seconds(self) -> float:
        """How long the recording is that is under way; 0 without one."""
        return self._recorder.seconds if self._recorder else 0.0

    @property
    def _fps(self) -> float:
        passed = self._times[-1] - self._times[0]
        return (len(self._times) - 1) / passed if passed else 0.0

    def _texts(self) -> dict[str, str]:
        """What is lettered into the window, by corner."""
        state, names = self.state, self._loader.names
        title = f"{names[state.style]} loads ..." if state.style != self._painter.shown else names[state.style]
        if state.mix:
            title += f" {1 - state.mix:.0%}, {names[state.other]} {state.mix:.0%}"
        texts = {"top left": f"{title}   {self._fps:.0f} fps"}
        if self._recorder is not None:
            minutes, seconds = divmod(int(self.seconds), 60)
            texts["top right"] = f"{minutes}:{seconds:02d}"
        if notice := self._shown_notice():
            texts["bottom left"] = notice
        return texts

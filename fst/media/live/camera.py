"""A camera whose newest frame is always at hand: a thread reads on, and what nobody took is dropped."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fst.errors import UserError
from fst.media.places import without_password

if TYPE_CHECKING:
    from fst.config.infer import WebcamConfig

DEVICES = Path("/dev")  # where Linux shows its cameras, as video0, video1, ...
PATIENCE = 10.0  # seconds to wait for a frame: some cameras need several for the first
_BUSY = "another program may be using it; close that, or choose another camera with source=webcam:N"


class NoCamera(UserError):
    """This machine has no camera at all."""


class Camera(contextlib.AbstractContextManager):
    """The newest frame of a camera, a stream address, or a film, in a file or at an address, that stands in for one.

    A film plays at its own rate, frames that nobody took in time are lost as a camera's are, and it starts again
    at its end: a camera has no end.

    Raises:
        NoCamera: this machine has none, and `device` names none.
        UserError: the device is missing, busy, may not be read, or gives no frame.
    """

    def __init__(self, settings: WebcamConfig):
        target = find(settings.device)
        self._is_device = _is_device(target)
        self.name = f"camera {target}" if isinstance(target, int) else without_password(target)
        self._capture = _open(target, settings)
        # A file, and what has a length, plays at its own rate: a film at an address would be over in a moment.
        lasts = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0 or (isinstance(target, str) and Path(target).is_file())
        self._is_film = lasts and not self._is_device
        claimed = self._capture.get(cv2.CAP_PROP_FPS)  # not always something sensible
        self.rate = claimed if 1 <= claimed <= 240 else settings.fps
        self._new = threading.Condition()
        self._frame: np.ndarray | None = None
        self._count = 0
        self._reading = True  # until it is closed, or gives no more frames
        self._thread = threading.Thread(target=self._read_on, name="camera", daemon=True)
        self._thread.start()

    def newest(self, after: int = 0, timeout: float = 0.1) -> tuple[int, np.ndarray] | None:
        """The newest frame, uint8 (H, W, 3) RGB, and its number, which counts from 1.

        None if after `timeout` seconds there is still none with a number above `after`; a UserError if none will come.
        """
        with self._new:
            self._new.wait_for(lambda: self._count > after or not self._reading, timeout)
            number, frame = self._count, self._frame
            if number > after:
                return number, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            if self._reading:
                return None
        if number:
            why = "was it unplugged?" if self._is_device else "did it end, or its connection break?"
            raise UserError(f"{self.name} stopped giving frames: {why}")
        raise UserError(f"{self.name} gives no frame: {_BUSY if self._is_device else 'it holds no video'}")

    def first(self) -> np.ndarray:
        """Wait for the first frame; a camera that opens and gives none in ten seconds is a UserError."""
        found = self.newest(timeout=PATIENCE)
        if found is None:
            raise UserError(f"{self.name} opened but gives no frame: close the program that uses it, or replug it")
        return found[1]

    def __exit__(self, *_: object) -> None:
        self._reading = False
        self._thread.join(timeout=PATIENCE)
        if not self._thread.is_alive():  # else a driver hangs in read(): to release under it would crash.
            self._capture.release()

    def _read_on(self) -> None:
        due, failures = time.monotonic(), 0
        while self._reading and failures <= 3:  # one bad read is a hiccup of the USB bus
            good, frame = self._capture.read()
            if not good:
                failures += 1
                if self._is_film and failures == 1:
                    self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
                else:
                    time.sleep(0.05)
                continue
            failures = 0
            if self._is_film:
                due = max(due + 1 / self.rate, time.monotonic() - 1)
                time.sleep(max(0.0, due - time.monotonic()))
            with self._new:
                self._frame, self._count = frame, self._count + 1
                self._new.notify_all()
        with self._new:
            self._reading = False
            self._new.notify_all()


def find(device: str | None) -> int | str:
    """A camera's number, or an address or path; on Linux /dev tells a missing camera from one that may not be read."""
    if device is not None and not device.isdecimal():
        if "://" not in device and not Path(device).exists():
            raise UserError(f"webcam.device={device} does not exist: give a number, a stream address or a video file")
        return device
    if sys.platform != "linux":
        return int(device or 0)
    present = sorted(int(node.name[5:]) for node in DEVICES.glob("video[0-9]*"))
    if not present and device is None:
        raise NoCamera("no camera on this machine")
    number = int(device) if device is not None else present[0]
    if number not in present:
        here = f"cameras here: {', '.join(map(str, present))}" if present else "no camera is connected"
        raise UserError(f"there is no camera {number}; {here}")
    if not os.access(DEVICES / f"video{number}", os.R_OK | os.W_OK):
        raise UserError(f"{DEVICES}/video{number} may not be read: join its group, often 'video', and log in again")
    return number


def _open(target: int | str, settings: WebcamConfig) -> cv2.VideoCapture:
    # What OpenCV and its FFmpeg would print of a missing camera is said here in one line.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    device = _is_device(target)
    linux = sys.platform == "linux"
    capture = cv2.VideoCapture(target, cv2.CAP_V4L2 if device and linux else cv2.CAP_ANY)
    if not capture.isOpened():
        if not device:
            raise UserError(f"{without_password(target)} cannot be opened as a camera or a video")
        if settings.device is None and not linux:  # elsewhere nothing tells a missing camera from a busy one
            raise NoCamera("no camera opens on this machine: connect one, or allow this program to use it")
        raise UserError(f"camera {target} does not open: {_BUSY}")
    if device:
        # Motion JPEG first: raw frames above 640x480 exceed USB 2 at 30 fps, and cameras then drop to 5 or 10.
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, settings.width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, settings.height)
        capture.set(cv2.CAP_PROP_FPS, settings.fps)
    return capture


def _is_device(target: int | str) -> bool:
    """A number, or a path such as /dev/video2 or /dev/v4l/by-id/...: a camera, not a file that stands in for one."""
    return isinstance(target, int) or target.startswith("/dev/")

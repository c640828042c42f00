"""The live window in earnest: on a virtual screen, with keys pressed and its pixels read."""

import ctypes
import json
import os
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import cv2
import live_fakes
import numpy as np
import pytest
from live_fakes import centres, inverse, near, quadrants

pytestmark = pytest.mark.skipif(
    not (shutil.which("Xvfb") and shutil.which("xdotool")), reason="needs Xvfb and xdotool: a screen and a keyboard"
)

COLORS = centres(quadrants())
SHOTS = os.environ.get("FST_SHOTS")  # a folder for screenshots, to be looked at


class Screen:
    """A virtual screen, its pixels and its keyboard."""

    def __init__(self, folder: Path):
        ready, told = os.pipe()
        command = [
            "Xvfb",
            "-displayfd",
            str(told),
            "-screen",
            "0",
            "1300x700x24",
            "-fbdir",
            str(folder),
            "-noreset",
            "-nolisten",
            "tcp",
        ]
        self.process = subprocess.Popen(command, pass_fds=[told], stderr=subprocess.DEVNULL)
        os.close(told)
        with os.fdopen(ready) as pipe:
            self.display = f":{pipe.readline().strip()}"
        self.folder = folder
        self.environment = os.environ | {"DISPLAY": self.display}

    def pixels(self) -> np.ndarray:
        """uint8 (H, W, 3) RGB of the whole screen: Xvfb keeps it in a file in the XWD format."""
        data = (self.folder / "Xvfb_screen0").read_bytes()
        header = struct.unpack(">25I", data[:100])
        width, height, stride = header[4], header[5], header[12]
        start = header[0] + 12 * header[19]
        rows = np.frombuffer(data, np.uint8, height * stride, start).reshape(height, stride)
        return rows[:, : 4 * width].reshape(height, width, 4)[..., 2::-1]

    def tool(self, *words: str) -> str:
        done = subprocess.run(["xdotool", *words], env=self.environment, capture_output=True, text=True, timeout=10)
        return done.stdout.strip()

    def close_window(self, window: int) -> None:
        """What a window manager sends when its X is clicked: WM_DELETE_WINDOW, by Xlib."""
        x11 = ctypes.CDLL("libX11.so.6")
        x11.XOpenDisplay.restype = ctypes.c_void_p
        x11.XInternAtom.restype = ctypes.c_ulong
        display = ctypes.c_void_p(x11.XOpenDisplay(self.display.encode()))
        protocols, delete = (x11.XInternAtom(display, name, 0) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW"))
        # XClientMessageEvent: type, serial, send_event, display, window, message_type, format, data
        event = struct.pack("@iLiPLLi5l100x", 33, 0, 1, 0, window, protocols, 32, delete, 0, 0, 0, 0)
        x11.XSendEvent(display, ctypes.c_ulong(window), 0, ctypes.c_long(0), event)
        x11.XCloseDisplay(display)


@pytest.fixture(scope="module")
def screen(tmp_path_factory):
    screen = Screen(tmp_path_factory.mktemp("screen"))
    yield screen
    screen.process.terminate()
    screen.process.wait()


class Program:
    """Live painting in a process of its own on a screen, the film in the camera's place."""

    def __init__(self, screen: Screen, folder: Path, styles: tuple[str, ...] = ("invert", "swap")):
        film = live_fakes.film(folder / "film.avi")
        words = {"webcam": {"device": str(film), "mirror": False}}
        command = [sys.executable, "-u", live_fakes.__file__, json.dumps(words), *styles]
        out = (folder / "said.txt").open("w")
        self.process = subprocess.Popen(command, cwd=folder, env=screen.environment, stdout=out, stderr=out)
        self.screen = screen
        self.said = folder / "said.txt"

    def sees(self, colors: list, area: tuple[slice, slice] = np.s_[:240, :320], seconds: float = 120) -> bool:
        """Whether the window shows four quadrants of these colours, soon."""
        until, mapped = time.monotonic() + seconds, time.monotonic()
        while time.monotonic() < until:
            if near(centres(self.screen.pixels()[area]), colors):
                return True
            assert self.process.poll() is None, self.said.read_text()
            black = near(centres(self.screen.pixels()[area]), [(0, 0, 0)] * 4)
            if black and time.monotonic() - mapped > 5:
                # Without a window manager Qt now and then misses the first Expose event, and waits for another.
                self.screen.tool("search", "--name", "^fst$", "windowunmap", "windowmap")
                mapped = time.monotonic()
            time.sleep(0.05)
        return False

    def window(self) -> int:
        return int(self.screen.tool("search", "--name", "^fst$").split()[0])

    def press(self, key: str) -> None:
        self.screen.tool("windowfocus", str(self.window()), "key", key)

    def shows_a_recording(self) -> bool:
        """Whether the recording's time appears, in red, at the top right, soon."""
        until = time.monotonic() + 30
        while time.monotonic() < until:
            area = self.screen.pixels()[4:24, 240:320].astype(int)
            if ((area[..., 0] > 200) & (area[..., 1:].max(-1) < 60)).sum() > 10:
                return True
            time.sleep(0.05)
        return False

    def says(self, words: str) -> bool:
        """Whether the program prints these words, soon."""
        until = time.monotonic() + 30
        while words not in self.said.read_text() and time.monotonic() < until:
            time.sleep(0.05)
        return words in self.said.read_text()

    def ends(self) -> str:
        assert self.process.wait(30) == 0, self.said.read_text()
        return self.said.read_text()


@pytest.fixture
def program(screen, tmp_path):
    program = Program(screen, tmp_path)
    yield program
    program.process.kill()
    program.process.wait()


def test_keys_change_what_the_window_shows(program, screen, tmp_path):
    swapped = [tuple(color[::-1]) for color in COLORS]
    assert program.sees(inverse(COLORS))
    help_and_title = screen.pixels()[:240, :320]
    assert np.abs(help_and_title[100:200, 4:60].astype(int) - inverse(COLORS)[2]).max() > 100  # letters
    if SHOTS:
        cv2.imwrite(f"{SHOTS}/window.png", screen.pixels()[:500, :700, ::-1])
    program.press("2")
    assert program.sees(swapped)
    program.press("Left")
    assert program.sees(inverse(COLORS))
    program.press("m")
    assert program.sees(inverse([COLORS[1], COLORS[0], COLORS[3], COLORS[2]]))
    program.press("m")
    assert program.sees(inverse(COLORS))
    program.press("b")
    assert program.sees(COLORS) and program.sees(inverse(COLORS), np.s_[:240, 320:640])
    program.press("b")
    assert program.sees(inverse(COLORS))
    presses = 0
    while not program.sees(COLORS, seconds=0.15):  # HighGUI forgets a key when the next one comes in the same frame
        program.press("minus")
        presses += 1
    assert presses >= 10
    program.press("s")
    assert program.says("Saved")
    program.press("r")
    assert program.shows_a_recording()
    time.sleep(0.5)
    if SHOTS:
        cv2.imwrite(f"{SHOTS}/recording.png", screen.pixels()[:500, :700, ::-1])
    program.press("q")  # ends the recording too
    said = program.ends()
    (picture,), (film,) = tmp_path.glob("invert-*.png"), tmp_path.glob("invert-*.mp4")
    assert f"Saved {picture.name}" in said and f"Recorded {film.name}" in said
    assert near(centres(cv2.imread(str(picture))[..., ::-1]), COLORS)
    assert cv2.VideoCapture(str(film)).get(cv2.CAP_PROP_FRAME_COUNT) >= 8


def test_styles_fade_and_a_drag_along_the_bottom_mixes_them(screen, tmp_path):
    program = Program(screen, tmp_path, ("white", "black"))
    try:
        assert program.sees([(255, 255, 255)] * 4)
        program.press("Right")
        assert program.sees([(0, 0, 0)] * 4)
        screen.tool("mousemove", "20", "230", "mousedown", "1", "mousemove", "80", "230", "mouseup", "1")
        assert program.sees([(64, 64, 64)] * 4)  # a quarter of white, the style before
        if SHOTS:
            cv2.imwrite(f"{SHOTS}/slider.png", screen.pixels()[:300, :400, ::-1])
    finally:
        program.process.kill()
        program.process.wait()


def test_escape_ends(program):
    assert program.sees(inverse(COLORS))
    program.press("Escape")
    program.ends()


def test_closing_the_window_ends(program):
    assert program.sees(inverse(COLORS))
    program.screen.close_window(program.window())
    program.ends()

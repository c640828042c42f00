"""Live painting without a display: camera, styles, keys, recording, and which of window, page and file is chosen."""

import functools
import http.server
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import live_fakes
import numpy as np
import pytest
from live_fakes import centres, inverse, near, quadrants

from fst.config.infer import InferConfig, WebcamConfig
from fst.errors import UserError
from fst.media.live import camera as cameras
from fst.media.live import server, state, window
from fst.media.live import session as live_session
from fst.media.live.controls import Controls
from fst.media.live.recorder import Recorder
from fst.media.live.style_loader import StyleLoader

COLORS = centres(quadrants())
MIRRORED = [COLORS[1], COLORS[0], COLORS[3], COLORS[2]]


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> str:
    return str(live_fakes.film(tmp_path_factory.mktemp("camera") / "film, one.avi"))


def config(**settings) -> InferConfig:
    camera = {key: settings.pop(key) for key in ("device", "mirror") if key in settings}
    return InferConfig(**{"source": "webcam"} | settings, webcam=WebcamConfig(**{"mirror": False} | camera))


def number_of(frame: np.ndarray) -> int:
    return round(frame[-12:-6, 8:32].mean() / 3)


# The camera


@pytest.fixture
def address(film):
    """The film's, with a password, on a server that gives it as fast as it can."""
    folder, name = os.path.split(film)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield f"http://me:secret@127.0.0.1:{site.server_port}/{urllib.parse.quote(name)}"
        site.shutdown()


@pytest.mark.parametrize("where", ["film", "address"])
def test_a_film_plays_at_its_own_rate_and_what_nobody_took_is_lost(where, request):
    device = request.getfixturevalue(where)
    with cameras.Camera(WebcamConfig(device=device)) as camera:
        assert camera.name == device.replace("me:secret@", "")
        first, started = number_of(camera.first()), time.monotonic()
        count, frame = camera.newest(after=9, timeout=60)  # the tenth at the earliest; a queue would give the second
        passed = number_of(frame) - first
        assert near(centres(frame), COLORS)
        assert count >= 10 and passed >= 8
        assert passed <= 20 * (time.monotonic() - started) + 2  # 20 frames a second, no faster
        assert camera.rate == pytest.approx(20)


def test_a_frame_is_handed_out_once(film):
    with cameras.Camera(WebcamConfig(device=film)) as camera:
        seen, numbers = 0, []
        while len(numbers) < 8:
            if found := camera.newest(seen, timeout=0.01):
                seen, frame = found
                numbers.append(number_of(frame))
        assert len(set(numbers)) == 8


def test_a_film_starts_again_at_its_end(tmp_path):
    short = live_fakes.film(tmp_path / "short.avi", frames=4)
    with cameras.Camera(WebcamConfig(device=str(short))) as camera:
        seen, numbers = 0, []
        while len(numbers) < 10:
            if found := camera.newest(seen, timeout=1):
                seen, frame = found
                numbers.append(number_of(frame))
        assert 0 in numbers[2:] and max(numbers) == 3


class Plugged:
    """In cv2.VideoCapture's place: a camera that gives some frames and then none."""

    frames = 5
    opens = True

    def __init__(self, *_):
        self.left = self.frames

    def isOpened(self):
        return self.opens

    def read(self):
        time.sleep(0.03)
        self.left -= 1
        return (True, quadrants()[..., ::-1].copy()) if self.left >= 0 else (False, None)

    def get(self, _):
        return 30.0

    def set(self, *_):
        return True

    def release(self):
        pass


@pytest.fixture
def devices(tmp_path, monkeypatch) -> Path:
    """A /dev of the test's own."""
    monkeypatch.setattr(cameras, "DEVICES", tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(cv2, "VideoCapture", Plugged)
    return tmp_path


def test_which_camera(devices):
    with pytest.raises(cameras.NoCamera):
        cameras.find(None)
    with pytest.raises(UserError, match="no camera is connected") as told:
        cameras.find("0")
    assert not isinstance(told.value, cameras.NoCamera)  # named: no page in its place
    (devices / "video2").touch()
    (devices / "video10").touch()
    assert cameras.find(None) == 2
    assert cameras.find("10") == 10
    with pytest.raises(UserError, match="there is no camera 1; cameras here: 2, 10"):
        cameras.find("1")
    assert cameras.find("rtsp://camera/1") == "rtsp://camera/1"
    with pytest.raises(UserError, match="does not exist"):
        cameras.find("nothing.mp4")


def test_a_busy_camera_is_one_line(devices, monkeypatch):
    (devices / "video0").touch()
    monkeypatch.setattr(Plugged, "opens", False)
    with pytest.raises(UserError, match="camera 0 does not open: another program may be using it"):
        cameras.Camera(WebcamConfig())
    monkeypatch.setattr(Plugged, "opens", True)
    monkeypatch.setattr(Plugged, "frames", 0)  # opens, but another program has the stream
    with cameras.Camera(WebcamConfig()) as camera, pytest.raises(UserError, match="gives no frame: another program"):
        camera.first()


def test_a_file_that_is_no_film_is_one_line(tmp_path):
    (tmp_path / "notes.mp4").write_text("no film")
    with pytest.raises(UserError, match="cannot be opened"):
        cameras.Camera(WebcamConfig(device=str(tmp_path / "notes.mp4")))


# Recording


def seconds_said(text: str) -> float:
    return float(re.search(r"Recorded .*, ([\d.]+) s", text).group(1))


def frames_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


def test_a_recording_lasts_as_long_as_what_it_shows(tmp_path, monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr("fst.media.live.recorder.time", SimpleNamespace(monotonic=lambda: clock.now))
    with Recorder(tmp_path / "film.mp4", (48, 64), 20, InferConfig()) as recorder:
        for pause in (0.2, 0.0, 0.0, 0.3):  # slower and faster than the rate
            recorder.record(np.full((48, 64, 3), 90, np.uint8))
            clock.now += pause
        recorder.record(np.full((60, 80, 3), 90, np.uint8))
        clock.now += 0.3  # the last frame stays to the end
    frames = frames_of(recorder.path)
    assert recorder.seconds == pytest.approx(0.8)
    assert abs(len(frames) - 16) <= 1
    assert frames[-1].shape == (48, 64, 3)


def test_unplugged_midway_the_recording_is_kept(devices, tmp_path, monkeypatch):
    (devices / "video0").touch()
    monkeypatch.setattr(live_session, "_load", live_fakes.load)
    with pytest.raises(UserError, match="camera 0 stopped giving frames: was it unplugged"):
        live_session.run(config(output=str(tmp_path / "kept.mp4")), ["invert"])
    frames = frames_of(tmp_path / "kept.mp4")
    assert len(frames) >= 4
    assert near(centres(frames[0]), inverse(COLORS))


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_recording_without_a_window_ends_cleanly(tmp_path, film, ending):
    words = f'{{"output": "out.mp4", "webcam": {{"device": "{film}"}}}}'
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, live_fakes.__file__, words, "invert"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert "Recording" in process.stdout.readline()
        time.sleep(1)
        process.send_signal(ending)
        said = process.stdout.read()
    assert process.returncode == 0 and "Recorded out.mp4" in said and "Traceback" not in said
    frames = frames_of(tmp_path / "out.mp4")
    assert abs(len(frames) / 20 - seconds_said(said)) <= 0.15
    assert near(centres(frames[5]), inverse(MIRRORED))  # mirrored by default
    assert not np.array_equal(frames[5], frames[-1])  # it moves


def test_the_second_signal_interrupts_what_the_first_asked_to_end():
    with pytest.raises(KeyboardInterrupt), live_session._until_interrupted() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.is_set()
        signal.raise_signal(signal.SIGINT)


# Where it goes


@pytest.fixture
def chosen(monkeypatch) -> list[str]:
    """What was opened; nothing is."""
    calls = []
    monkeypatch.setattr(live_session, "_load", live_fakes.load)
    monkeypatch.setattr(server, "serve", lambda config, *_: calls.append(("page", config.webcam.device)))
    monkeypatch.setattr(live_session, "_show", lambda *_: calls.append("window"))
    return calls


def test_window_or_page(chosen, devices, monkeypatch):
    monkeypatch.setattr(window, "has_display", lambda: True)
    live_session.run(config(), ["invert"])
    live_session.run(config(output="page"), ["invert"])
    live_session.run(config(device="3", output="page"), ["invert"])
    monkeypatch.setattr(window, "has_display", lambda: False)
    live_session.run(config(), ["invert"])
    assert chosen == ["window", ("page", None), ("page", "3"), ("page", None)]
    with pytest.raises(UserError, match="no display"):
        live_session.run(config(output="window"), ["invert"])


def test_without_a_camera_the_page_takes_its_viewers(chosen, devices, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(cameras, "DEVICES", devices)
    monkeypatch.setattr(live_session, "_load", live_fakes.load)
    monkeypatch.setattr(server, "serve", lambda *_: chosen.append("page"))
    monkeypatch.setattr(window, "has_display", lambda: True)
    live_session.run(config(), ["invert"])
    assert chosen == ["page"]
    with pytest.raises(UserError, match="no camera on this machine"):
        live_session.run(config(output="window"), ["invert"])


def test_a_mistake_is_told_before_a_camera_opens(chosen, tmp_path):
    (tmp_path / "taken.mp4").touch()
    for output, styles, says in [
        (tmp_path / "taken.mp4", ["invert"], "overwrite=true"),
        (tmp_path / "film.png", ["invert"], "no video is written as"),
        (tmp_path / "film.mp4", ["invert", "swap"], "records one style"),
        ("page", ["broken"], "broken is damaged"),
    ]:
        with pytest.raises(UserError, match=says):
            live_session.run(config(output=str(output)), styles)
    assert not chosen


def test_a_display_that_does_not_answer_is_none(monkeypatch):
    if sys.platform != "linux":
        pytest.skip("only Linux is asked")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":9")
    assert not window.has_display()  # without the probe, OpenCV would abort this very process


# The state


def test_every_word_changes_the_state_and_no_other_does():
    begin = state.LiveState(3)
    for word, change in [
        ("next", {"style": 1}), ("previous", {"style": 2}), ("3", {"style": 2}), ("style=1", {"style": 1}),
        ("mix", {"mix": 0.1}), ("unmix", {}), ("mix=0.25", {"mix": 0.25}), ("other=2", {"other": 2}),
        ("weaker", {"strength": 0.9}), ("stronger", {}), ("strength=0.25", {"strength": 0.25}),
        ("colors", {"colors": "content"}), ("colors=content", {"colors": "content"}),
        ("mirror", {"mirror": False}), ("mirror=true", {}), ("side", {"side": True}), ("side=true", {"side": True}),
    ]:  # fmt: skip
        after = replace(begin)
        after.apply(word)
        assert after == replace(begin, **change), word
    for word in ("", "save", "style", "style=", "styles=9", "="):
        with pytest.raises(ValueError, match=f"'{word}' is not understood"):
            begin.apply(word)
    for word in ("style=3", "style=-1", "strength=nan", "strength=2", "mirror=1"):
        with pytest.raises(ValueError, match=word.replace("=", " cannot be ")):
            begin.apply(word)
    for word in ("4", "0"):
        with pytest.raises(ValueError, match=f"style cannot be {word}"):
            begin.apply(word)
    assert begin == state.LiveState(3)
    begin.other, begin.mix = 2, 0.5
    begin.apply("2")
    assert (begin.style, begin.other, begin.mix) == (1, 0, 0)  # to be mixed with the one before
    own = {"save", "record", "help", "quit", "photograph"}
    for word in set(state.KEYS.values()) - own:
        begin.apply(word)


# The keys


@pytest.fixture
def controls(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loader = StyleLoader(["invert", "swap", "broken"], lambda name: live_fakes.load(None, name))
    with Controls(config(), loader, 20) as controls:
        yield controls
    loader.close()


def painted(controls: Controls) -> list:
    return centres(controls.paint(quadrants()))


def until(controls: Controls, colors: list) -> bool:
    """Frames go on while a style loads."""
    for _ in range(1000):
        if near(painted(controls), colors, 1):
            return True
        time.sleep(0.01)
    return False


def test_styles_change_live(controls):
    swapped = [tuple(color[::-1]) for color in COLORS]
    assert painted(controls) == inverse(COLORS)
    controls.do("2")
    assert until(controls, swapped)
    controls.do("previous")
    assert until(controls, inverse(COLORS))
    controls.do("previous")  # round the end, to one that is damaged: the last style goes on
    while controls.state.style == 2:
        assert painted(controls) == inverse(COLORS)
    controls.do("2")
    assert until(controls, swapped)
    controls.do("9")
    assert painted(controls) == swapped


def test_the_state_changes_live(controls):
    controls.do("mirror")
    assert painted(controls) == inverse(MIRRORED)
    controls.do("mirror")
    for _ in range(12):
        controls.do("weaker")
    assert painted(controls) == COLORS and controls.state.strength == 0
    for _ in range(12):
        controls.do("stronger")
    assert painted(controls) == inverse(COLORS) and controls.state.strength == 1
    controls.do("colors")
    assert painted(controls) == COLORS
    controls.do("colors")
    controls.do("side")
    shown = controls.paint(quadrants())
    assert shown.shape == (240, 640, 3)
    assert centres(shown[:, :320]) == COLORS and centres(shown[:, 320:]) == inverse(COLORS)


def test_help_hides(controls, monkeypatch):
    plain = 255 - quadrants()

    def corner_is_lettered() -> bool:
        return not np.array_equal(controls.paint(quadrants())[140:, :80], plain[140:, :80])

    assert corner_is_lettered()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 9)
    assert not corner_is_lettered()
    controls.do("help")
    assert corner_is_lettered()
    controls.do("help")
    assert not corner_is_lettered()


def test_before_the_first_frame_nothing_is_saved_or_recorded(controls, tmp_path):
    for word in ("save", "record", "photograph"):
        controls.do(word)
        assert controls._shown_notice() == "the camera has given no picture yet", word
        controls._say("")
    assert not list(tmp_path.iterdir())


def test_a_picture_is_saved_without_letters(controls, tmp_path, capsys):
    controls.paint(quadrants())
    controls.do("save")
    controls.do("save")  # in the same second
    saved = sorted(tmp_path.glob("invert-*.png"))
    assert len(saved) == 2 and f"Saved {saved[0].name}" in capsys.readouterr().out
    pixels = cv2.imread(str(saved[0]))[..., ::-1]
    assert np.array_equal(pixels, 255 - quadrants())


def test_a_recording_is_begun_and_ended_by_a_key(controls, tmp_path, capsys):
    controls.do("side")
    controls.paint(quadrants())
    controls.do("record")
    for _ in range(6):
        controls.paint(quadrants())
        time.sleep(0.05)
    controls.do("side")  # the film keeps its size
    controls.paint(quadrants())
    controls.do("record")
    (path,) = tmp_path.glob("*.mp4")
    said = capsys.readouterr().out
    frames = frames_of(path)
    assert f"Recorded {path.name}" in said and abs(len(frames) / 20 - seconds_said(said)) <= 0.15
    assert {frame.shape for frame in frames} == {(240, 640, 3)}
    assert near(centres(frames[0][:, 320:]), inverse(COLORS))


def test_letters_have_a_dark_outline():
    for ground in (0, 128, 255):
        frame = np.full((240, 320, 3), ground, np.uint8)
        lettered = window.letter(frame, {"top left": "gogh   25 fps", "top right": "0:01", "bottom left": state.HELP})
        for area in (lettered[:30, :150], lettered[:30, 250:], lettered[60:, :150]):
            assert area.max() >= 225 and area.min() < 60
        assert np.array_equal(lettered[40:, 200:], frame[40:, 200:]) and frame.min() == frame.max() == ground
    tiny = np.zeros((20, 30, 3), np.uint8)
    assert (
        window.letter(tiny, {"bottom left": state.HELP}).shape == tiny.shape
    )  # larger than the frame: cut, not an error

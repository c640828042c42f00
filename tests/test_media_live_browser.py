"""The live page in headless Chromium with a fake camera, judged by the pixels that come back."""

import asyncio
import base64
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
import live_fakes
import numpy as np
import pytest
from aiohttp import ClientSession
from live_fakes import centres, inverse, near, quadrants
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: a browser with a fake camera")

SHOTS = os.environ.get("FST_SHOTS")  # a folder for screenshots, to be looked at
COLORS = centres(quadrants())
MIRRORED = [COLORS[1], COLORS[0], COLORS[3], COLORS[2]]
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--remote-debugging-port=0",
]


def camera_film(path: Path) -> Path:
    """640x480 quadrants as YUV4MPEG2, which Chromium plays as a camera; BT.601, limited range."""
    planes = cv2.cvtColor(quadrants(480, 640), cv2.COLOR_RGB2YUV_I420).tobytes()
    path.write_bytes(b"YUV4MPEG2 W640 H480 F30:1 Ip A1:1 C420jpeg\n" + (b"FRAME\n" + planes) * 10)
    return path


class Tab:
    """A browser's tab, driven over the DevTools protocol."""

    def __init__(self, channel):
        self.channel = channel
        self.number = 0
        self.events = []

    async def do(self, method: str, **parameters) -> dict:
        self.number += 1
        await self.channel.send_json({"id": self.number, "method": method, "params": parameters})
        while True:
            answer = await self.channel.receive_json(timeout=60)
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    async def js(self, code: str) -> object:
        answer = await self.do("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, code: str, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not await self.js(code):
            assert time.monotonic() < end, (code, await self.js("document.body.innerText"), self.events[-3:])
            await asyncio.sleep(0.05)

    async def canvas(self) -> np.ndarray:
        """The pixels painted, uint8 (H, W, 3) RGB."""
        address = await self.js("document.getElementById('painted').toDataURL('image/png')")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))).convert("RGB"))

    async def sees(self, colors: list, seconds: float = 120) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if near(centres(await self.canvas()), colors):
                return True
            await asyncio.sleep(0.05)
        return False

    async def shot(self, name: str, width: int = 1280, height: int = 720) -> np.ndarray:
        """A screenshot; kept where FST_SHOTS says."""
        await self.do(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        await asyncio.sleep(0.3)
        data = base64.b64decode((await self.do("Page.captureScreenshot"))["data"])
        if SHOTS:
            Path(SHOTS, f"{name}.png").write_bytes(data)
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    async def press(self, key: str) -> None:
        await self.do("Input.dispatchKeyEvent", type="keyDown", key=key)
        await self.do("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def area(self, selector: str) -> tuple[slice, slice]:
        """Where an element is on the screen."""
        box = f"document.querySelector('{selector}').getBoundingClientRect()"
        x, y, w, h = await self.js(f"(box => [box.x, box.y, box.width, box.height].map(Math.round))({box})")
        return slice(y, y + h), slice(x, x + w)


@pytest.fixture
def address(tmp_path):
    """The page of a live painting in a process of its own, without a display; and the process."""
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, live_fakes.__file__, json.dumps({"page": {"port": 18765}}), "invert", "swap"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        yield process.stdout.readline().split(" open ")[1].split()[0], process
        process.kill()


@contextlib.asynccontextmanager
async def browser(folder: Path):
    profile = folder / "profile"
    camera = f"--use-file-for-fake-video-capture={camera_film(folder / 'camera.y4m')}"
    command = [CHROMIUM, *FLAGS, camera, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        told = profile / "DevToolsActivePort"
        end = time.monotonic() + 60
        while not (told.exists() and len(told.read_text().split()) == 2):
            assert process.poll() is None and time.monotonic() < end, "Chromium does not start"
            await asyncio.sleep(0.05)
        async with ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{told.read_text().split()[0]}/json") as answer:
                (page,) = [target for target in await answer.json() if target["type"] == "page"]
            async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as channel:
                yield Tab(channel)
    finally:
        process.terminate()
        process.wait()


def test_the_viewers_camera_comes_back_painted(address, tmp_path):
    url, process = address

    async def check():
        async with browser(tmp_path) as tab:
            await tab.do("Runtime.enable")
            await tab.do("Log.enable")
            await tab.do("Page.navigate", url=url)
            await tab.until("document.querySelectorAll('#styles button').length == 2")
            assert await tab.sees(inverse(MIRRORED)), centres(await tab.canvas())
            assert (await tab.canvas()).shape == (480, 640, 3)
            await tab.until("/^\\d+ fps · \\d+ ms$/.test(el('rate').textContent)")
            await tab.press("m")
            assert await tab.sees(inverse(COLORS))
            await tab.shot("page")
            await tab.js("document.querySelectorAll('#styles button')[1].click()")
            assert await tab.sees([tuple(color[::-1]) for color in COLORS])
            await tab.press("ArrowLeft")
            assert await tab.sees(inverse(COLORS))
            await side_by_side(tab)
            await snapshot(tab, tmp_path)
            await tab.press("b")
            await tab.js("el('strength').value = 0; el('strength').oninput({target: el('strength')})")
            assert await tab.sees(COLORS)
            assert await tab.js("el('percent').textContent") == "0 %"
            await tab.shot("phone", 390, 800)
            # What the page says of an end, once it has one; any error before it would be the page's own.
            bad = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
            assert not [event for event in tab.events if event["method"] in bad]
            process.terminate()
            await tab.until("/does not answer/.test(el('notice').textContent)")

    asyncio.run(check())
    assert process.wait(30) == 0


async def side_by_side(tab: Tab) -> None:
    await tab.press("b")
    screen = await tab.shot("side")
    left, right = screen[await tab.area("video")], screen[await tab.area("canvas")]
    middle = [image[image.shape[0] // 4 : -(image.shape[0] // 4)] for image in (left, right)]  # without the margins
    assert near(centres(middle[0]), COLORS, 20) and near(centres(middle[1]), inverse(COLORS), 20)


async def snapshot(tab: Tab, folder: Path) -> None:
    await tab.do("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    await tab.press("s")
    end = time.monotonic() + 10
    while not (found := list(folder.glob("invert-*.png"))) and time.monotonic() < end:
        await asyncio.sleep(0.05)
    pixels = np.asarray(Image.open(found[0]).convert("RGB"))
    assert pixels.shape == (480, 1280, 3)
    assert near(centres(pixels[:, :640]), COLORS) and near(centres(pixels[:, 640:]), inverse(COLORS))


def test_a_device_of_the_server_is_shown_in_the_page(tmp_path):
    from aiohttp.test_utils import TestServer

    from fst.config.infer import InferConfig, WebcamConfig
    from fst.media.live import server as pages
    from fst.media.live.camera import Camera
    from fst.media.live.style_loader import StyleLoader

    async def check(camera: Camera):
        config = InferConfig(source="webcam", webcam=WebcamConfig(mirror=False))
        app = pages.application(config, StyleLoader(["invert"], live_fakes.Fake), camera)
        async with TestServer(app) as server, browser(tmp_path) as tab:
            await tab.do("Page.navigate", url=str(server.make_url("/")))
            await tab.until("!!document.getElementById('painted')")
            assert await tab.sees(inverse(COLORS))
            await tab.press("b")
            await tab.until("el('painted').width == 640")
            shown = await tab.canvas()
            assert near(centres(shown[:, :320]), COLORS) and near(centres(shown[:, 320:]), inverse(COLORS))
            first = await tab.canvas()
            while np.array_equal(first, await tab.canvas()):  # it moves, or the test's time runs out
                await asyncio.sleep(0.05)

    with Camera(WebcamConfig(device=str(live_fakes.film(tmp_path / "film.avi")))) as camera:
        asyncio.run(check(camera))


DROP = """
const file = new File([Uint8Array.from(atob("%s"), letter => letter.charCodeAt(0))], "wave.png", {type: "image/png"});
const data = new DataTransfer();
data.items.add(file);
dispatchEvent(new DragEvent("drop", {dataTransfer: data, cancelable: true}));
"""


def test_a_slider_mixes_and_a_painting_is_dropped(tmp_path, monkeypatch):
    from aiohttp.test_utils import TestServer
    from styles import make_many
    from test_stylize_backends import psnr
    from test_stylize_many import gradient

    from fst import images, stylefile
    from fst.config.infer import InferConfig, WebcamConfig
    from fst.media.live import server as pages
    from fst.media.live.style_loader import StyleLoader
    from fst.stylize import Stylizer
    from fst.stylize.styles import live_styles

    make_many(tmp_path / "shelf/many.safetensors")
    monkeypatch.setattr(stylefile, "BUNDLED", tmp_path / "shelf")
    monkeypatch.setenv("FST_HOME", str(tmp_path / "home"))
    images.write(tmp_path / "wave.png", gradient())

    def load(style) -> Stylizer:
        return Stylizer.load(style, backend="torch", live=True)

    async def shows(tab: Tab, style: str) -> bool:
        expected = load(style)(quadrants(480, 640))
        for _ in range(200):
            if psnr(await tab.canvas(), expected) > 25:
                return True
            await asyncio.sleep(0.05)
        return False

    async def check():
        config = InferConfig(source="webcam", webcam=WebcamConfig(mirror=False))
        app = pages.application(config, StyleLoader(live_styles(["hokusai", "seurat"]), load))
        async with TestServer(app) as server, browser(tmp_path) as tab:
            await tab.do("Runtime.enable")
            await tab.do("Page.navigate", url=str(server.make_url("/")))
            await tab.until("document.querySelectorAll('#styles button').length == 2")
            assert await shows(tab, "hokusai")
            await tab.js("el('mix').value = 50; el('mix').oninput({target: el('mix')})")
            assert await shows(tab, "hokusai:1,seurat:1")
            await tab.press("ArrowRight")
            assert await shows(tab, "seurat")
            await tab.until("el('first').textContent == 'seurat' && el('other').selectedOptions[0].text == 'hokusai'")
            await tab.js(DROP % base64.b64encode((tmp_path / "wave.png").read_bytes()).decode())
            await tab.until("document.querySelectorAll('#styles button').length == 3")
            assert await shows(tab, str(tmp_path / "wave.png"))
            await tab.shot("many")
            await tab.js("el('photograph').click()")
            await tab.until("document.querySelectorAll('#styles button')[3]?.getAttribute('aria-pressed') == 'true'")
            assert not [event for event in tab.events if event["method"] == "Runtime.exceptionThrown"]

    asyncio.run(check())

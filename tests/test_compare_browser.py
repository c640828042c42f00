"""The comparison page in headless Chromium: sorting, slider, legend, hover and zoom, from 3 runs and from 40."""

import asyncio
import base64
import contextlib
import math
import time
from pathlib import Path

import numpy as np
import pytest
import test_media_live_browser as browser
from PIL import Image

from fst.compare import page
from fst.compare.reading import Run

pytestmark = pytest.mark.skipif(browser.CHROMIUM is None, reason="needs Chromium")

STEPS = (1, 10, 100)


def made(folder: Path, count: int) -> Path:
    """A page of runs whose picture at step s is grey of 10 * run + s (below 256), and whose numbers are known."""
    runs = []
    for number in range(count):
        previews = {}
        for step in STEPS[: 2 if number == 1 else 3]:  # run 1 stopped early
            path = folder / f"{number}-{step}.png"
            Image.fromarray(np.full((48, 64, 3), (10 * number + step) % 256, np.uint8)).save(path)
            previews[step] = path
        photo = folder / "photo.png"
        Image.fromarray(np.full((48, 64, 3), 250, np.uint8)).save(photo)
        losses = [(step, 100 * (number + 1) * math.exp(-step / 40)) for step in range(1, 101)]
        series = {"train/loss": losses, "val/loss": losses[49::50], "val/style_loss": [(100, 1 / (number + 1))]}
        series["val/content_loss"] = [] if number == 2 else [(100, 7.0 * (number + 1))]
        settings = {"loss.style_weight": 10.0 ** (number % 7), "method.name": "feedforward", "seed": number}
        state = "failed" if number == 1 else "finished"
        clock = [(step, 2.0 * step) for step, _ in losses]
        previews, photos = {"bridge": previews}, {"bridge": photo}
        runs.append(Run(folder, f"run {number}", settings, series, clock, 200.0, state, 100, photos, previews, None))
    return page.write(folder / "compare.html", runs)


class Tab(browser.Tab):
    """With keys that move sliders, a mouse, and a window's size and colours."""

    async def press(self, key: str) -> None:
        codes = {"ArrowLeft": 37, "ArrowRight": 39, "Home": 36, "End": 35, "Escape": 27}
        for kind in ("keyDown", "keyUp"):
            await self.do("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key])

    async def point(self, x: float, y: float) -> None:
        await self.do("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    async def window(self, width: int, height: int, scheme: str = "light") -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        await self.do("Emulation.setDeviceMetricsOverride", **size)
        await self.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def picture(self, name: str) -> None:
        """A screenshot, where FST_SHOTS says."""
        if browser.SHOTS:
            data = base64.b64decode((await self.do("Page.captureScreenshot"))["data"])
            Path(browser.SHOTS, f"{name}.png").write_bytes(data)


@contextlib.asynccontextmanager
async def opened(path: Path):
    """The page in a browser; in the end it must neither have complained nor asked for anything."""
    async with browser.browser(path.parent) as plain:
        tab = Tab(plain.channel)
        for domain in ("Runtime", "Log", "Network"):
            await tab.do(f"{domain}.enable")
        await tab.window(1280, 800)
        await tab.do("Page.navigate", url=path.as_uri())
        await tab.until("!!document.querySelector('#table tbody tr')")
        yield tab
        bad = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        assert not [event for event in tab.events if event["method"] in bad]
        asked = [e["params"]["request"]["url"] for e in tab.events if e["method"] == "Network.requestWillBeSent"]
        assert {url.split(":")[0] for url in asked} <= {"file", "data"}


ROWS = "[...document.querySelectorAll('#table tbody th')].map(cell => cell.getAttribute('title'))"
# The grey of the pictures in the grid, by run; null where there is none.
GREYS = """(async () => {
  const found = {};
  for (const cell of document.querySelectorAll('#grid button.cell')) {
    const image = cell.querySelector('img');
    await image.decode();
    const context = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d');
    context.drawImage(image, 0, 0, 1, 1);
    found[cell.dataset.run] = context.getImageData(0, 0, 1, 1).data[0];
  }
  return found;
})()"""


def near(found: dict, expected: dict) -> bool:
    return found.keys() == expected.keys() and all(abs(found[key] - expected[key]) <= 2 for key in expected)


def test_three_runs(tmp_path):
    async def check():
        async with opened(made(tmp_path, 3)) as tab:
            assert await tab.js(ROWS) == ["run 0", "run 1", "run 2"]
            await sorting(tab)
            await slider(tab)
            await zoom(tab)
            await legend(tab)
            await hover(tab)
            for scheme, width in (("dark", 1280), ("light", 390)):
                await tab.window(width, 800, scheme)
                assert await tab.js("document.documentElement.scrollWidth <= innerWidth"), (
                    "the page itself scrolls sideways"
                )
                await tab.picture(f"three-{scheme}-{width}")

    asyncio.run(check())


async def sorting(tab: Tab) -> None:
    """Up, down, missing values last; the pictures follow."""
    click = "document.querySelector('#table th[data-key={}] button').click()"
    await tab.js(click.format("content"))
    assert await tab.js(ROWS) == ["run 0", "run 1", "run 2"]
    await tab.js(click.format("content"))
    assert await tab.js(ROWS) == ["run 1", "run 0", "run 2"]
    assert await tab.js("document.querySelector('#table th[aria-sort]').getAttribute('aria-sort')") == "descending"
    await tab.js(click.format("style"))
    assert await tab.js(ROWS) == ["run 2", "run 1", "run 0"]
    grid = "[...document.querySelectorAll('#grid button.cell')].map(cell => cell.dataset.run)"
    assert await tab.js(grid) == ["2", "1", "0"]
    await tab.js(click.format("name"))
    assert "failed at 100" in await tab.js("document.querySelector('#table tbody tr:nth-child(2) th').textContent")


async def slider(tab: Tab) -> None:
    """By keyboard; a run without a picture at the step shows the one before."""
    await tab.js("el('stop').focus()")
    assert near(await tab.js(GREYS), {"0": 100, "1": 20, "2": 120})
    assert await tab.js("document.querySelector('#grid button[data-run=\"1\"] small').textContent") == "step 10"
    await tab.press("ArrowLeft")
    assert near(await tab.js(GREYS), {"0": 10, "1": 20, "2": 30})
    assert await tab.js("el('step').textContent") == "10"
    await tab.press("Home")
    assert near(await tab.js(GREYS), {"0": 1, "1": 11, "2": 21})
    await tab.press("End")
    await tab.js("el('turn').click()")
    assert near(await tab.js(GREYS), {"0": 100, "1": 20, "2": 120})
    await tab.js("el('only').value = 'bridge'; el('only').oninput()")
    assert near(await tab.js(GREYS), {"0": 100, "1": 20, "2": 120})
    assert await tab.js("getComputedStyle(el('turned')).display") == "none"  # one photo is a contact sheet
    await tab.js("el('only').value = ''; el('only').oninput()")


async def zoom(tab: Tab) -> None:
    await tab.js("document.querySelector('#grid button[data-run=\"0\"]').click()")
    assert "run 0 · bridge · step 100" in await tab.js("el('caption').textContent")
    await tab.press("ArrowRight")
    assert "run 1 · bridge · step 10" in await tab.js("el('caption').textContent")
    await tab.js("el('photo').click()")
    assert await tab.js("getComputedStyle(el('under')).display") != "none"
    await tab.press("Escape")
    assert not await tab.js("el('zoom').open")


async def legend(tab: Tab) -> None:
    await tab.js("document.querySelector('#runs button[data-run=\"1\"]').click()")
    assert await tab.js(ROWS) == ["run 0", "run 2"]
    assert await tab.js("document.querySelectorAll('#charts svg')[0].querySelectorAll('path.train').length") == 2
    await tab.js("document.querySelector('#runs button[data-run=\"0\"]').focus()")
    hot = "[...document.querySelectorAll('#charts svg g.hot')].every(node => node.dataset.run === '0')"
    assert await tab.js(hot) and await tab.js("document.querySelector('#table tr.hot th').title") == "run 0"
    await tab.js("el('all').click()")
    assert await tab.js(ROWS) == ["run 0", "run 1", "run 2"]


async def hover(tab: Tab) -> None:
    """At the end of the lowest training curve stand its value and time; on a linear scale it lies lower."""
    await tab.js("el('val').click(); document.querySelector('#charts').scrollIntoView(); 0")
    spot = """(() => { const path = document.querySelector('#charts svg g[data-run="0"] path');
      const at = path.getPointAtLength(path.getTotalLength());
      const box = path.ownerSVGElement.getBoundingClientRect(); return [box.x + at.x, box.y + at.y]; })()"""
    await tab.point(*(await tab.js(spot)))
    words = await tab.js("document.querySelector('.tip:not([hidden])').textContent")
    assert words.startswith("step 100 · 3 min 20 s") and f"run 0{100 * math.exp(-100 / 40):.3g}" in words, words
    assert await tab.js("document.querySelector('.tip .near').textContent.startsWith('run 0')")
    strong = "[0, 1, 2].map(n => getComputedStyle(document.querySelector(`#charts g[data-run='${n}'] path`)).opacity)"
    assert await tab.js(strong) == ["1", "0.14", "0.14"]
    middle = """(() => { const path = document.querySelector('#charts svg g[data-run="0"] path');
      return path.getAttribute('d').split('L')[50].split(',').map(Number); })()"""
    logarithmic = await tab.js(middle)
    await tab.js("el('logy').click()")
    linear = await tab.js(middle)
    assert linear[0] == logarithmic[0] and linear[1] > logarithmic[1] + 10
    await tab.js("el('logy').click(); el('x').value = 'time'; el('x').oninput()")
    assert await tab.js(middle) == pytest.approx(logarithmic, abs=0.2)  # 2 s a step
    assert "1 min" in await tab.js("document.querySelector('#charts svg').textContent")
    await tab.js("el('x').value = 'step'; el('val').click()")


def test_forty_runs(tmp_path):
    async def check():
        path = made(tmp_path, 40)
        assert path.stat().st_size < 3e6
        async with opened(path) as tab:
            assert len(await tab.js(ROWS)) == 40
            began = time.perf_counter()
            for key in ("ArrowLeft", "ArrowRight"):
                await tab.js("el('stop').focus()")
                await tab.press(key)
            assert await tab.js("el('step').textContent") == "100"
            assert time.perf_counter() - began < 20
            colours = "[...document.querySelectorAll('.swatch')].map(node => getComputedStyle(node).backgroundColor)"
            assert len(set(await tab.js(colours))) == 40
            assert await tab.js("document.documentElement.scrollWidth <= innerWidth")
            await tab.picture("forty")
            await tab.js("document.querySelector('#charts').scrollIntoView(); 0")
            await tab.picture("forty-curves")

    asyncio.run(check())

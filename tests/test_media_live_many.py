"""Styles of a file of many, live: they fade and mix, and paintings become styles; at the keys and on the page."""

import asyncio
import base64
import time
from types import SimpleNamespace

import numpy as np
import pytest
from live_fakes import quadrants
from styles import bundled_shelf
from test_media_live import config
from test_media_live_page import jpeg, site, viewer
from test_stylize import picture
from test_stylize_backends import psnr
from test_stylize_many import gradient, same

from fst import images
from fst.errors import UserError
from fst.media.live import style_loader
from fst.media.live.controls import Controls
from fst.media.live.style_loader import LivePainter, StyleLoader
from fst.stylize import Stylizer
from fst.stylize.styles import live_styles

FRAME = picture(48, 64)


@pytest.fixture(scope="module", autouse=True)
def shelf(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shelf")
    with bundled_shelf(folder):
        yield folder


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(style_loader, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def load(style):
    return Stylizer.load(style, backend="torch", live=True)


@pytest.fixture
def loader():
    loader = StyleLoader(live_styles(["gogh", "hokusai", "seurat", "boccioni"]), load)
    for index in range(4):
        loader.choose(index).result()
    yield loader
    loader.close()


def test_a_session_offers_the_styles_of_the_file_of_many(shelf):
    of_many = [f"{shelf / 'many.safetensors'}:{name}" for name in ("hokusai", "gogh", "seurat")]
    assert live_styles(["hokusai"]) == of_many
    assert live_styles(["gogh", "boccioni"]) == [of_many[1], "boccioni"]
    assert live_styles(["boccioni"]) == ["boccioni"]
    assert StyleLoader(of_many, load).names == ["hokusai", "gogh", "seurat"]


def test_a_chosen_style_fades_in_within_half_a_second(loader, clock):
    painter = LivePainter(config(), loader, loader.choose(0).result())
    state = painter.state

    def shows(style: str) -> bool:
        painter.follow()
        return same(painter.paint(FRAME), load(style)(FRAME))

    assert shows("gogh:1")
    state.apply("next")
    assert shows("gogh:1")
    clock.now += 0.25
    assert shows("gogh:1,hokusai:1")
    clock.now += 0.25
    assert shows("hokusai")
    clock.now += 9
    state.apply("3")
    assert shows("hokusai")
    clock.now += 0.125
    assert shows("hokusai:3,seurat:1")
    state.apply("1")  # turned midway: from what is shown
    assert shows("hokusai:3,seurat:1")
    clock.now += 0.5
    assert shows("gogh:1")
    state.apply("4")  # a network of its own
    assert shows("boccioni")
    state.apply("1")
    assert shows("gogh:1")


def test_a_slider_mixes_what_mixes(loader, clock):
    painter = LivePainter(config(), loader, loader.choose(0).result())
    state = painter.state
    mixed = {"mix=0.25": "gogh:3,hokusai:1", "mix=1": "hokusai", "other=2": "seurat", "mix=0": "gogh:1"}
    for word, style in mixed.items():
        state.apply(word)
        painter.follow()
        assert same(painter.paint(FRAME), load(style)(FRAME)), word
    state.apply("other=3")
    state.apply("mix=0.5")
    with pytest.raises(UserError, match="do not mix"):
        painter.follow()
    assert state.mix == 0 and same(painter.paint(FRAME), load("gogh:1")(FRAME))


def test_what_the_camera_sees_becomes_the_painting_at_a_key(loader, tmp_path, monkeypatch):
    images.write(tmp_path / "seen.png", gradient())
    with Controls(config(), loader, 20) as controls:
        controls.do("photograph")
        assert "no picture yet" in controls._notice
        controls.paint(gradient())
        controls.do("photograph")
        assert controls.state.style == 4 and loader.names[4] == "painting 1"
        loader.choose(4).result()
        controls.paint(FRAME)
        time.sleep(style_loader.FADE_SECONDS)
        controls.paint(FRAME)
        assert same(controls._picture, load(tmp_path / "seen.png")(FRAME))
        controls.paint(np.zeros((4, 900, 3), np.uint8))
        controls.do("photograph")
        assert "too small or narrow" in controls._notice and len(loader) == 5
        monkeypatch.setattr(style_loader, "MOST", 5)
        controls.paint(FRAME)
        controls.do("photograph")
        assert "there are already 5 styles" in controls._notice and len(loader) == 5


def base64_of(picture: np.ndarray) -> str:
    return base64.b64encode(jpeg(picture)).decode()


def test_the_pages_slider_and_a_painting_change_the_picture(tmp_path):
    async def shown(one, index: int) -> np.ndarray:
        while True:
            await one.send(1, jpeg(quadrants()))
            await one.frame()
            if one.shown == index:
                await asyncio.sleep(style_loader.FADE_SECONDS)
                await one.send(2, jpeg(quadrants()))
                return (await one.frame())[1]

    async def check():
        names = live_styles(["hokusai", "seurat"])
        async with site(load, styles=names) as client, viewer(client) as one, viewer(client) as two:
            assert one.hello["styles"] == ["hokusai", "seurat"] and one.hello["keys"]["]"] == "mix"
            for word, style in [("mix=0", "hokusai"), ("mix=0.5", "hokusai:1,seurat:1"), ("mix=1", "seurat")]:
                await one.tell(word)
                assert psnr(await shown(one, 0), load(style)(quadrants())) > 28, word
            await one.channel.send_str(f"painting={base64_of(gradient())}")
            assert (await one.words("names"))["names"] == ["hokusai", "seurat", "painting 1"]
            (tmp_path / "dropped.jpg").write_bytes(jpeg(gradient()))
            assert psnr(await shown(one, 2), load(tmp_path / "dropped.jpg")(quadrants())) > 28
            await one.channel.send_str("photograph")
            assert (await one.words("names"))["names"][-1] == "painting 2"
            (tmp_path / "seen.jpg").write_bytes(jpeg(quadrants()))
            assert psnr(await shown(one, 3), load(tmp_path / "seen.jpg")(quadrants())) > 28
            for bad in ("painting=", "painting=%%%", "painting=aGVsbG8="):
                await one.channel.send_str(bad)
                assert (await one.words("error"))["error"]
            assert (await one.tell("side"))["state"]["styles"] == 4
            assert (await two.tell("side"))["state"]["styles"] == 2  # another viewer's paintings are not theirs
            await two.channel.send_str("photograph")
            assert "no picture yet" in (await two.words("error"))["error"]

    asyncio.run(check())


def test_before_a_camera_that_stands_paint_stays_until_something_is_chosen():
    rng = np.random.default_rng(0)

    class Trembling:
        many = vector = None

        def __call__(self, frame: np.ndarray, vector: None) -> np.ndarray:
            if meanwhile:
                painter.state.apply(meanwhile.pop())
            return rng.integers(100, 120, frame.shape, dtype=np.uint8)

    meanwhile: list[str] = []
    for hold in (True, False):
        painter = LivePainter(config(stabilize="hold" if hold else "none"), [Trembling], Trembling())
        first, second = painter.paint(FRAME), painter.paint(FRAME)
        assert np.array_equal(first, second) == hold
        meanwhile.append("weaker")  # by a viewer, while a frame is painted: it is of the state before
        third = painter.paint(FRAME)
        assert np.array_equal(third, second) == hold
        assert not np.array_equal(painter.paint(FRAME), third)

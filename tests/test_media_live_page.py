"""The live page's protocol, spoken by another client than a browser."""

import asyncio
import contextlib
import io
import re
import socket
import threading

import live_fakes
import numpy as np
import pytest
from aiohttp import ClientSession, WSMsgType, WSServerHandshakeError
from aiohttp.test_utils import TestClient, TestServer
from live_fakes import Fake, centres, inverse, near, quadrants
from PIL import Image

from fst.config.infer import InferConfig, PageConfig, WebcamConfig
from fst.errors import UserError
from fst.media.live import server
from fst.media.live.camera import Camera
from fst.media.live.style_loader import StyleLoader

COLORS = centres(quadrants())
SWAPPED = [tuple(color[::-1]) for color in COLORS]


def jpeg(pixels: np.ndarray) -> bytes:
    """By Pillow: another coder than the page's."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


class Viewer:
    """A client's end of the WebSocket."""

    def __init__(self, channel):
        self.channel = channel
        self.errors = []
        self.shown = 0

    async def send(self, number: int, picture: bytes = b"") -> None:
        await self.channel.send_bytes(number.to_bytes(4, "little") + picture)

    async def tell(self, *words: str) -> dict:
        """Say words, each of which is answered with the state; the last answer."""
        for word in words:
            await self.channel.send_str(word)
            answer = await self.words("state")
        return answer

    async def frame(self) -> tuple[int, np.ndarray]:
        """The next picture; words in between are passed over."""
        while True:
            message = await self.channel.receive(timeout=10)
            assert message.type in (WSMsgType.BINARY, WSMsgType.TEXT)
            self._note(message)
            if message.type == WSMsgType.BINARY:
                picture = Image.open(io.BytesIO(message.data[4:]))
                assert picture.format == "JPEG"
                return int.from_bytes(message.data[:4], "little"), np.asarray(picture)

    async def words(self, key: str) -> dict:
        """The next message that says something of `key`; pictures are passed over."""
        while True:
            message = await self.channel.receive(timeout=10)
            assert message.type in (WSMsgType.BINARY, WSMsgType.TEXT)
            self._note(message)
            if message.type == WSMsgType.TEXT and key in message.json():
                return message.json()

    def _note(self, message) -> None:
        words = message.json() if message.type == WSMsgType.TEXT else {}
        self.errors += [words["error"]] if "error" in words else []
        self.shown = words.get("shown", self.shown)

    async def paint(self, number: int = 1) -> list:
        await self.send(number, jpeg(quadrants()))
        answered, frame = await self.frame()
        assert answered == number and frame.shape == quadrants().shape
        return centres(frame)


@contextlib.asynccontextmanager
async def site(
    load=lambda name: live_fakes.load(None, name), camera=None, host="127.0.0.1", styles=("invert", "swap", "broken")
):
    loader = StyleLoader(list(styles), load)
    config = InferConfig(source="webcam", webcam=WebcamConfig(mirror=False), page=PageConfig(host=host))
    async with TestClient(TestServer(server.application(config, loader, camera))) as client:
        yield client
    loader.close()


@contextlib.asynccontextmanager
async def viewer(client: TestClient):
    async with client.ws_connect("/live") as channel:
        viewer = Viewer(channel)
        viewer.hello = await viewer.words("styles")
        assert (await viewer.words("state"))["state"]["style"] == 0
        yield viewer


async def in_style(one: Viewer, index: int) -> None:
    """Choose a style and wait until it paints: frames ask whether it is loaded."""
    await one.tell(f"style={index}")
    while one.shown != index:
        await one.send(0, jpeg(quadrants()))
        await one.frame()


def test_a_frame_comes_back_painted_as_the_state_says():
    async def check():
        async with site() as client, viewer(client) as one:
            assert one.hello["styles"] == ["invert", "swap", "broken"] and one.hello["keys"]["c"] == "colors"
            assert near(await one.paint(1), inverse(COLORS))
            await in_style(one, 1)
            assert near(await one.paint(2), SWAPPED)
            assert (await one.tell("strength=0"))["state"]["strength"] == 0
            assert near(await one.paint(3), COLORS)
            await one.tell("strength=1", "previous", "mirror", "side")  # the last two are the page's to do
            assert near(await one.paint(4), inverse(COLORS))
            await one.tell("colors")
            assert near(await one.paint(5), COLORS)

    asyncio.run(check())


def test_each_viewer_has_a_state_of_its_own():
    async def check():
        async with site() as client, viewer(client) as one, viewer(client) as other:
            await in_style(other, 1)
            await other.tell("strength=0.5")
            half = [
                tuple((a + b) / 2 for a, b in zip(*colors, strict=True)) for colors in zip(COLORS, SWAPPED, strict=True)
            ]
            for _ in range(3):
                assert near(await one.paint(), inverse(COLORS))
                assert near(await other.paint(), half)

    asyncio.run(check())


def bad_frames() -> dict[str, bytes]:
    bomb = bytearray(jpeg(quadrants()))
    at = bomb.index(b"\xff\xc0")  # the header's height and width
    bomb[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    png = io.BytesIO()
    Image.fromarray(quadrants()).save(png, "PNG")
    return {
        "empty": b"",
        "noise": bytes(range(256)) * 4,
        "no JPEG": png.getvalue(),
        "header only": jpeg(quadrants())[:200],
        "claims 65535 x 65535": bytes(bomb),
        "tiny": jpeg(quadrants()[:8, :8]),
    }


@pytest.mark.parametrize("kind", bad_frames())
def test_a_bad_frame_costs_that_frame(kind):
    async def check():
        async with site() as client, viewer(client) as one:
            await one.send(7, bad_frames()[kind])
            told = await one.words("error")
            assert told["frame"] == 7 and told["error"]
            assert near(await one.paint(8), inverse(COLORS))

    asyncio.run(check())


def test_words_that_make_no_sense_cost_nothing():
    async def check():
        async with site() as client, viewer(client) as one:
            for text in ("", "{", "x" * 9999, "strength=x", "style=", "style=99", "99", "strength=nan", "styles=7"):
                await one.channel.send_str(text)
                assert (await one.words("error"))["error"]
            await one.channel.send_bytes(b"\1")
            assert (await one.words("error"))["error"]
            assert near(await one.paint(), inverse(COLORS))

    asyncio.run(check())


def test_a_style_that_does_not_load_leaves_the_last_one():
    async def check():
        async with site() as client, viewer(client) as one:
            await one.tell("style=2")
            while not one.errors:
                await one.send(0, jpeg(quadrants()))
                await one.frame()
            assert "broken is damaged" in one.errors[0]
            assert (await one.tell("mirror"))["state"]["style"] == 0
            assert near(await one.paint(), inverse(COLORS))

    asyncio.run(check())


def test_frames_go_on_while_a_style_loads():
    ready = threading.Event()

    def load(name: str) -> Fake:
        assert name == "invert" or ready.wait(10)
        return Fake(name)

    async def check():
        async with site(load) as client, viewer(client) as one:
            assert (await one.tell("style=1"))["shown"] == 0
            assert near(await one.paint(1), inverse(COLORS))
            ready.set()
            await in_style(one, 1)
            assert near(await one.paint(2), SWAPPED)

    asyncio.run(check())


def test_a_frame_that_cannot_be_painted_is_told():
    def load(name: str):
        def fail(frame, vector):
            raise RuntimeError("out of memory")

        fail.name, fail.many, fail.vector = name, None, None
        return fail

    async def check():
        async with site(load) as client, viewer(client) as one:
            await one.send(1, jpeg(quadrants()))
            assert await one.words("error") == {"frame": 1, "error": "out of memory"}

    asyncio.run(check())


def test_at_most_two_frames_under_way_and_viewers_share_the_machine():
    async def greedy(one: Viewer, other: asyncio.Task) -> int:
        """Keeps five frames under way; how many were painted."""
        painted = 0
        for number in range(5):
            await one.send(number, jpeg(quadrants()))
        while not other.done():
            message = await one.channel.receive(timeout=10)
            painted += message.type == WSMsgType.BINARY
            await one.send(1, jpeg(quadrants()))
            await asyncio.sleep(0.002)
        return painted

    async def modest(one: Viewer) -> None:
        """Keeps two under way, until twenty were painted."""
        for number in range(20):
            await one.send(number, jpeg(quadrants()))
            if number:
                await one.frame()

    async def check():
        async with site(lambda name: Fake(name, 0.02)) as client, viewer(client) as one, viewer(client) as other:
            twenty = asyncio.ensure_future(modest(other))
            assert 10 <= await greedy(one, twenty) <= 40

    asyncio.run(check())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 101),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 403),  # DNS rebinding
        ({"Host": "192.168.1.7:8765"}, 403),
        ({"Host": "localhost:9000", "Origin": "http://localhost:9000"}, 101),  # ssh -L 9000:...
        ({"Host": "[::1]:9000", "Origin": "http://[::1]:9000"}, 101),
        ({"Host": "localhost:9000", "Origin": "http://localhost:9001"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
    ],
)
def test_other_sites_are_refused(headers, status):
    async def check():
        async with site() as client:
            try:
                async with client.ws_connect("/live", headers=headers):
                    answered = 101
            except WSServerHandshakeError as refusal:
                answered = refusal.status
            assert answered == status
            async with client.get("/", headers=headers) as answer:
                assert answer.status == (200 if status == 101 else 403)

    asyncio.run(check())


def test_beyond_loopback_the_machines_address_is_allowed_and_names_are_not():
    async def check():
        async with site(host="0.0.0.0") as client:
            for host, status in (("192.168.1.7:8765", 200), ("evil.example", 403), (f"{socket.gethostname()}:80", 200)):
                async with client.get("/", headers={"Host": host}) as answer:
                    assert answer.status == status

    asyncio.run(check())


def test_the_page_needs_nothing_from_elsewhere():
    async def check():
        async with site() as client, client.get("/") as answer:
            text = await answer.text()
            assert (
                answer.content_type == "text/html" and "default-src 'none'" in answer.headers["Content-Security-Policy"]
            )
            assert not re.search(r"""(src|href)\s*=\s*["']?(https?:|//)|@import|url\(""", text)

    asyncio.run(check())


def test_a_device_that_was_named_is_shown_to_all(tmp_path):
    async def check(camera: Camera):
        async with site(camera=camera) as client, viewer(client) as one, viewer(client) as other:
            assert one.hello["here"]
            for who in (one, other):
                await who.send(1)
                assert near(centres((await who.frame())[1]), inverse(COLORS))
            await one.tell("side", "mirror")
            await one.send(2)
            _, frame = await one.frame()
            mirrored = [COLORS[1], COLORS[0], COLORS[3], COLORS[2]]
            assert near(centres(frame[:, :320]), mirrored) and near(centres(frame[:, 320:]), inverse(mirrored))

    with Camera(WebcamConfig(device=str(live_fakes.film(tmp_path / "film.avi")))) as camera:
        asyncio.run(check(camera))


def test_the_next_free_port_is_taken(monkeypatch, capsys):
    busy = socket.create_server(("127.0.0.1", 0))
    port = busy.getsockname()[1]
    served = []

    def once(app, sock, **_):
        served.append(sock.getsockname())
        sock.close()

    monkeypatch.setattr(server.web, "run_app", once)
    config = InferConfig(source="webcam", page=PageConfig(port=port))
    with busy:
        server.serve(config, StyleLoader(["invert"], Fake), "No display here")
    ((host, taken),) = served
    said = capsys.readouterr().out
    assert host == "127.0.0.1" and port < taken < port + 20
    assert f"http://127.0.0.1:{taken}/" in said and f"ssh -L {taken}:127.0.0.1:{taken}" in said
    for host in ("203.0.113.9", "nobody.invalid"):
        with pytest.raises(UserError, match=f"page.host={host} is no address of this machine"):
            server.serve(InferConfig(page=PageConfig(host=host)), StyleLoader(["invert"], Fake), "")


def test_an_end_says_goodbye_to_viewers():
    async def check():
        async with site() as client:
            address = client.make_url("/live")
            async with ClientSession() as session, session.ws_connect(address) as channel:
                await channel.receive()
                closing = asyncio.ensure_future(client.server.close())
                message = await channel.receive(timeout=5)
                while message.type == WSMsgType.TEXT:
                    message = await channel.receive(timeout=5)
                assert message.type == WSMsgType.CLOSE and message.data == 1001
                await asyncio.wait_for(closing, 5)

    asyncio.run(check())


def test_jpeg_keeps_red_red():
    from fst.media.live import viewer as ends

    red = np.full((32, 32, 3), (220, 30, 10), np.uint8)
    assert near([ends.decode(jpeg(red))[16, 16]], [red[0, 0]], 6)

"""The live page: a browser sends its camera's frames over a WebSocket and shows what comes back painted.

One message each way is one JPEG picture after four bytes that number it; everything else is JSON. A viewer keeps at
most two frames under way and sends the next when one came back, so that both ends always work on the newest.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import cv2
import numpy as np
from aiohttp import WSCloseCode, WSMsgType, web
from PIL import Image

from fst.errors import UserError
from fst.media.palette import Palette

if TYPE_CHECKING:
    from fst.schema_infer import InferConfig

IN_FLIGHT = 2  # frames of one viewer under way
LARGEST_MESSAGE = 4 << 20  # bytes
LARGEST_FRAME = 1920 * 1920  # pixels; a JPEG of a few kilobytes can claim four thousand million
JPEG_QUALITY = 85
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src blob: data:; media-src blob:; "
    "connect-src 'self'"
)


def serve(config: InferConfig, palette: Palette, reason: str) -> None:
    """Serve the page until Ctrl-C, on `config.page.host` and the first free port from `config.page.port` on.

    Args:
        config: of infer.py; the look is where each viewer starts, webcam.width and height what their camera is asked.
        palette: the styles to choose from.
        reason: why the page, in a few words; printed.

    Raises:
        UserError: the host is not this machine's.
    """
    listener = _listen(config.page.host, config.page.port)
    host, port = listener.getsockname()[:2]
    loopback = ipaddress.ip_address(host).is_loopback
    shown = "localhost" if not loopback else f"[{host}]" if ":" in host else host
    print(f"{reason}: open http://{shown}:{port}/ in a browser and use its camera; Ctrl-C ends.")
    print(f"From another computer: ssh -L {port}:{shown}:{port} {socket.gethostname()}, then the same address there.")
    if not loopback:
        print(
            "Anyone who reaches this machine can use the page, but browsers lend cameras only to localhost and https."
        )
    sys.stdout.flush()  # the address is wanted now, also where stdout is a pipe or a log
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve_until_interrupted(application(config, palette), listener))


def application(config: InferConfig, palette: Palette) -> web.Application:
    """The page and its WebSocket as an aiohttp application."""
    server = _Server(config, palette)
    app = web.Application(middlewares=[server.guard])
    app.router.add_get("/", server.page)
    app.router.add_get("/live", server.live)
    app.on_shutdown.append(server.close)
    return app


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket on the port, or on the next free one of twenty."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in [0] if port == 0 else range(port, min(port + 20, 65536)):
        try:
            return socket.create_server((host, candidate), family=family)
        except socket.gaierror:
            raise UserError(f"page.host={host} is no address of this machine; 127.0.0.1 is always one") from None
        except PermissionError:
            raise UserError(f"page.port={port} may not be used; choose one above 1023") from None
        except OSError as error:
            if error.errno == 99 or "assign" in str(error):  # EADDRNOTAVAIL, whose number differs by system
                raise UserError(f"page.host={host} is no address of this machine; 127.0.0.1 is always one") from None
    raise UserError(f"page.port={port} and the 19 after it are taken; choose another")


async def _serve_until_interrupted(app: web.Application, listener: socket.socket) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows; a thread in a test
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        await stop.wait()
    finally:
        await runner.cleanup()


class _Server:
    """What the viewers share: the styles, one thread that paints, and two that code JPEG."""

    def __init__(self, config: InferConfig, palette: Palette):
        self.config = config
        self.palette = palette
        # One painter: a network uses every core already, and a queue in order of arrival, of which each viewer fills
        # at most two places, shares it out evenly.
        self.painter = ThreadPoolExecutor(1, thread_name_prefix="painter")
        self.coders = ThreadPoolExecutor(2, thread_name_prefix="jpeg")
        self.viewers: set[_Viewer] = set()

    @web.middleware
    async def guard(self, request: web.Request, handler) -> web.StreamResponse:
        """Refuse what another site's page, open in the same browser, may send here.

        WebSockets are exempt from the same-origin policy, so the Origin must be this page's own; and a domain name
        that its owner points at 127.0.0.1 (DNS rebinding) has the right Origin but a Host that is not ours.
        """
        if not self._is_ours(request.host):
            raise web.HTTPForbidden(text="Open this page by localhost or by the machine's address.\n")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            raise web.HTTPForbidden(text="Another site may not use this page.\n")
        return await handler(request)

    def _is_ours(self, host: str) -> bool:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        if name in ("localhost", self.config.page.host):
            return True
        with contextlib.suppress(ValueError):
            address = ipaddress.ip_address(name)
            return address.is_loopback or not ipaddress.ip_address(self.config.page.host).is_loopback
        return name == socket.gethostname().lower() and not self.config.page.host.startswith("127.")

    async def page(self, request: web.Request) -> web.Response:
        text = (Path(__file__).parent / "page.html").read_text("utf-8")
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store", "X-Frame-Options": "DENY"}
        return web.Response(text=text, content_type="text/html", headers=headers)

    async def live(self, request: web.Request) -> web.WebSocketResponse:
        # Pictures are compressed already; deflating them again costs milliseconds a frame.
        channel = web.WebSocketResponse(max_msg_size=LARGEST_MESSAGE, compress=False, heartbeat=20)
        await channel.prepare(request)
        viewer = _Viewer(self, channel)
        self.viewers.add(viewer)
        try:
            await viewer.attend()
        finally:
            self.viewers.discard(viewer)
        return channel

    async def close(self, app: web.Application) -> None:
        for viewer in list(self.viewers):
            await viewer.channel.close(code=WSCloseCode.GOING_AWAY, message=b"fst has ended")
        self.painter.shutdown(wait=False, cancel_futures=True)
        self.coders.shutdown(wait=False, cancel_futures=True)


class _Viewer:
    """One browser: its look, and its frames under way."""

    def __init__(self, server: _Server, channel: web.WebSocketResponse):
        self.server = server
        self.channel = channel
        self.style = 0
        self.stylizer = None
        self.strength = server.config.strength
        self.colors = server.config.colors
        self.tasks: set[asyncio.Task] = set()  # one a frame under way
        self.changes: set[asyncio.Task] = set()  # styles that load

    async def attend(self) -> None:
        """Answer until the browser leaves."""
        config = self.server.config
        await self._tell(
            styles=self.server.palette.names,
            strength=self.strength,
            colors=self.colors,
            in_flight=IN_FLIGHT,
            camera={"width": config.webcam.width, "height": config.webcam.height, "fps": config.webcam.fps},
            mirror=config.webcam.mirror,
        )
        await self._choose(0)
        try:
            async for message in self.channel:
                if message.type == WSMsgType.BINARY:
                    await self._receive(message.data)
                elif message.type == WSMsgType.TEXT:
                    await self._obey(message.data)
        finally:
            for task in self.tasks | self.changes:
                task.cancel()

    async def _receive(self, data: bytes) -> None:
        number, picture = data[:4], data[4:]
        if len(self.tasks) >= IN_FLIGHT:  # our page never does this; another client must not fill the queue
            await self._tell(frame=int.from_bytes(number, "little"), error="two frames are under way already")
            return
        self._start(self._paint(number, picture))

    async def _paint(self, number: bytes, picture: bytes) -> None:
        loop, server = asyncio.get_running_loop(), self.server
        try:
            frame = await loop.run_in_executor(server.coders, decode, picture)
            painted = await loop.run_in_executor(server.painter, self._stylise, frame)
            answer = await loop.run_in_executor(server.coders, encode, painted)
            await self.channel.send_bytes(number + answer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the viewer left
        except Exception as error:  # whatever a frame or a backend does wrong costs this frame, not the session
            await self._tell(frame=int.from_bytes(number, "little"), error=str(error) or type(error).__name__)

    def _stylise(self, frame: np.ndarray) -> np.ndarray:
        stylizer = self.stylizer
        stylizer.strength, stylizer.colors = self.strength, self.colors  # shared with viewers of other tastes
        return stylizer(frame)

    async def _obey(self, text: str) -> None:
        try:
            wish = json.loads(text)
            if "strength" in wish:
                self.strength = min(1.0, max(0.0, float(wish["strength"])))
            if wish.get("colors") in ("style", "content"):
                self.colors = wish["colors"]
            if "style" in wish:
                await self._choose(int(wish["style"]))
        except (ValueError, TypeError, AttributeError):
            await self._tell(error="a message that was not understood")

    async def _choose(self, index: int) -> None:
        if not 0 <= index < len(self.server.palette):
            await self._tell(error=f"there is no style {index}")
            return
        self.style = index
        future = asyncio.wrap_future(self.server.palette.choose(index))
        if self.stylizer is None:
            self.stylizer = await future  # the first was loaded before the page was served
            await self._tell(style=index)
        else:
            self._start(self._change(index, future), frame=False)

    async def _change(self, index: int, future: asyncio.Future) -> None:
        """Paint in the new style once it is loaded, if it is still wanted; until then in the last one."""
        try:
            stylizer = await asyncio.shield(future)
        except UserError as error:
            await self._tell(error=str(error))
            return
        if self.style == index:
            self.stylizer = stylizer
            await self._tell(style=index)

    def _start(self, work, *, frame: bool = True) -> None:
        task = asyncio.ensure_future(work)
        tasks = self.tasks if frame else self.changes
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _tell(self, **words: object) -> None:
        with contextlib.suppress(ConnectionError):
            await self.channel.send_str(json.dumps(words))


def decode(picture: bytes) -> np.ndarray:
    """A JPEG picture as uint8 (H, W, 3) RGB.

    Raises:
        ValueError: it is damaged, no picture, or larger than a camera's.
    """
    try:
        with Image.open(BytesIO(picture), formats=["JPEG"]) as header:  # reads no pixels
            width, height = header.size
    except Exception:
        raise ValueError("this frame is no JPEG picture") from None
    if width * height > LARGEST_FRAME or min(width, height) < 16:
        raise ValueError(f"a frame of {width}x{height} pixels is not painted")
    frame = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR_RGB)
    if frame is None:
        raise ValueError("this frame is damaged")
    return frame


def encode(frame: np.ndarray) -> bytes:
    """uint8 (H, W, 3) RGB as a JPEG picture."""
    bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()

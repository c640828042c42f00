"""One browser that looks at the live page: its style and strength, its frames under way, and JPEG both ways."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING

import cv2
import numpy as np
from aiohttp import WSMsgType, web
from PIL import Image

from fst.errors import UserError
from fst.media.live.camera import Camera
from fst.media.live.style_loader import Palette

if TYPE_CHECKING:
    from fst.config.infer import InferConfig

IN_FLIGHT = 2  # frames of one viewer under way
LARGEST_FRAME = 1920 * 1920  # pixels; a JPEG of a few kilobytes can claim four thousand million
JPEG_QUALITY = 85


def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="page")


@dataclass(frozen=True)
class Studio:
    """What the viewers share.

    Attributes:
        config: of infer.py.
        palette: the styles.
        camera: this machine's device, where that is what the page shows.
        painter: one thread, because a network uses every core already; its queue, in order of arrival and with at
            most two places for each viewer, shares the machine out evenly.
        coders: threads for JPEG, which would else hold up the event loop.
    """

    config: InferConfig
    palette: Palette
    camera: Camera | None = None
    painter: ThreadPoolExecutor = field(default_factory=lambda: _pool(1))
    coders: ThreadPoolExecutor = field(default_factory=lambda: _pool(2))

    def close(self) -> None:
        """Begin nothing more."""
        self.painter.shutdown(wait=False, cancel_futures=True)
        self.coders.shutdown(wait=False, cancel_futures=True)


class Viewer:
    """One browser: its look, and its frames under way."""

    def __init__(self, studio: Studio, channel: web.WebSocketResponse):
        self.studio = studio
        self.channel = channel
        self.style = 0
        self.stylizer = None
        self.strength = studio.config.strength
        self.colors = studio.config.colors
        self.mirror, self.side = studio.config.webcam.mirror, False  # of this machine's device; else the page's work
        self.seen = 0  # the number of the last frame of this machine's device
        self.turn = asyncio.Lock()
        self.tasks: set[asyncio.Task] = set()  # one a frame under way
        self.changes: set[asyncio.Task] = set()  # styles that load

    async def attend(self) -> None:
        """Answer until the browser leaves."""
        config = self.studio.config
        await self._tell(
            styles=self.studio.palette.names,
            strength=self.strength,
            colors=self.colors,
            in_flight=IN_FLIGHT,
            here=self.studio.camera is not None,
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
        loop, studio = asyncio.get_running_loop(), self.studio
        try:
            if studio.camera is not None:
                frame = await self._newest()
            else:
                frame = await loop.run_in_executor(studio.coders, decode, picture)
            painted = await loop.run_in_executor(studio.painter, self._stylise, frame)
            answer = await loop.run_in_executor(studio.coders, encode, painted)
            await self.channel.send_bytes(number + answer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the viewer left
        except Exception as error:  # whatever a frame or a backend does wrong costs this frame, not the session
            await self._tell(frame=int.from_bytes(number, "little"), error=str(error) or type(error).__name__)

    def _stylise(self, frame: np.ndarray) -> np.ndarray:
        stylizer = self.stylizer
        stylizer.strength, stylizer.colors = self.strength, self.colors  # shared with viewers of other tastes
        painted = stylizer(frame)
        return np.concatenate([frame, painted], axis=1) if self.side else painted

    async def _newest(self) -> np.ndarray:
        """The newest frame of this machine's device, each once."""
        async with self.turn:
            found = await asyncio.to_thread(self.studio.camera.newest, self.seen, 2.0)
            if found is None:
                raise ValueError(f"{self.studio.camera.name} is slow to give a frame")
            self.seen, frame = found
        return cv2.flip(frame, 1) if self.mirror else frame

    async def _obey(self, text: str) -> None:
        try:
            wish = json.loads(text)
            if "strength" in wish:
                strength = float(wish["strength"])
                if math.isnan(strength):  # Python reads it in JSON
                    raise ValueError
                self.strength = min(1.0, max(0.0, strength))
            if wish.get("colors") in ("style", "content"):
                self.colors = wish["colors"]
            if self.studio.camera is not None:
                self.mirror, self.side = bool(wish.get("mirror", self.mirror)), bool(wish.get("side", self.side))
            if "style" in wish:
                await self._choose(int(wish["style"]))
        except (ValueError, TypeError, AttributeError):
            await self._tell(error="a message that was not understood")

    async def _choose(self, index: int) -> None:
        if not 0 <= index < len(self.studio.palette):
            await self._tell(error=f"there is no style {index}")
            return
        self.style = index
        future = asyncio.wrap_future(self.studio.palette.choose(index))
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

    def _start(self, work: Coroutine, *, frame: bool = True) -> None:
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

"""One browser that looks at the live page: its state, its frames under way, and JPEG both ways."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import cv2
import numpy as np
from aiohttp import WSMsgType, web
from PIL import Image

from fst import images
from fst.errors import UserError
from fst.media.live.camera import Camera
from fst.media.live.state import KEYS
from fst.media.live.style_loader import LivePainter, StyleLoader

if TYPE_CHECKING:
    from fst.config.infer import InferConfig

PAINTING = "painting="  # the word that a painting comes with
IN_FLIGHT = 2  # frames of one viewer under way
LARGEST_FRAME = 1920 * 1920  # pixels; a JPEG of a few kilobytes can claim four thousand million
JPEG_QUALITY = 85


@dataclass(eq=False)
class Viewer:
    """One browser: its state, and its frames under way.

    Its own camera's frames are mirrored, and shown beside the painting, by the page; those of this machine's `camera`,
    where that is what the page shows, here. All viewers' frames are painted in one thread, because a network uses every
    core already; its queue, with at most two places for each viewer, shares the machine out evenly.
    """

    config: InferConfig
    loader: StyleLoader
    camera: Camera | None
    painting: ThreadPoolExecutor
    channel: web.WebSocketResponse

    def __post_init__(self) -> None:
        self.loader = self.loader.for_viewer()
        self.seen = 0  # the number of the last frame of this machine's device
        self.turn = asyncio.Lock()
        self.tasks: set[asyncio.Task] = set()  # one a frame under way

    async def attend(self) -> None:
        """Answer until the browser leaves."""
        config, loader = self.config, self.loader
        first = await asyncio.wrap_future(loader.choose(0))
        self.painter = LivePainter(config, loader, first)
        camera = {"width": config.webcam.width, "height": config.webcam.height, "fps": config.webcam.fps}
        keys = {key: word for key, word in KEYS.items() if word not in ("record", "help", "quit")}
        here = self.camera is not None
        await self._tell(styles=loader.names, keys=keys, in_flight=IN_FLIGHT, here=here, camera=camera)
        await self._tell_state()
        try:
            async for message in self.channel:
                if message.type == WSMsgType.BINARY:
                    await self._receive(message.data)
                elif message.type == WSMsgType.TEXT:
                    await self._obey(message.data)
        finally:
            for task in self.tasks:
                task.cancel()

    async def _receive(self, data: bytes) -> None:
        number, picture = data[:4], data[4:]
        if len(self.tasks) >= IN_FLIGHT:  # our page never does this; another client must not fill the queue
            return await self._tell(frame=int.from_bytes(number, "little"), error="two frames are under way already")
        task = asyncio.ensure_future(self._answer(number, picture))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _answer(self, number: bytes, picture: bytes) -> None:
        try:
            await self._follow()
            await self.channel.send_bytes(number + await self._painted(picture))
        except (ConnectionError, asyncio.CancelledError):
            pass  # the viewer left
        except Exception as error:  # whatever a frame or a backend does wrong costs this frame, not the session
            await self._tell(frame=int.from_bytes(number, "little"), error=str(error) or type(error).__name__)

    async def _painted(self, picture: bytes) -> bytes:
        here = self.camera is not None
        source = await self._newest() if here else await asyncio.to_thread(decode, picture)
        paint = functools.partial(self.painter.paint, source, here=here)
        painted = await asyncio.get_running_loop().run_in_executor(self.painting, paint)
        return await asyncio.to_thread(images.encode, painted, ".jpg", quality=JPEG_QUALITY)

    async def _newest(self) -> np.ndarray:
        """The newest frame of this machine's device, each once."""
        async with self.turn:
            newest = await asyncio.to_thread(self.camera.newest, self.seen, 2.0)
            if newest is None:
                raise ValueError(f"{self.camera.name} is slow to give a frame")
            self.seen, frame = newest
            return frame

    async def _obey(self, word: str) -> None:
        styles = self.painter.state.styles
        try:
            if word == "photograph":
                self.painter.choose_painting()
            elif word.startswith(PAINTING):  # a JPEG picture in base64
                picture = b64decode(word.removeprefix(PAINTING))
                self.painter.choose_painting(await asyncio.to_thread(decode, picture))
            else:
                self.painter.state.apply(word)
            if self.painter.state.styles > styles:
                await self._tell(names=self.loader.names)
            await self._follow()
            await self._tell_state()
        except (ValueError, UserError) as error:
            await self._tell(error=str(error))

    async def _follow(self) -> None:
        shown = self.painter.shown
        try:
            self.painter.follow()
        except UserError as error:
            await self._tell(error=str(error))
            await self._tell_state()
        if self.painter.shown != shown:
            await self._tell_state()

    async def _tell_state(self) -> None:
        await self._tell(state=asdict(self.painter.state), shown=self.painter.shown)

    async def _tell(self, **words: object) -> None:
        with contextlib.suppress(ConnectionError):
            await self.channel.send_str(json.dumps(words))


def decode(picture: bytes) -> np.ndarray:
    """A JPEG picture as uint8 (H, W, 3) RGB; a ValueError where it is damaged, or larger than a camera's."""
    try:
        with Image.open(BytesIO(picture), formats=["JPEG"]) as header:  # reads no pixels
            width, height = header.size
    except Exception:
        raise ValueError("this frame is no JPEG picture") from None
    if width * height > LARGEST_FRAME or min(width, height) < 16:
        raise ValueError(f"a frame of {width}x{height} pixels is too small or too large")
    frame = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR_RGB)
    if frame is None:
        raise ValueError("this frame is damaged")
    return frame

"""A live page in a process of its own, and viewers of it: what `page` and `live` share."""

from __future__ import annotations

import contextlib
import io
import re
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import numpy as np
from PIL import Image

from experiments.reliability.common import Program, style_file


def jpeg(height: int = 120, width: int = 160) -> bytes:
    written = io.BytesIO()
    pixels = np.linspace(0, 255, height * width * 3).reshape(height, width, 3).astype(np.uint8)
    Image.fromarray(pixels).save(written, "jpeg")
    return written.getvalue()


@contextlib.contextmanager
def page(folder: Path, *more: str) -> Iterator[tuple[Program, str]]:
    """`infer.py output=page` in two tiny styles; the program and its address."""
    style = style_file(folder)
    second = style.with_name("second.safetensors")
    second.write_bytes(style.read_bytes())
    words = ["source=webcam", "output=page", f"style={style},{second}", "backend=torch", "page.port=0", *more]
    program = Program("infer", words, folder)
    try:
        until = time.monotonic() + 60
        while not (found := re.search(r"http://[\w.]+:\d+", program.log.read_text())) and time.monotonic() < until:
            time.sleep(0.05)
        if not found:
            raise SystemExit(f"the page did not start: {program.log.read_text()}")
        yield program, found[0]
    finally:
        if not program.ended():
            program.send(15)
        program.end = program.wait()


def memory(program: Program) -> float:
    """Megabytes that a program holds."""
    words = Path(f"/proc/{program.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", words)[1]) / 1024


@contextlib.asynccontextmanager
async def viewer(address: str):
    """A WebSocket of the page, past its greeting."""
    async with (
        aiohttp.ClientSession(trust_env=False) as session,
        session.ws_connect(f"{address}/live", max_msg_size=0, headers={"Origin": address}) as channel,
    ):
        for _ in range(2):
            await channel.receive(timeout=30)
        yield channel


async def frame(channel: aiohttp.ClientWebSocketResponse, picture: bytes, number: int = 1) -> float:
    """Seconds until a frame that is sent came back painted."""
    began = time.monotonic()
    await channel.send_bytes(number.to_bytes(4, "little") + picture)
    while True:
        message = await channel.receive(timeout=20)
        if message.type == aiohttp.WSMsgType.BINARY:
            return time.monotonic() - began
        if message.type != aiohttp.WSMsgType.TEXT or "error" in message.data:
            raise ConnectionError(f"instead of a frame: {str(message.data)[:100]}")

"""Send a live page what it should refuse: python -m experiments.reliability.page [--times 240]

Other sites' pages and WebSockets, foreign hosts, messages of 100 MB, pictures of 1×60,000 pixels and of 65,000×65,000,
damaged ones, words that make no sense, requests cut or never ended, 200 connections. After each, a viewer who was there
all along has its frame painted; at the end the page is up, its memory is bounded, and it printed no traceback.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
from urllib.parse import urlsplit

import aiohttp

from experiments.reliability import common, pages
from experiments.reliability.pages import frame, jpeg, viewer

GROWTH = 300.0  # megabytes that the page may hold beyond what it held at first
CROWD = 200
WAYS = (
    "host",
    "origin",
    "websocket",
    "large",
    "thin",
    "bomb",
    "damaged",
    "word",
    "garbage",
    "unended",
    "path",
    "flood",
)


def claiming(width: int, height: int) -> bytes:
    """A small JPEG that claims to be of that size."""
    good = bytearray(jpeg(16, 16))
    place = good.index(b"\xff\xc0") + 5
    good[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(good)


async def get(address: str, path: str = "/", **headers: str) -> int:
    async with (
        aiohttp.ClientSession(trust_env=False) as session,
        session.get(address + path, headers=headers) as answer,
    ):
        return answer.status


async def refused_socket(address: str, **headers: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{address}/live", headers=headers):
            return False
    except aiohttp.WSServerHandshakeError as error:
        return error.status == 403


async def told(address: str, message: bytes | str) -> bool:
    """Whether a message of a WebSocket is answered by an error, or ends that WebSocket."""
    async with viewer(address) as channel:
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            await (channel.send_str if isinstance(message, str) else channel.send_bytes)(message)
        while True:
            answer = await channel.receive(timeout=20)
            if answer.type != aiohttp.WSMsgType.TEXT or "error" in answer.data:
                return answer.type != aiohttp.WSMsgType.BINARY


async def raw(address: str, content: bytes, *, wait: bool) -> None:
    """Bytes to the port; with `wait`, the connection is left open for a while without another one."""
    parts = urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    with contextlib.suppress(ConnectionError, asyncio.TimeoutError):
        writer.write(content)
        await writer.drain()
        await asyncio.wait_for(reader.read(4096), 0.5 if wait else 5)
    writer.close()


async def attempt(way: str, address: str, chance: random.Random) -> bool:
    """Whether one thing that should be refused was."""
    host = urlsplit(address).netloc
    if way == "host":
        wrong = chance.choice(
            [
                "evil.example",
                f"evil.example:{urlsplit(address).port}",
                f"{urlsplit(address).hostname}.evil.example",
                "10.0.0.1",
            ]
        )
        return await get(address, Host=wrong) == 403
    if way == "origin":
        return await get(address, Origin=chance.choice(["http://evil.example", "null", f"http://{host}.evil"])) == 403
    if way == "websocket":
        return await refused_socket(address, Origin=chance.choice(["https://evil.example", "null", "file://"]))
    if way == "large":
        return await told(address, bytes(chance.choice([5, 100]) << 20))
    if way == "thin":
        return await told(
            address, b"\1\0\0\0" + claiming(*chance.choice([(1, 60_000), (60_000, 1), (0, 0), (15, 400)]))
        )
    if way == "bomb":
        return await told(address, b"\1\0\0\0" + claiming(chance.choice([65_500, 30_000]), 65_500))
    if way == "damaged":
        return await told(address, chance.choice([b"", b"\1", b"\1\0\0\0", b"\1\0\0\0" + chance.randbytes(5000)]))
    if way == "word":
        words = [
            "style=99",
            "style=-1",
            "strength=nan",
            "strength=1e999",
            "x" * 100_000,
            "\0",
            "__class__=1",
            "colors=x",
        ]
        return await told(address, chance.choice(words))
    if way == "path":
        wrong = chance.choice(["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/live", "//", "/" + "x" * 7000])
        return 400 <= await get(address, wrong) < 500
    if way == "garbage":
        await raw(
            address, chance.choice([chance.randbytes(3000), b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 5000]), wait=False
        )
    elif way == "unended":
        await raw(address, f"GET / HTTP/1.1\r\nHost: {host}\r\nX: ".encode() + b"x" * 4000, wait=True)
    else:
        await asyncio.gather(*(crowd(address) for _ in range(CROWD)))
    return True


async def crowd(address: str) -> None:
    """One of many at once: it comes, asks for a frame and goes without waiting for it."""
    async with viewer(address) as channel:
        await channel.send_bytes(b"\1\0\0\0" + jpeg())


async def attempts(address: str, program: common.Program, options) -> list[str]:
    faults = []
    async with viewer(address) as good:
        await frame(good, jpeg())
        before = pages.memory(program)
        for number in common.numbers(options):
            way, chance = WAYS[number % len(WAYS)], random.Random(f"{options.seed} {number}")
            try:
                if not await attempt(way, address, chance):
                    faults.append(f"{number}: {way}: not refused")
                seconds = await frame(good, jpeg())
                if seconds > 10:
                    faults.append(f"{number}: {way}: another viewer waited for {seconds:.0f} s")
            except Exception as error:
                faults.append(f"{number}: {way}: {type(error).__name__} {error}")
                if program.ended() or good.closed:
                    return [*faults, "the page or its viewer is gone"]
        after = pages.memory(program)
        if after - before > GROWTH:
            faults.append(f"the page holds {after:.0f} MB, at first {before:.0f}")
    return faults


def main() -> None:
    options = common.arguments(__doc__.splitlines()[0], 240)
    common.ready()
    with common.workplace() as folder, pages.page(folder) as (program, address):
        faults = asyncio.run(attempts(address, program, options))
        held = pages.memory(program)
        if "Traceback" in program.log.read_text():
            faults.append(f"traceback: {program.log.read_text()[-400:]}")
    common.report(
        "page",
        "foreign hosts and origins, other sites' WebSockets, large, thin and false frames, 200 connections",
        "refused, and a viewer beside them has its frames",
        options,
        faults,
        f"{held:.0f} MB held at the end",
    )


if __name__ == "__main__":
    main()

"""Watch a live page for a long time: python -m experiments.reliability.live [--minutes 60]

One viewer all along, one that reads slowly, others that come and go, some without a word; the style changes every
minute. Asked for: no growth of memory after the first twelfth, no frame that comes back after more than 100 ms, and no
viewer who blocks another.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import statistics
import time

import aiohttp

from experiments.reliability import common, pages
from experiments.reliability.pages import frame, jpeg, viewer

OLD = 0.1  # seconds
LOST = 2.0  # seconds without a frame, in which a viewer is blocked
GROWTH = 20.0  # megabytes that allocators may hold on to between two samples


async def steady(address: str, until: float, ages: list[float]) -> None:
    """A browser: the next frame when the last one came back, 30 a second, another style every minute or so."""
    picture, number, changed = jpeg(), 0, time.monotonic()
    async with viewer(address) as channel:
        while time.monotonic() < until:
            ages.append(await frame(channel, picture, number := number + 1))
            if time.monotonic() - changed > min(60, (until - changed) / 3 + 1):
                await channel.send_str("next")
                changed = time.monotonic()
            await asyncio.sleep(max(0.0, 1 / 30 - ages[-1]))


async def slow(address: str, until: float) -> None:
    """Sends as fast as it may and reads one answer a second."""
    async with viewer(address) as channel:
        while time.monotonic() < until:
            await channel.send_bytes(b"\1\0\0\0" + jpeg(480, 640))
            await asyncio.sleep(1)
            with contextlib.suppress(asyncio.TimeoutError):
                await channel.receive(timeout=0.01)


async def passing(address: str, until: float, chance: random.Random) -> int:
    """Viewers one after another that look for a moment; half of them leave in the middle of a frame."""
    count = 0
    while time.monotonic() < until:
        async with viewer(address) as channel:
            for _ in range(chance.randint(1, 20)):
                await frame(channel, jpeg())
            if chance.random() < 0.5:
                await channel.send_bytes(b"\1\0\0\0" + jpeg())
                channel._response.connection.transport.abort()
        count += 1
        await asyncio.sleep(chance.uniform(0, 1))
    return count


async def watch(
    program: common.Program, address: str, minutes: float, seed: int
) -> tuple[list[float], list[float], int]:
    """Ages of the steady viewer's frames, megabytes held over time, and how many viewers passed."""
    until, ages, held = time.monotonic() + 60 * minutes, [], []

    async def weigh() -> None:
        while time.monotonic() < until:
            held.append(pages.memory(program))
            await asyncio.sleep(min(5, minutes))

    tasks = [steady(address, until, ages), slow(address, until), passing(address, until, random.Random(seed)), weigh()]
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception) and not isinstance(error, aiohttp.ClientError):
            raise error
    return ages, held, ended[2] if isinstance(ended[2], int) else -1


def main() -> None:
    options = common.arguments(__doc__.splitlines()[0], 1, minutes=60.0)
    common.ready()
    faults = []
    with common.workplace() as folder, pages.page(folder) as (program, address):
        ages, held, count = asyncio.run(watch(program, address, options.minutes, options.seed))
        if "Traceback" in program.log.read_text():
            faults.append(f"traceback: {program.log.read_text()[-400:]}")
    early = max(held[: max(1, len(held) // 6)])
    late = statistics.median(held[-max(1, len(held) // 6) :])
    options.tried, old = len(ages), sum(age > OLD for age in ages)
    if late > early + GROWTH:
        faults.append(f"the page holds {late:.0f} MB at the end, {early:.0f} at first")
    if old > len(ages) / 100:
        faults.append(f"{old} of {len(ages)} frames came back after more than {OLD * 1000:.0f} ms")
    if max(ages) > LOST:
        faults.append(f"a viewer waited for {max(ages):.1f} s")
    note = (
        f"{options.minutes:g} minutes, {count} viewers passed; memory {early:.0f} MB at first, {late:.0f} at the end; "
    )
    note += (
        f"frames back in {statistics.median(ages) * 1000:.0f} ms, {old} of {len(ages)} in more than 100, the last in "
    )
    note += f"{max(ages) * 1000:.0f}"
    common.report(
        "live",
        "a live page for long: a slow viewer, others that come and go, styles that change",
        "no growth of memory, no frame older than 100 ms (one in 100 allowed), nobody blocked",
        options,
        faults,
        note,
    )


if __name__ == "__main__":
    main()

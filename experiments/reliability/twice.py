"""Start two programs at once on the same things: python -m experiments.reliability.twice [--times 40]

The same run folder, the same resumed run, the same sweep, the same photo or film. Nothing is damaged: both
succeed, or one says in a line that the other is at work; what is there at the end is whole.
"""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

from experiments.reliability import common
from experiments.reliability.common import Program, leftovers, tiny
from experiments.reliability.kill import compared
from experiments.reliability.mutate import _whole, make_sources

WAYS = ("run", "resume", "sweep", "photo", "film")


def commands(way: str, sources: Path, at: Path) -> tuple[str, list[str]]:
    paint = [f"style={sources}/tiny.safetensors", "backend=torch", "overwrite=true"]
    return {
        "run": ("train", [*tiny(sources), f"hydra.run.dir={at}/out"]),
        "resume": ("train", [f"resume={at}/out", "trainer.max_steps=12"]),
        "sweep": ("train", ["-m", *tiny(sources), "loss.style_weight=1e4,1e5", f"hydra.sweep.dir={at}/out"]),
        "photo": ("infer", [f"source={sources}/photo.png", *paint, f"output={at}/out.png"]),
        "film": ("infer", [f"source={sources}/films/a.mp4", *paint, f"output={at}/out.mp4"]),
    }[way]


def attempt(way: str, sources: Path, at: Path, whole: dict[str, Path], chance: random.Random) -> str | None:
    """What was damaged, or None."""
    at.mkdir()
    if way == "resume":
        shutil.copytree(sources / "run", at / "out")
    name, words = commands(way, sources, at)
    first = Program(name, words, at)
    time.sleep(chance.choice([0, 0.05, 0.5, 1.5]))
    ends = [program.wait() for program in (first, Program(name, words, at))]
    if fault := next((end.fault for end in ends if end.fault), None):
        return f"{way}: {fault}"
    if all(end.status for end in ends):
        return f"{way}: neither came to its end: {ends[0].text.strip()[-150:]} / {ends[1].text.strip()[-150:]}"
    if left := leftovers(at):
        return f"{way}: {left[0]} is left"
    if way in whole and (lost := compared(way, at / "out", whole[way])):
        return f"{way}: {lost} (statuses {[end.status for end in ends]})"
    files = [path for path in (at / "out.png", at / "out.mp4") if path.exists()]
    return next((f"{way}: half a {path.name}" for path in files if not _whole(path)), None)


def main() -> None:
    options = common.arguments(__doc__.splitlines()[0], 40)
    common.ready()
    with common.workplace() as folder:
        make_sources(folder)
        whole = {way: folder / way / "out" for way in ("run", "resume", "sweep")}
        shutil.copytree(folder / "run", whole["resume"])
        for way in whole:
            end = Program(*commands(way, folder, folder / way), folder).wait()
            assert not end.status, end.text

        def one(number: int, chance: random.Random) -> str | None:
            at = folder / f"at{number}"
            fault = attempt(WAYS[number % len(WAYS)], folder, at, whole, chance)
            shutil.rmtree(at)
            return fault

        faults = common.tried(options, one)
    common.report(
        "twice",
        "two programs at once in the same folder of a run or a sweep, or on the same output",
        "no damage; the second waits or says so",
        options,
        faults,
    )


if __name__ == "__main__":
    main()

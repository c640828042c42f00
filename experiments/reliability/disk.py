"""Let the disk fill up, and folders go: python -m experiments.reliability.disk [--times 120]

No file may grow beyond a size (RLIMIT_FSIZE stands in for the end of the disk) that is another one each time; folders
may not be written, or vanish in the middle; the store is a file. Each program says it in one line, leaves no half of a
file, and what was there before is still there.
"""

from __future__ import annotations

import hashlib
import os
import random
import resource
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from experiments.reliability import common
from experiments.reliability.common import Program, gatys, leftovers, tiny
from experiments.reliability.kill import lines
from experiments.reliability.mutate import make_sources

WAYS = ("full", "full", "full", "vanish", "file", "store", "readonly")
NOBODY = 65534  # root may write everywhere


def full(size: int) -> Callable[[], None]:
    """In the program: a write beyond so many bytes of a file fails."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def jobs(sources: Path, at: Path) -> dict[str, tuple[str, list[str]]]:
    """What writes: a program and its arguments, each into at/out."""
    paint = [f"style={sources}/tiny.safetensors", "backend=torch"]
    out = at / "out"
    return {
        "training": ("train", [*tiny(sources), f"hydra.run.dir={out}"]),
        "wandb": ("train", [*tiny(sources, logger="wandb", logger__mode="offline"), f"hydra.run.dir={out}"]),
        "gatys": ("train", [*gatys(sources, method__animation="[mp4,gif]"), f"hydra.run.dir={out}"]),
        "sweep": ("train", ["-m", *tiny(sources), "loss.style_weight=1e4,1e5", f"hydra.sweep.dir={out}"]),
        "resume": ("train", [f"resume={out}", "trainer.max_steps=8"]),
        "photo": ("infer", [f"source={sources}/photo.png", *paint, f"output={out}/a.jpg", "overwrite=true"]),
        "folder": ("infer", [f"source={sources}/photos", *paint, f"output={out}", "overwrite=true"]),
        "film": ("infer", [f"source={sources}/films/a.mp4", *paint, f"output={out}/a.mp4", "overwrite=true"]),
        "onnx": (
            "infer",
            ["export=onnx", paint[0], f"output={out}/a.onnx", "overwrite=true"],
        ),
    }


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*.*")
        if path.is_file()
    }


def attempt(at: Path, sources: Path, way: str, chance: random.Random) -> str | None:
    """What went wrong, or None."""
    out = at / "out"
    kind = chance.choice(sorted(jobs(sources, at)))
    name, words = jobs(sources, at)[kind]
    shutil.copytree(sources / "run", out) if kind == "resume" else out.mkdir(parents=True)
    for old in ("a.jpg", "a.mp4", "a.onnx"):
        (out / old).write_text("what was there before")
    before, limit = contents(out), None
    if way == "full":
        limit = full(chance.choice([3000, 5000, 10_000, 30_000, 100_000]))
    elif way == "file":
        shutil.rmtree(out)
        out.write_text("a file where a folder should be")
    elif way == "store":
        (at / "store").write_text("a file where the store should be")
        words = [*words, *(["data=auto", "loss.weights=IMAGENET1K_V1", "loss=vgg16"] if kind == "training" else [])]
    elif way == "readonly":
        limit = nobody
    program = Program(name, words, at, before=lambda: _set(limit, at / "store" if way == "store" else None))
    if way == "vanish":
        threading.Thread(target=vanish, args=(program, out, chance.uniform(0, 2.5)), daemon=True).start()
    end, said = program.wait(), f"{kind}, {way}"
    if end.fault:
        return f"{said}: {end.fault}"
    if left := leftovers(at):
        return f"{said}: {left[0]} is left"
    if way == "full" and end.status and kind in ("photo", "film", "onnx") and contents(out) != before:
        return f"{said}: what was there before is not"
    if way == "full" and kind == "resume" and not (out / "checkpoints" / "last.ckpt").is_file():
        return f"{said}: the checkpoint is gone"
    return None


def nobody() -> None:
    """In the program: be a user who may not write here."""
    os.setgroups([])
    os.setuid(NOBODY)


def _set(limit: Callable[[], None] | None, store: Path | None) -> None:
    if limit is not None:
        limit()
    if store is not None:
        os.environ["FST_HOME"] = str(store)


def vanish(program: Program, folder: Path, seconds: float) -> None:
    """Remove a folder while a program works in it."""
    until = time.monotonic() + 20
    while lines(folder) < 3 and time.monotonic() < until and seconds > 1:
        time.sleep(0.01)
    time.sleep(seconds / 5)
    shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    options = common.arguments(__doc__.splitlines()[0], 120)
    common.ready()
    with common.workplace() as folder:
        make_sources(folder)
        folder.chmod(0o755)

        def one(number: int, chance: random.Random) -> str | None:
            at = folder / f"at{number}"
            fault = attempt(at, folder, WAYS[number % len(WAYS)], chance)
            shutil.rmtree(at, ignore_errors=True)
            return fault

        faults = common.tried(options, one)
    common.report(
        "disk",
        "no room for a file at any size, folders that vanish, files where folders or the store should be",
        "one line each; what was there before is still there",
        options,
        faults,
    )


if __name__ == "__main__":
    main()

"""Stop runs by signals at every stage: python -m experiments.reliability.stop [--times 48]

SIGINT, SIGTERM and SIGHUP, sent at the start, in a step, while a checkpoint is written (on a disk that is made slow),
and twice in a row, to a run with worker processes and an offline W&B run. It ends with the signal's status (128 and its
number), saved where there was something to save, with no traceback and no process left; then it goes on to its end.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from experiments.reliability import common
from experiments.reliability.common import Program, leftovers, orphans, tiny
from experiments.reliability.kill import lines
from fst.runfolder import CHECKPOINT

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WHEN = ("start", "step", "writing", "twice")
WRITING = "checkpoint-is-being-written"


def slow_disk(folder: Path) -> Callable[[], None]:
    """In the program: a checkpoint takes half a second to write, and a file says so meanwhile."""

    def slow() -> None:
        from lightning_fabric.plugins import TorchCheckpointIO

        write = TorchCheckpointIO.save_checkpoint

        def slowly(self: object, *args: object, **how: object) -> None:
            (folder / WRITING).touch()
            time.sleep(0.5)
            write(self, *args, **how)
            (folder / WRITING).unlink()

        TorchCheckpointIO.save_checkpoint = slowly

    return slow


def attempt(number: signal.Signals, when: str, at: Path, sources: Path, chance: random.Random) -> str | None:
    """What went wrong with a run that got a signal, or None."""
    more = {"logger": "wandb", "logger__mode": "offline"} if chance.random() < 0.25 else {}
    run = at / "run"
    words = [*tiny(sources, trainer__max_steps=10_000, data__workers=1, **more), f"hydra.run.dir={run}"]
    program = Program("train", words, at, before=slow_disk(at) if when == "writing" else None)
    _wait(program, run, when, chance)
    program.send(number)
    if when == "twice":
        time.sleep(chance.uniform(0, 0.1))
        if not program.ended():
            program.send(number)
    end = program.wait()
    said = f"{number.name}, {when}{', W&B' if more else ''}"
    if left := orphans():
        return f"{said}: {left} processes are left"
    if end.fault or end.status != 128 + number:
        return f"{said}: {end.fault or f'status {end.status}'}: {end.text.strip()[-200:]}"
    if left := leftovers(at):
        return f"{said}: {left[0]} is left"
    if when in ("step", "writing") and not (run / CHECKPOINT).is_file():
        return f"{said}: nothing was saved"
    if (run / CHECKPOINT).is_file():
        steps = _step(run / CHECKPOINT) + 1
        end = Program("train", [f"resume={run}", f"trainer.max_steps={steps}"], at).wait()
        if end.status:
            return f"{said}: does not go on: {end.text.strip()[-200:]}"
    return None


def _wait(program: Program, run: Path, when: str, chance: random.Random) -> None:
    wanted = chance.randint(2, 12)
    until = time.monotonic() + (chance.uniform(0, 1.0) if when == "start" else 120)
    while time.monotonic() < until and not program.ended():
        if when != "start" and lines(run) > wanted and (when != "writing" or (run.parent / WRITING).exists()):
            break
        time.sleep(0.002)
    if when != "start":
        time.sleep(chance.uniform(0, 0.05))


def _step(checkpoint: Path) -> int:
    import torch

    return torch.load(checkpoint, weights_only=True)["global_step"]


def main() -> None:
    options = common.arguments(__doc__.splitlines()[0], 48)
    common.ready()
    with common.workplace() as folder:

        def one(number: int, chance: random.Random) -> str | None:
            return attempt(SIGNALS[number % 3], WHEN[number // 3 % 4], folder / f"{number}", folder, chance)

        faults = common.tried(options, one)
    common.report(
        "stop",
        "SIGINT, SIGTERM and SIGHUP at the start, in a step, while writing, and twice",
        "saved, the signal's status, nothing left running, and it goes on",
        options,
        faults,
    )


if __name__ == "__main__":
    main()

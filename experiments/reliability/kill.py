"""Kill runs at random moments and go on: python -m experiments.reliability.kill [--times 50] [--kinds training,sweep]

Each try is one command that is killed (SIGKILL) one to three times and goes on as a user would: `resume=`, or, where
it was killed before its first checkpoint, and for a search, the command again. What counts is the run at the end: every
number of metrics.csv, the style file and the previews are those of the uninterrupted run, to the bit; what had finished
before the kill was not touched; no process is left.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from experiments.reliability import common
from experiments.reliability.common import Program, difference, gatys, orphans, tiny
from fst.runfolder import CHECKPOINT, JOB, METRICS

KINDS = {"training": 1.0, "sweep": 0.4, "search": 0.4, "gatys": 0.4, "adapting": 0.4}  # and their share of --times
TRIALS = 3
GOAL = "it goes on and is equal to the bit to the uninterrupted one; nothing finished is done twice"


def commands(folder: Path) -> dict[str, list[str]]:
    """What is run, a kind each; its place is yet to be said."""
    search = ["-m", "hydra/sweeper=optuna", "loss.style_weight=interval(1e4,1e6)", f"hydra.sweeper.n_trials={TRIALS}"]
    search += ["hydra.sweeper.storage=sqlite:///study.db", "hydra.sweeper.study_name=killed"]
    longer = {"trainer__max_steps": 40, "trainer__checkpoint_every_n_steps": 3, "trainer__val_check_interval": 7}
    return {
        "training": tiny(folder, **longer, logger="wandb", logger__mode="offline", data__workers=1),
        "sweep": ["-m", *tiny(folder), "loss.style_weight=1e4,1e5,1e6"],
        "search": [*search, *tiny(folder)],
        "gatys": gatys(folder, method__iterations=40),
        "adapting": tiny(folder, **longer, method__init_from=folder / "tiny.safetensors"),
    }


def place(kind: str, at: Path) -> list[str]:
    """The folder that a command works in, as an argument; a search's is called by its study."""
    if kind == "search":
        return []
    return [f"hydra.sweep.dir={at}"] if kind == "sweep" else [f"hydra.run.dir={at}"]


def go_on(kind: str, command: list[str], at: Path) -> list[str]:
    """The arguments that go on with what was killed."""
    begun = {"sweep": at / "sweep.json", "search": None}.get(kind, at / CHECKPOINT)
    return [f"resume={at}"] if begun is not None and begun.is_file() else command


def finished(at: Path) -> dict[Path, int]:
    """The numbers of jobs that are done, and when they were last written."""
    done = [job.parent for job in at.rglob(JOB) if json.loads(job.read_text())["status"] == "done"]
    return {folder: (folder / METRICS).stat().st_mtime_ns for folder in done}


def runs_of(kind: str, at: Path) -> list[Path]:
    return sorted(job.parent for job in at.rglob(JOB)) if kind in ("sweep", "search") else [at]


def compared(kind: str, at: Path, whole: Path) -> str | None:
    """What was lost, or None."""
    if kind == "search":
        import optuna

        study = optuna.load_study(study_name="killed", storage=f"sqlite:///{at}/study.db")
        done = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
        jobs = [json.loads((run / JOB).read_text())["status"] for run in runs_of(kind, at)]
        counts = Counter(jobs)["done"], len(done)
        return None if counts == (TRIALS, TRIALS) else f"{counts} jobs and trials are done instead of {TRIALS}"
    mine, theirs = runs_of(kind, at), runs_of(kind, whole)
    if len(mine) != len(theirs):
        return f"{len(mine)} runs instead of {len(theirs)}"
    return next((found for pair in zip(mine, theirs, strict=True) if (found := difference(*pair))), None)


def lines(at: Path) -> int:
    """How many numbers a command has written so far, in lines of metrics.csv."""
    return sum(file.read_bytes().count(b"\n") for file in at.rglob(METRICS))


def wait_for_moment(chance: random.Random, program: Program, at: Path, whole: Path, seconds: float) -> None:
    """One time in three any moment of the whole, else one while steps are made: starting and ending take longer."""
    if chance.random() < 1 / 3:
        time.sleep(chance.uniform(0, seconds))
        return
    now, most = lines(at), lines(whole)
    wanted = chance.randint(min(now + 1, most), most)
    while lines(at) < wanted and not program.ended():
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 0.05))


def attempt(kind: str, command: list[str], at: Path, whole: Path, seconds: float, chance: random.Random) -> str | None:
    """Run, kill and go on until it has ended by itself; what was lost, or None."""
    cwd, words, kept = at if kind == "search" else at.parent, command, {}
    for _ in range(chance.randint(1, 3)):
        program = Program("train", words, cwd)
        wait_for_moment(chance, program, at, whole, seconds)
        if program.ended():
            break
        program.send(9)
        program.wait()
        for run, written in kept.items():
            if (run / METRICS).stat().st_mtime_ns != written:
                return f"{run.name} was done and was done again"
        kept = finished(at)
        words = go_on(kind, command, at)
    else:
        program = Program("train", words, cwd)
    end = program.wait(120)
    if end.fault or end.status:
        return end.fault or f"status {end.status}: {end.text.strip().splitlines()[-1]}"
    if any((run / METRICS).stat().st_mtime_ns != written for run, written in kept.items()):
        return "a job that was done was done again"
    return compared(kind, at, whole)


def try_kind(kind: str, options: argparse.Namespace, folder: Path) -> list[str]:
    chance = random.Random(f"{options.seed} {kind}")
    whole, faults = folder / "whole" / kind, []
    whole.mkdir(parents=True)
    command: Callable[[Path], list[str]] = lambda at: [*commands(folder)[kind], *place(kind, at)]  # noqa: E731
    began = time.monotonic()
    end = Program("train", command(whole), whole if kind == "search" else folder).wait(120)
    seconds = time.monotonic() - began
    if end.status:
        return [f"{kind}: the uninterrupted run: {end.text}"]
    for number in common.numbers(options, max(1, round(options.times * KINDS[kind]))):
        at = folder / f"{kind}{number}"
        at.mkdir()
        if fault := attempt(kind, command(at), at, whole, seconds, chance):
            faults.append(f"{kind} {number}: {fault}")
            print(faults[-1], flush=True)
        if left := orphans():
            faults.append(f"{kind} {number}: {left} processes are left")
        shutil.rmtree(at)
    return faults


def main() -> None:
    options = common.arguments(__doc__.splitlines()[0], 50, kinds=",".join(KINDS))
    common.ready()
    lost = False
    with common.workplace() as folder:
        common.style_file(folder)
        for kind in options.kinds.split(","):
            faults = try_kind(kind, options, folder)
            common.add_row(
                f"kill {kind}", "kill -9 at random moments, one to three times, then go on", GOAL, options, faults
            )
            lost |= bool(faults)
    if lost:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

"""What the commands of this folder share: programs in forks of this process, tiny runs, and README's table."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import csv
import ctypes
import importlib
import json
import math
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from fst.evaluate.report import renew
from fst.files import write_json
from fst.runfolder import METRICS, PREVIEWS

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULTS = HERE / "results.json"
BEGIN = "<!-- written by the commands of this folder -->"
SECONDS = 30.0  # of work, beyond which a program hangs
SPARE = 4 << 30  # bytes that a program may ask for beyond what it has when it starts
CLOCKS = {"seconds", "train/step_seconds", "train/data_wait", "train/images_per_second"}
ROWS = ("kill", "stop", "mutate", "disk", "live", "page", "twice", "downloads", "extremes")
# What takes seconds to import is imported once, here, and not in each of thousands of forks.
HEAVY = ("fst.methods.run", "fst.methods.feedforward_module", "fst.methods.gatys.style_transfer", "fst.data")
HEAVY += ("fst.methods.parts", "fst.stylize.ranges", "fst.stylize.torch_backend", "fst.media.video.paint_video")


class Ended(NamedTuple):
    """How a program ended: its status as a shell has it, what it said, and whether it had to be killed."""

    status: int
    text: str
    hung: bool = False

    @property
    def fault(self) -> str | None:
        """What no input may bring about, in a few words; None of a program that ended as it should."""
        if self.hung:
            return f"hung for {SECONDS:g} s"
        if "Traceback" in self.text:
            return f"traceback: {self.text.strip().splitlines()[-1][:150]}"
        if self.status > 128 and self.status - 128 in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE):
            return f"crashed: {signal.Signals(self.status - 128).name}"
        errors = [line for line in self.text.splitlines() if line.startswith("error:")]
        jobs = [line for line in self.text.splitlines() if re.match(r"job \d+ failed: ", line)]  # of a sweep, one each
        if self.status == 1 and len(errors) != 1 and not (jobs and not errors):
            return f"status 1 and {len(errors)} lines of error: {self.text.strip()[-300:]}"
        return None


class Program:
    """`train.py` or `infer.py` with arguments, in a fork of this process and a working folder of its own.

    Args:
        name: "train" or "infer".
        arguments: of the command line.
        folder: its working folder.
        before: called in the fork first, to set limits or to slow something down.
        memory: bytes that it may ask for beyond what this process has.
    """

    def __init__(
        self,
        name: str,
        arguments: list[str],
        folder: Path,
        *,
        before: Callable[[], None] | None = None,
        memory: int | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        handle, log = tempfile.mkstemp(suffix=".log")
        os.close(handle)
        self.log = Path(log)
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            _become(name, arguments, folder, self.log, before, memory)

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def ended(self) -> bool:
        """Whether it has; `wait` has yet to be called."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def wait(self, seconds: float = SECONDS) -> Ended:
        """Wait for its end, and kill it after so many seconds of its own, or five times as many on the wall."""
        until = time.monotonic() + 5 * seconds
        while not self.ended() and time.monotonic() < until and self._worked() < seconds:
            time.sleep(0.01)
        hung = not self.ended()
        if hung:
            self.send(signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        text = self.log.read_text(encoding="utf-8", errors="replace")
        self.log.unlink()
        return Ended(128 - status if status < 0 else status, text, hung)

    def _worked(self) -> float:
        """Seconds of processor time so far: on a busy machine a program that waits for its turn does not hang."""
        words = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _become(
    name: str, arguments: list[str], folder: Path, log: Path, before: Callable[[], None] | None, memory: int | None
) -> None:
    """In the fork: be the program, and never come back."""
    status = 1
    atexit._clear()  # what is run at the end is what the program asks for, not what this process did
    try:
        out = os.open(log, os.O_WRONLY | os.O_APPEND)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.chdir(folder)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it,
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and this one's under nohup
        sys.argv = [f"{name}.py", *arguments]
        program = sys.modules[name].main
        if memory is not None:
            limit = _virtual_memory() + memory
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        if before is not None:
            before()
        if name == "infer":
            from fst.errors import one_line_errors

            with one_line_errors():
                program(arguments)
        else:
            program()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _virtual_memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def ready() -> None:
    """Import what the programs need, on one thread: a fork has no others."""
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.path.insert(0, str(ROOT))
    for module in ("train", "infer", *HEAVY):
        importlib.import_module(module)
    import torch

    torch.set_num_threads(1)
    # What a program leaves behind becomes a child of this process, so that it is seen: prctl's PR_SET_CHILD_SUBREAPER.
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def orphans(patience: float = 15.0) -> int:
    """Processes that the programs left behind and that are still there after so many seconds; they are then killed."""
    until = time.monotonic() + patience
    while (left := _children()) and time.monotonic() < until:
        _bury()
        time.sleep(0.05)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _bury()
    return len(left)


def _children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def _bury() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """An empty folder with a painting, a photo and 12 photos to train on; the store is in it too, empty."""
    folder = Path(tempfile.mkdtemp(prefix="fst-reliability-"))
    os.environ["FST_HOME"] = str(folder / "store")
    generator = np.random.default_rng(5)
    levels = (generator.integers(0, 3, (8, 10, 3)) * 127).astype(np.uint8)
    Image.fromarray(levels).resize((80, 64)).save(folder / "painting.png")
    (folder / "photos").mkdir()
    for number in range(12):
        noise = generator.integers(0, 256, 3) * 0.8 + generator.integers(0, 50, (40, 48, 3))
        Image.fromarray(noise.astype(np.uint8)).save(folder / "photos" / f"{number}.png")
    shutil.copy(folder / "photos" / "0.png", folder / "photo.png")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def tiny(folder: Path, **changes: object) -> list[str]:
    """Arguments of a training run of two seconds; `data__size=48` changes data.size."""
    settings = {"style": "custom", "style.image": folder / "painting.png", "style.size": 64, "loss": "vgg16_small"}
    settings |= {"network.widths": "[4,8]", "network.depths": "[0,1]", "logger": "none", "compile": "false"}
    settings |= {"data": "folder", "data.root": folder / "photos", "data.size": 32, "data.batch_size": 2}
    settings |= {"data.workers": 0, "data.val_images": 2, "trainer": "cpu", "trainer.precision": "32-true"}
    settings |= {"trainer.max_steps": 12, "trainer.val_check_interval": 3, "trainer.checkpoint_every_n_steps": 2}
    settings |= {"trainer.log_every_n_steps": 1}
    settings |= {key.replace("__", "."): value for key, value in changes.items()}
    return [f"{key}={value}" for key, value in settings.items()]


def gatys(folder: Path, **changes: object) -> list[str]:
    """Arguments of an optimisation of two seconds."""
    settings = {"method": "gatys", "content": folder / "photo.png", "style": "custom", "loss": "vgg16_small"}
    settings |= {"style.image": folder / "painting.png", "style.size": 64, "method.size": 48, "method.iterations": 16}
    settings |= {"method.coarsest": "null", "logger": "none", "trainer": "cpu", "trainer.log_every_n_steps": 1}
    settings |= {"trainer.checkpoint_every_n_steps": 2}
    settings |= {key.replace("__", "."): value for key, value in changes.items()}
    return [f"{key}={value}" for key, value in settings.items()]


def style_file(folder: Path) -> Path:
    """The smallest style file, untrained."""
    from fst import stylefile
    from fst.networks import build

    settings = {"widths": [4, 8], "depths": [0, 1]}
    info = stylefile.StyleInfo("tiny", "realtime", settings)
    return stylefile.save(folder / "tiny.safetensors", build("realtime", **settings), info)


def losses(run: Path) -> dict[tuple[str, str], str]:
    """A run's numbers by step and name, as written, but for what a clock says."""
    found = {}
    with (run / METRICS).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value and name not in CLOCKS:
                    found[row["step"], name] = value
    return found


def difference(run: Path, whole: Path) -> str | None:
    """What a run has otherwise than an uninterrupted one, in a few words; None where all is equal to the bit."""
    mine, theirs = losses(run), losses(whole)
    for key in sorted(theirs.keys() | mine.keys(), key=lambda key: (int(key[0]), key[1])):
        if mine.get(key) != theirs.get(key):
            return f"{key[1]} at step {key[0]} is {mine.get(key)}, uninterrupted {theirs.get(key)}"
    for pattern in ("*.safetensors", "*-*.png", f"{PREVIEWS}/**/*.png"):
        files = [{path.relative_to(at): path.read_bytes() for path in at.glob(pattern)} for at in (run, whole)]
        for name in files[0].keys() | files[1].keys():
            if files[0].get(name) != files[1].get(name):
                return f"{name} is another file"
    return None


def leftovers(folder: Path) -> list[str]:
    """Files that a program began beside their place and left there."""
    return [str(path.relative_to(folder)) for path in folder.rglob(".*-*") if path.is_file()]


def arguments(words: str, times: int, **more: object) -> argparse.Namespace:
    """The command line that all commands have: how often, from which seed, and whether README's row is written.

    Args:
        words: what the command is for.
        times: the whole count.
        more: further options and their defaults.
    """
    parser = argparse.ArgumentParser(description=words)
    parser.add_argument("--times", type=int, default=times, help=f"how often ({times})")
    more = {"minutes": math.inf, **more}  # after which no try is begun
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="put the row into README.md")
    for name, value in more.items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    options = parser.parse_args()
    options.until = time.monotonic() + 60 * options.minutes
    return options


def numbers(options: argparse.Namespace, times: int | None = None) -> Iterator[int]:
    """The tries' numbers: so many, fewer when --minutes are over; `options.tried` counts them."""
    options.tried, first = 0, getattr(options, "first", 0)
    for number in range(first, first + (times or options.times)):
        if time.monotonic() > options.until:
            return
        options.tried += 1
        yield number


def tried(
    options: argparse.Namespace,
    attempt: Callable[[int, random.Random], str | None],
    times: int | None = None,
    kind: str = "",
) -> list[str]:
    """What was lost in all tries, said as it happens; each has its number and a generator of its own."""
    faults, named = [], f"{kind} " if kind else ""
    for number in numbers(options, times):
        if fault := attempt(number, random.Random(f"{options.seed} {named}{number}")):
            faults.append(f"{named}{number}: {fault}")
            print(faults[-1], flush=True)
    return faults


def report(row: str, what: str, goal: str, options: argparse.Namespace, faults: list[str], note: str = "") -> None:
    """As `add_row`, and exit with status 1 on a fault."""
    add_row(row, what, goal, options, faults, note)
    if faults:
        raise SystemExit(1)


def add_row(row: str, what: str, goal: str, options: argparse.Namespace, faults: list[str], note: str = "") -> None:
    """Print what was tried and what was lost; with `--write`, renew README.md's row."""
    for fault in faults:
        print(f"lost: {fault}")
    tried = options.tried
    print(f"{row}: {tried} tried, {len(faults)} lost{f'; {note}' if note else ''}", flush=True)
    if options.write and tried:
        from fst.tracking.metadata import git_state

        git = git_state() or {}
        facts = {"what": what, "goal": goal, "tried": tried, "lost": len(faults), "note": note}
        facts |= {"date": date.today().isoformat(), "commit": str(git.get("commit"))[:8]}
        found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
        found[row] = facts
        write_json(RESULTS, {name: found[name] for name in sorted(found, key=lambda name: ROWS.index(name.split()[0]))})
        renew(HERE / "README.md", BEGIN, table())


def table() -> str:
    """results.json as Markdown."""
    lines = ["| command | what | goal | tried | lost | notes | date, commit |", "|---|---|---|---:|---:|---|---|"]
    for name, row in json.loads(RESULTS.read_text(encoding="utf-8")).items():
        cells = [f"`{name}`", row["what"], row["goal"], row["tried"], row["lost"], row["note"]]
        lines.append(f"| {' | '.join(map(str, cells))} | {row['date']}, {row['commit']} |")
    return "\n".join(lines)

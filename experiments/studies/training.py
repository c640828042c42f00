"""Train what a study lacks: each arm by train.py in a process of its own, in runs/studies/STUDY/ARM."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import shlex
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from fst import store, stylefile
from fst.compare import reading
from fst.config import groups
from fst.errors import UserError
from fst.runfolder import CHECKPOINT
from fst.system import handling
from studies.definition import RUNS, Arm, Study, config_of, differences

ABSENT, BEGUN, FINISHED = "absent", "begun", "finished"
LOG = "train.log"
SHOWN_EVERY = 15.0  # seconds between progress lines


def train(study: Study, arms: list[Arm], runs: Path = RUNS, more: tuple[str, ...] = ()) -> list[str]:
    """Train the arms that have no finished run, one after another; an arm that fails is told and passed over.

    Another process may work on the same study at the same time: an arm that it is training is passed over too.

    Returns:
        The names of the arms that failed.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM, after the arm under way has saved; the same command goes on.
    """
    failed = []
    # Arms that wait for the seconds of others come last.
    for arm in sorted(arms, key=lambda arm: arm.as_long_as is not None):
        try:
            print(f"{arm.name:<24} {_train_one(study, arm, runs, more)}", flush=True)
        except UserError as error:
            failed.append(arm.name)
            print(f"{arm.name:<24} failed: {error}", flush=True)
    return failed


def complete(study: Study, arm: Arm, runs: Path = RUNS, more: tuple[str, ...] = ()) -> Arm:
    """The arm with the number of steps that its time allows, where another arm's seconds set it.

    Raises:
        UserError: one of the arms it depends on is not finished.
    """
    if arm.as_long_as is None or arm.at_the_rate_of is None:
        return arm
    seconds = []
    for name in (arm.as_long_as, arm.at_the_rate_of):
        other = study.arms[name]
        if state(other, config_of(other, more), runs) != FINISHED:
            raise UserError(f"its time is that of {name}, which is not finished")
        seconds.append(step_seconds(other.folder(runs)))
    steps = config_of(study.arms[arm.as_long_as], more).trainer.max_steps
    return dataclasses.replace(arm, steps=max(1, round(steps * seconds[0] / seconds[1])))


def step_seconds(run: Path) -> float:
    """The median over a run of the seconds of a training step, waiting for photos included.

    Raises:
        UserError: the run did not log it, or was too short to.
    """
    found = reading.read(run, run.name).series.get("train/step_seconds")
    if not found:
        raise UserError(f"{run} does not say what a step took (logger=wandb, over trainer.log_every_n_steps)")
    return statistics.median(seconds for _, seconds in found)


def state(arm: Arm, config: DictConfig, runs: Path = RUNS) -> str:
    """absent, begun or finished.

    Raises:
        UserError: the run there was trained with another config.
    """
    folder = arm.folder(runs)
    style, written = folder / "style.safetensors", folder / "config.yaml"
    if not style.is_file() or not written.is_file():
        return ABSENT
    found = differences(OmegaConf.load(written), config)
    if found:
        others = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise UserError(f"{folder} was trained with {found[0]}{others}: move it away to train the arm anew")
    if stylefile.read_info(style).training.get("steps", 0) >= config.trainer.max_steps:
        return FINISHED
    return BEGUN if (folder / CHECKPOINT).is_file() else ABSENT


def command(arm: Arm, runs: Path = RUNS, more: tuple[str, ...] = ()) -> list[str]:
    """The words after `python` that train an arm by hand."""
    return ["train.py", *arm.arguments(more), f"hydra.run.dir={arm.folder(runs)}"]


def previews(study: Study) -> list[str]:
    """The photos of the study's figure that the store has, for the previews of its runs."""
    found = [store.find(f"content/{name}.jpg") for name in study.file.figure.photos]
    return [f"logger.preview_images=[{','.join(str(path) for path in found if path)}]"] if any(found) else []


def _train_one(study: Study, arm: Arm, runs: Path, more: tuple[str, ...]) -> str:
    """Train an arm if need be; what became of it, in a few words."""
    arm = complete(study, arm, runs, more)
    folder = arm.folder(runs)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("a+", encoding="utf-8") as log:
        if not _locked(log):
            return "another process is training it"
        found = state(arm, config_of(arm, more), runs)
        if found == FINISHED:
            return f"finished before: {folder}"
        words = [f"resume={folder}"] if found == BEGUN else command(arm, runs, more)[1:]
        print(f"{arm.name:<24} python train.py {shlex.join(words)}", flush=True)
        if found == ABSENT:
            words += [f"logger.group={arm.study}", f"logger.run_name={arm.study} {arm.key}", *previews(study)]
        status = _run([sys.executable, "-W", "ignore", str(groups.ROOT / "train.py"), *words], log, arm.name)
        if status:
            raise UserError(f"{_last_words(folder / LOG)} (status {status}; {folder / LOG})")
    return f"finished: {folder}"


def _locked(log) -> bool:
    """Take the arm for this process and its child: the system gives it back when both have ended, however they do."""
    try:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _run(words: list[str], log, name: str) -> int:
    """The exit status of a command, its output in `log`, its progress shown.

    The child has a process group of its own, so that Ctrl-C reaches it once, from here: it saves and ends.
    """
    begin = log.seek(0, 2)
    child = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, process_group=0, pass_fds=(log.fileno(),))
    shown = ""
    with _handed_on(child) as came:
        while child.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(SHOWN_EVERY)
            lines = [line for line in _lines(Path(log.name), begin) if line.startswith("step ")]
            if lines and lines[-1] != shown:
                shown = lines[-1]
                print(f"{name:<24} {shown}", flush=True)
    if came:
        raise KeyboardInterrupt
    return child.returncode


@contextlib.contextmanager
def _handed_on(child: subprocess.Popen) -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM go to the child; those that came are listed."""
    came: list[int] = []

    def hand_on(number: int, frame: object) -> None:
        came.append(number)
        child.send_signal(number)

    with handling(hand_on):
        yield came


def _lines(path: Path, begin: int = 0) -> list[str]:
    with path.open("rb") as log:
        log.seek(begin)
        return [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]


def _last_words(path: Path) -> str:
    lines = _lines(path)
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or ["it said nothing"])[-1].removeprefix("error: ")

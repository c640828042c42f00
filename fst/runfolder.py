"""What a run leaves in its folder: the names of its files, and reading them back without torch."""

from __future__ import annotations

import contextlib
import csv
import math
import os
import socket
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fst.errors import UserError
from fst.files import read_json, write_json
from fst.values import leaves

if TYPE_CHECKING:
    from omegaconf import DictConfig

CONFIG = "config.yaml"  # every setting, each `auto` replaced by what was decided
RUN = "run.json"  # commit, command, machine, versions, and how the run ended
CHANGES = "changes.patch"  # uncommitted ones, and new files of fst and conf, where there are any
METRICS = "metrics.csv"  # a row each time that something was logged: step, seconds, then one column per metric
STYLE = "style.safetensors"  # the trained network
CHECKPOINT = Path("checkpoints", "last.ckpt")  # to resume from
LOCK = ".lock"  # held by the process that trains here, in a sweep's folder as in a run's
PREVIEWS = "previews"  # photos/NAME.png, step-000100/NAME.png, step-000100.png
PAINTING = "painting.png"  # the style image as the run used it
JOB = "job.json"  # how a job of a sweep ended
LARGEST_CONFIG = 100_000  # bytes, which take OmegaConf ten seconds
RUNNING, FINISHED, STOPPED, FAILED = STATES = ("running", "finished", "stopped", "failed")


def check_checkpoint(path: str | Path) -> None:
    """Raise UserError if a checkpoint is not as it was written: torch does not look at its zip's checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            whole = archive.testzip() is None
    except Exception:  # a damaged zip's errors are of many kinds
        whole = False
    if not whole:
        raise UserError(f"{path} is no checkpoint, or it is damaged: its checksums do not fit")


@contextlib.contextmanager
def held(run_dir: Path) -> Iterator[None]:
    """Within, no other process trains in a run's or a sweep's folder: two would write one checkpoint. Else a UserError.

    The kernel lets go of it when the process ends, however it ends; Windows has no such lock.
    """
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        file = (run_dir / LOCK).open("w")
    except OSError as error:
        raise UserError(f"cannot write {run_dir}: {error.strerror}") from None
    with file:
        try:
            import fcntl

            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise UserError(f"another process trains in {run_dir}: wait for its end, or stop it") from None
        except (ImportError, OSError):  # a file system without locks
            pass
        yield


class Row(NamedTuple):
    """What was logged at a step, and the seconds of work until then, all starts of the run together."""

    step: int
    seconds: float
    metrics: dict[str, float]


def read_rows(run_dir: Path) -> list[Row]:
    """The rows of metrics.csv in the order they were written; a row that is being written is left out."""
    try:
        lines = (run_dir / METRICS).read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    except OSError:
        return []
    rows = []
    with contextlib.suppress(csv.Error):
        for row in csv.DictReader(line for line in lines if line.endswith("\n")):
            with contextlib.suppress(KeyError, TypeError, ValueError):  # a damaged row is no reason to lose the others
                step, seconds = int(row.pop("step")), float(row.pop("seconds"))
                if step < 0 or not math.isfinite(seconds):
                    raise ValueError
                rows.append(Row(step, seconds, {key: float(value) for key, value in row.items() if value}))
    return rows


def read_series(run_dir: Path) -> dict[str, list[tuple[int, float]]]:
    """The finite values of each metric over steps; of two at one step, the later."""
    series: dict[str, dict[int, float]] = {}
    for row in read_rows(run_dir):
        for name, value in row.metrics.items():
            if math.isfinite(value):
                series.setdefault(name, {})[row.step] = value
    return {name: sorted(points.items()) for name, points in series.items()}


def read_metrics(run_dir: Path) -> dict[str, float]:
    """The last finite value of each metric; none of a run that has not got that far."""
    return {name: points[-1][1] for name, points in read_series(run_dir).items()}


def read_config(run_dir: Path) -> DictConfig:
    """The settings of config.yaml; one that is missing or damaged is a UserError."""
    from omegaconf import DictConfig, OmegaConf

    path = run_dir / CONFIG
    try:
        if (size := path.stat().st_size) > LARGEST_CONFIG:
            raise ValueError(f"it has {size} bytes, a run's has a few thousand")
        found = OmegaConf.load(path)
    except Exception as error:  # YAML's errors have many types, and an odd file OmegaConf's own
        raise UserError(f"{path} is damaged: {(str(error).splitlines() or ['it is no YAML'])[0]}") from None
    if not isinstance(found, DictConfig) or not found:
        raise UserError(f"{path} is damaged: it holds no settings")
    return found


def circumstances(facts: dict[str, Any]) -> dict[str, Any]:
    """What a run's numbers may depend on beside its settings, by name, from what run.json says."""
    flat = dict(leaves(facts))
    gpus = flat.get("gpus")
    if isinstance(gpus, list):  # runs of before told their memory too
        gpus = [gpu.get("name") if isinstance(gpu, dict) else gpu for gpu in gpus]
    return {
        "commit": str(flat.get("git.commit") or "")[:10] or None,
        "changes": flat.get("git.dirty"),
        "python": flat.get("python"),
        **{key.removeprefix("packages."): version for key, version in flat.items() if key.startswith("packages.")},
        "processor": flat.get("cpu.model"),
        "threads": flat.get("threads"),
        "GPUs": gpus,
    }


def write_state(run_dir: Path, state: str) -> None:
    """Note in run.json that the run is running, finished, stopped or failed, in this process, at this time."""
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    write_json(run_dir / RUN, read_json(run_dir / RUN) | {"state": state, "state_since": now, "process": os.getpid()})


def state(run_dir: Path) -> str | None:
    """How the run is or ended; None where run.json does not say.

    A run that says it is running, but whose process on this machine is gone, was stopped.
    """
    facts = read_json(run_dir / RUN)
    if facts.get("state") != RUNNING:
        return facts.get("state")
    here = facts.get("host") == socket.gethostname() and os.name == "posix"
    return STOPPED if here and not _alive(facts.get("process")) else RUNNING


def _alive(process: object) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, TypeError, OverflowError):  # it ended; run.json is damaged
        return False
    except OSError:  # another user's
        pass
    return True

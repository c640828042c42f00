"""One job of a multirun: it runs apart from the others, in whatever process, and records how it ended."""

import contextlib
import gc
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig

from fst.config.commandline import unquoted
from fst.errors import UserError
from fst.files import number, read_json, shown, write_json
from fst.runfolder import FAILED, JOB, RUNNING, STOPPED
from fst.system import data_workers

REFERENCE_WEIGHT = 1e5  # of style, where a search wants one number
DONE, LOST = "done", "lost"  # beside runfolder's FAILED, RUNNING and STOPPED


@dataclass(frozen=True)
class Sweep:
    """What every job of a multirun knows of it."""

    folder: Path  # of its summary
    swept: frozenset[str]  # keys that tell its jobs apart
    reference: bool = False  # measure each network by the same definition of the losses
    parallel: int = 1  # jobs that run at a time on this machine
    objectives: int = 0  # values that a search wants of a job; 0: no search
    jobs: tuple[str, ...] = ()  # the run folders of all jobs, in their order; a search's are not known before

    @property
    def stop_file(self) -> Path:
        return self.folder / ".stop"


@dataclass(frozen=True)
class Job:
    """What Hydra calls for each job: the task, run apart from the other jobs, and recorded."""

    task: Callable[..., dict[str, float]]
    sweep: Sweep

    def __call__(self, config: DictConfig) -> float | list[float] | None:
        from hydra.core.hydra_config import HydraConfig

        sweep, hydra = self.sweep, HydraConfig.get()
        folder = Path(hydra.runtime.output_dir)
        place = sweep.jobs.index(str(folder)) + 1 if sweep.jobs else hydra.job.num
        changed = [str(o) for o in hydra.overrides.task if o.partition("=")[0] in sweep.swept]
        earlier = read_json(folder / JOB) if config.resume else {}
        if config.resume:  # it has every setting
            changed = earlier.get("overrides", [])
        before = earlier.get("seconds", 0.0)  # as in metrics.csv, all starts count
        facts = {"job": place, "overrides": changed, "folder": str(folder), "seconds": before}
        if sweep.stop_file.exists():
            return None
        write_json(folder / JOB, {**facts, "status": RUNNING})
        began = time.perf_counter()
        _announce(place, changed, folder, sweep)
        try:
            with _own_output(folder, sweep), share_machine(config, place, sweep):
                name_run(config, changed, sweep)
                metrics = self.task(config, reference=sweep.reference)
            ended: dict[str, Any] = {"status": DONE, "metrics": metrics}
            return objective(metrics, sweep.objectives)
        except (KeyboardInterrupt, SystemExit):
            ended = {"status": STOPPED}
            if sweep.parallel == 1 or sweep.objectives:
                raise
            sweep.stop_file.touch()  # Ctrl-C reaches all running jobs; a raised error would end those that still save
            return None
        except Exception as error:
            ended = {"status": FAILED, "reason": reason(error)}
            more = ""
            if not isinstance(error, UserError):  # a mistake of the code's
                (folder / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")
                more = f"   ({shown(folder / 'traceback.txt')})"
            print(f"job {place} failed: {ended['reason']}{more}", file=sys.stderr, flush=True)
            return None
        finally:
            write_json(folder / JOB, {**facts, **ended, "seconds": round(before + time.perf_counter() - began, 1)})
            if sweep.parallel > 1 and ended["status"] == DONE:
                print(f"job {place} done", flush=True)
            _clean_up()


def objective(metrics: dict[str, float], count: int) -> float | list[float] | None:
    """What a search minimises of a job: content and style loss for a count of 2, content + 1e5·style for 1.

    By the reference definition (`fst.evaluate.judge`), the same for all jobs: by the weighted loss of training a search
    over weights would find the smallest weight. A Gatys run has none, so its last losses are taken.
    """
    if not count:
        return None
    kind = next((kind for kind in ("reference", "train") if f"{kind}/style_loss" in metrics), None)
    if kind is None:
        raise UserError("the job has no losses to compare: did it train at least trainer.log_every_n_steps steps?")
    content, style = (metrics[f"{kind}/{name}_loss"] for name in ("content", "style"))
    return [content, style] if count == 2 else content + REFERENCE_WEIGHT * style


def readable(override: str) -> str:
    """An override for people: "loss.style_weight=100000.0" is "style_weight=1e5"; a file is named without quotes."""
    key, _, value = override.partition("=")
    return f"{key.rpartition('.')[2]}={number(unquoted(value))}"


def reason(error: BaseException) -> str:
    """An error in one line."""
    lines = str(error).strip().splitlines() or [""]
    return lines[0] if isinstance(error, UserError) else f"{type(error).__name__}: {lines[0]}".rstrip(": ")


def name_run(config: DictConfig, changed: list[str], sweep: Sweep) -> None:
    """Give a job's run a name that says what is particular to it, and all of a sweep one group."""
    if config.resume is not None:  # it has both
        return
    name = " ".join(map(readable, changed)) or None
    own = config.logger.run_name
    config.logger.run_name = f"{own} {name}" if own and name else own or name
    config.logger.group = config.logger.group or sweep.folder.name


def share_machine(config: DictConfig, place: int, sweep: Sweep) -> contextlib.AbstractContextManager:
    """Give a job its share of the cores, and one GPU, which is its own until what is returned is left."""
    if sweep.parallel > 1 and config.data.workers is None:
        config.data.workers = data_workers(sweep.parallel)
    if config.trainer.devices in ("auto", 1) and config.trainer.accelerator in ("auto", "gpu", "cuda"):
        import torch

        gpus = torch.cuda.device_count()
        if gpus > 1:  # one a job: on all of them Lightning would start the command line, the sweep, once a GPU
            gpu, lock = _free_gpu(gpus, place, sweep) if sweep.parallel > 1 else (0, contextlib.nullcontext())
            config.trainer.devices = [gpu]
            return lock
    return contextlib.nullcontext()


def _free_gpu(gpus: int, place: int, sweep: Sweep) -> tuple[int, contextlib.AbstractContextManager]:
    """The number of a GPU that no other job of the sweep has, and its lock; more jobs than GPUs share them."""
    for gpu in range(gpus):
        with contextlib.suppress(Timeout):
            return gpu, FileLock(sweep.folder / f".gpu{gpu}").acquire(timeout=0)
    return place % gpus, contextlib.nullcontext()


def _announce(place: int, changed: list[str], folder: Path, sweep: Sweep) -> None:
    of = f" of {len(sweep.jobs)}" if sweep.jobs else ""
    log = f"   ({shown(folder / 'output.txt')})" if sweep.parallel > 1 else ""
    print(f"job {place}{of}: {' '.join(map(readable, changed))}{log}", flush=True)


@contextlib.contextmanager
def _own_output(folder: Path, sweep: Sweep) -> Iterator[None]:
    """Parallel jobs write into output.txt each: on one screen their lines would mix."""
    if sweep.parallel == 1:
        yield
        return
    with (
        (folder / "output.txt").open("w", encoding="utf-8", buffering=1) as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        yield


def _clean_up() -> None:
    """What one job would leave to the next in this process: compiled code, memory."""
    torch = sys.modules.get("torch")
    if torch is not None and "torch._dynamo" in sys.modules:
        torch._dynamo.reset()
    gc.collect()
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()

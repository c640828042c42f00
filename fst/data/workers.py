"""The processes that decode photos while the network trains."""

import os
import signal
from pathlib import Path
from traceback import extract_tb
from typing import Any

import cv2
import torch
from torch.utils.data import dataloader, default_collate

from fst.errors import UserError


def start(worker: int) -> None:
    """Set a worker up: one thread, and a process group of its own.

    So Ctrl-C and a SIGTERM to the group reach the trainer alone, which saves while the workers go on feeding it; they
    end when it says so (by a SIGTERM), or is gone.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a `pkill -INT` by name, which reaches them too
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not the trainer's handler, which a fork inherits
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)


def check_alive(error: Exception) -> None:
    """Raise a UserError where an error of a run says that a worker died, as of the system that is short of memory.

    Most often torch says so; where it looks for the worker before the system has buried it, what comes out of the
    loader is the broken pipe.
    """
    loading = any(Path(frame.filename) == Path(dataloader.__file__) for frame in extract_tb(error.__traceback__))
    broken = isinstance(error, EOFError | ConnectionError) and loading
    if broken or (isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker")):
        raise UserError(
            "a process that decodes photos was killed (is memory short?): go on with resume=last; data.workers=0 does "
            "without one"
        ) from None


def collate(samples: list[Any]) -> torch.Tensor | UserError:
    """The samples as one batch, or the first error among them."""
    return next((sample for sample in samples if isinstance(sample, UserError)), None) or default_collate(samples)

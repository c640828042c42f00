"""The processes that decode photos while the network trains."""

from __future__ import annotations

import os
import signal
from typing import Any

import cv2
import torch
from torch.utils.data import default_collate

from fst.errors import UserError
from fst.system import cores

MOST_WORKERS = 8


def count(processes: int) -> int:
    """Workers for each of `processes` training processes: half of the cores that may be used, the rest is theirs."""
    return min(MOST_WORKERS, max(1, cores() // (2 * processes)))


def start(worker: int) -> None:
    """Set a worker up: one thread, and a process group of its own.

    So Ctrl-C and a SIGTERM to the group reach the trainer alone, which saves while the workers go on feeding it; they
    end when it says so, or is gone.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    for number in (signal.SIGINT, signal.SIGTERM):  # not the trainer's handlers, which a fork inherits
        signal.signal(number, signal.SIG_DFL)
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)


def collate(samples: list[Any]) -> torch.Tensor | UserError:
    """The samples as one batch, or the first error among them."""
    errors = [sample for sample in samples if isinstance(sample, UserError)]
    return errors[0] if errors else default_collate(samples)

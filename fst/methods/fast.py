"""The fast path on whatever machine this is: precision and compilation."""

import importlib.util
import os
import shutil
import statistics
import sysconfig
import time
from pathlib import Path

import torch
from torch import nn

from fst.errors import UserError

COMPILE_STEPS = 500  # compiling Johnson's network takes half a minute and saves a tenth of each step after it
WORTHWHILE = 1.2  # bf16 must beat fp32 by this much: it costs precision
MEASURED = "FST_CPU_PRECISION"  # an environment variable: which of them this machine's CPU was found to be for


def choose_precision(requested: str, accelerator: str) -> str:
    """Lightning's precision: what was requested, or for "auto" bf16 where it is measurably faster, else fp32.

    Having bf16 instructions is not enough: on Intel cores without AMX a bf16 convolution is slower than fp32.
    """
    if requested.startswith("16") and accelerator == "cpu":  # Lightning would compute in bf16 without a word
        raise UserError(f"trainer.precision={requested} is for GPUs; use bf16-mixed or 32-true on a CPU")
    if requested != "auto":
        return requested
    if accelerator == "cpu":
        # Timed by the first process of a run, whose environment the others have: each by itself might find another.
        if int(os.environ.get("LOCAL_RANK", 0)) == 0 or MEASURED not in os.environ:
            os.environ[MEASURED] = "bf16-mixed" if _bf16_gain() > WORTHWHILE else "32-true"
        return os.environ[MEASURED]
    return "bf16-mixed" if accelerator == "cuda" and torch.cuda.is_bf16_supported(False) else "32-true"


def _bf16_gain() -> float:
    """How many times faster a convolution of the loss network runs in bf16 than in fp32, timed in about 0.2 s."""
    with torch.random.fork_rng(devices=[]):  # or a run with the precision given would have other random numbers
        return _convolution_seconds(torch.float32) / _convolution_seconds(torch.bfloat16)


@torch.no_grad()
def _convolution_seconds(dtype: torch.dtype) -> float:
    convolution = nn.Conv2d(64, 64, 3, padding=1).to(dtype).to(memory_format=torch.channels_last)
    image = torch.rand(1, 64, 96, 96).to(dtype).contiguous(memory_format=torch.channels_last)
    seconds = []
    for _ in range(7):
        start = time.perf_counter()
        convolution(image)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[2:])


def choose_compile(requested: object, steps: int, *, accelerator: str, full_resolution: bool) -> bool:
    """Whether to compile the network: as requested, or for "auto" when a compiler is there and the run repays it.

    On a CPU it is passes over full-resolution features that compiling saves; a network without them gains nothing.
    """
    wanted = str(requested).lower()
    if wanted != "auto":
        return wanted == "true"
    return steps >= COMPILE_STEPS and (full_resolution or accelerator != "cpu") and _can_compile(accelerator)


def _can_compile(accelerator: str) -> bool:
    """Whether torch.compile finds what it needs: a C++ compiler, Python's headers, and for a GPU Triton.

    PyTorch for Windows brings no Triton. On Apple's GPUs compiling is new in torch, and fst was never tried with it.
    """
    if accelerator == "mps" or (accelerator == "cuda" and importlib.util.find_spec("triton") is None):
        return False
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    return compiler is not None and Path(sysconfig.get_paths()["include"], "Python.h").is_file()

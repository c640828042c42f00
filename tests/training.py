"""What tests of training share: the smallest run that is still a run."""

import contextlib
import io
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from photos import make_photos
from PIL import Image

TRAIN = Path(__file__).resolve().parents[1] / "train.py"
# Tests may run under nohup, which a run heeds.
UNIGNORE = (lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)) if hasattr(signal, "SIGHUP") else None


def run_here(run_dir: Path, arguments: list[str]) -> Path:
    """A run in this process: composed, checked and trained as train.py does it."""
    from fst.config.compose import compose
    from fst.config.schema import check
    from fst.methods.run import run

    run(check(compose(arguments)), run_dir)
    return run_dir


def here(folder: Path, program: Callable[[], None], *arguments: str) -> tuple[int, str, str]:
    """A program in this process, started in a folder: exit status, output, errors. Torch is imported already."""
    status, said, errors = 0, io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(errors),
    ):
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["program", *arguments])
        try:
            program()
        except SystemExit as ended:
            status = ended.code
    assert "Traceback" not in said.getvalue() + errors.getvalue()
    return status, said.getvalue(), errors.getvalue()


def train_here(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """train.py as `here` starts it."""
    import train

    return here(folder, train.main, *arguments)


def tiny_arguments(folder: Path, weights: Path, **changes: object) -> list[str]:
    """Command-line arguments of a run of seconds: a 3-colour painting, 12 photos, the smallest network."""
    photos = folder / "photos"
    if not photos.exists():
        make_photos(photos, 12)
        levels = np.random.default_rng(5).integers(0, 3, (8, 10, 3)) * 127
        Image.fromarray(levels.astype(np.uint8)).resize((80, 64)).save(folder / "painting.png")
    settings = {
        "style": "custom",
        "style.image": folder / "painting.png",
        "style.size": 64,
        "loss": "vgg16_relu3",
        "loss.weights": weights,
        "network": "realtime",
        "network.widths": "[4,8]",
        "network.depths": "[0,1]",
        "data": "folder",
        "data.root": photos,
        "data.size": 32,
        "data.batch_size": 2,
        "data.workers": 0,
        "data.val_images": 2,
        "trainer": "cpu",
        "trainer.precision": "32-true",
        "trainer.max_steps": 6,
        "trainer.val_check_interval": 3,
        "logger": "none",
        "compile": "false",
    }
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    return [f"{key}={value}" for key, value in {**settings, **dotted}.items()]


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(TRAIN), *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=UNIGNORE,
    )


def wait_for_step(run_dir: Path, step: int) -> None:
    """Until the run's checkpoint is of that step or a later one."""
    path = run_dir / "checkpoints" / "last.ckpt"
    for _ in range(4000):
        if path.exists() and torch.load(path, weights_only=False)["global_step"] >= step:
            return
        time.sleep(0.05)
    raise AssertionError(f"no checkpoint of step {step} in 200 s")


def weights(run_dir: Path) -> dict[str, torch.Tensor]:
    return torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=False)["state_dict"]

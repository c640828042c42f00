"""What a run was: enough to understand it later and to run it again."""

import contextlib
import importlib.metadata
import os
import platform
import shlex
import socket
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from pytorch_lightning.utilities import rank_zero_only

from fst.files import read_json, replacing, write_json, write_text
from fst.runfolder import CHANGES, CONFIG, RUN, RUNNING, write_state
from fst.system import cores
from fst.values import literal

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = ("fst", "torch", "torchvision", "pytorch-lightning", "hydra-core", "omegaconf", "wandb", "numpy", "pillow")


def run_metadata() -> dict[str, Any]:
    """Git commit, command line, machine and versions, as plain JSON values.

    `git` is None outside a checkout of fst; `git.dirty` says that files differ from the commit, or are new.
    """
    return {
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": shlex.join([sys.executable, *sys.argv]),
        "folder": str(Path.cwd()),
        "git": git_state(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "cpu": {"model": _cpu_model(), "count": os.cpu_count(), "usable": cores()},
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "packages": {name: _version(name) for name in PACKAGES},
    }


def write_run(run_dir: str | Path, settings: dict[str, Any]) -> None:
    """Write config.yaml and run.json into the run folder, and changes.patch if the checkout is dirty.

    Only the first process of several writes. run.json then says that the run is running (`fst.runfolder.state`); a run
    that is resumed keeps there what it was before, newest first, under "earlier".
    """
    if rank_zero_only.rank:
        return
    folder = Path(run_dir)
    last = read_json(folder / RUN)
    before = last.pop("earlier", [])
    facts = run_metadata() | {"earlier": [last, *before] if last else []}
    write_text(folder / CONFIG, OmegaConf.to_yaml(OmegaConf.create(literal(settings))))
    write_json(folder / RUN, facts)
    write_state(folder, RUNNING)
    if facts["git"] and facts["git"]["dirty"]:
        new = [_git("diff", "--binary", "--no-index", os.devnull, name, differing=True) for name in _new_files()]
        patch = "".join(filter(None, [_git("diff", "--binary", "HEAD"), *new]))
        with replacing(folder / CHANGES) as beside:  # byte by byte, or it would not apply
            beside.write_bytes(patch.encode("utf-8", "surrogateescape"))


def git_state() -> dict[str, Any] | None:
    """Commit, branch and whether there are changes; None if fst does not run from its own git checkout."""
    top = _git("rev-parse", "--show-toplevel")
    if top is None or Path(top.strip()).resolve() != CHECKOUT:
        return None
    return {
        "commit": (_git("rev-parse", "HEAD") or "").strip(),
        "branch": (_git("branch", "--show-current") or "").strip(),
        "dirty": bool((_git("status", "--porcelain", "--untracked-files=no") or "").strip() or _new_files()),
    }


def _new_files() -> list[str]:
    """Files of fst and of its settings that git does not know yet, as a network or a loss term that was just added."""
    found = _git("ls-files", "-z", "--others", "--exclude-standard", "--", "fst", "conf", ":!fst/styles")
    return [name for name in (found or "").split("\0") if name]


def _git(*arguments: str, differing: bool = False) -> str | None:
    """What git prints; None where it cannot. `differing`: by status 1 it says that it found a difference.

    Ends of lines are as they were, and what is no UTF-8 is as `surrogateescape` has it.
    """
    try:
        ran = subprocess.run(["git", "-C", str(CHECKOUT), *arguments], capture_output=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return ran.stdout.decode("utf-8", "surrogateescape") if ran.returncode == int(differing) else None


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None

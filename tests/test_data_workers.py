import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from fst.data import workers
from fst.errors import UserError

PROGRAM = """
    import os, signal
    import torch
    from fst.data import workers

    caught = []
    signal.signal(signal.SIGINT, lambda *_: caught.append("SIGINT"))
    signal.signal(signal.SIGTERM, lambda *_: caught.append("SIGTERM"))
    loader = torch.utils.data.DataLoader(
        list(range(400)), batch_size=4, num_workers=1, worker_init_fn=workers.start, persistent_workers=True
    )
    batches = iter(loader)
    next(batches)
    os.killpg(0, signal.SIGINT)
    os.killpg(0, signal.SIGTERM)
    for _ in range(20):
        batch = next(batches)
    print(caught, batch.tolist())
"""


def test_workers_outlive_ctrl_c_and_sigterm_and_let_the_program_end():
    program = [sys.executable, "-c", textwrap.dedent(PROGRAM)]
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        program, cwd=root, start_new_session=True, capture_output=True, text=True, timeout=250, check=False
    )
    assert done.stdout.strip() == "['SIGINT', 'SIGTERM'] [80, 81, 82, 83]", done.stderr
    assert done.returncode == 0 and "Traceback" not in done.stderr


def test_half_of_the_cores_shared_by_the_training_processes(monkeypatch):
    for cores, processes, expected in [(1, 1, 1), (2, 1, 1), (4, 1, 2), (16, 1, 8), (16, 4, 2), (96, 1, 8), (4, 8, 1)]:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=cores: range(n), raising=False)
        assert workers.count(processes) == expected


class Deadly(torch.utils.data.Dataset):
    """Whose third sample kills the process that reads it."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        if index == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return index


def test_a_worker_that_was_killed_is_said_in_a_line_and_other_errors_are_not():
    workers.check_alive(RuntimeError("something else"))
    with pytest.raises(RuntimeError) as killed:
        list(torch.utils.data.DataLoader(Deadly(), num_workers=1, worker_init_fn=workers.start))
    with pytest.raises(UserError, match="process that decodes photos was killed"):
        workers.check_alive(killed.value)

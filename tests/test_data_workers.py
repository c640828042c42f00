import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from fst import system
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


def run(program: str) -> subprocess.CompletedProcess:
    """A program of its own session, in the project's folder."""
    command = [sys.executable, "-c", textwrap.dedent(program)]
    root = Path(__file__).resolve().parent.parent
    return subprocess.run(
        command, cwd=root, start_new_session=True, capture_output=True, text=True, timeout=250, check=False
    )


def test_workers_outlive_ctrl_c_and_sigterm_and_let_the_program_end():
    done = run(PROGRAM)
    assert done.stdout.strip() == "['SIGINT', 'SIGTERM'] [80, 81, 82, 83]", done.stderr
    assert done.returncode == 0 and "Traceback" not in done.stderr


def test_half_of_the_cores_shared_by_the_training_processes(monkeypatch):
    for cores, processes, expected in [(1, 1, 1), (2, 1, 1), (4, 1, 2), (16, 1, 8), (16, 4, 2), (96, 1, 8), (4, 8, 1)]:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=cores: range(n), raising=False)
        assert system.data_workers(processes) == expected


DEADLY = """
    import os, signal
    import torch
    from fst.data import workers
    from fst.errors import UserError

    class Deadly(torch.utils.data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            if index == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return index

    def load(samples):
        list(torch.utils.data.DataLoader(samples, num_workers=1, worker_init_fn=workers.start))

    load([0, 1])  # sets torch's handler, once; it may raise a second time, wherever this program is then
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for _ in range(15):
        try:
            load(Deadly())
        except Exception as error:
            try:
                workers.check_alive(error)
            except UserError as told:
                print(told)
"""


def test_a_worker_that_was_killed_is_said_in_a_line_and_other_errors_are_not():
    for other in (RuntimeError("something else"), EOFError(), ConnectionResetError(104, "Connection reset by peer")):
        workers.check_alive(other)
    with pytest.raises(UserError, match="process that decodes photos was killed"):
        workers.check_alive(RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "))  # by that handler
    done = run(DEADLY)
    said = done.stdout.splitlines()
    assert len(said) == 15 and all("process that decodes photos was killed" in line for line in said), done.stderr

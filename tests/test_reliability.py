"""experiments/reliability: the commands that take seconds, a little of each, lose nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="forks and looks at processes as Linux does")
def test_a_little_of_each_command_loses_nothing():
    program = [sys.executable, "-m", "experiments.reliability"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count(", 0 lost") == 10, "a line for each of 8 kinds of inputs, and two"

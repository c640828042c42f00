"""The fast path: what it decides, and that kept memory is kept."""

import subprocess
import sys

import pytest
import torch

from fst.errors import UserError
from fst.methods import fast

FAULTS = """
import resource
import sys
import torch
from fst import system
layer = torch.nn.Conv2d(3, 32, 3)
photos = torch.rand(4, 3, 192, 192)
def count():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def faults():
    of_steps = []
    for step in range(12):
        before = count()
        layer(photos).relu().square().mean().backward()
        of_steps.append(count() - before)
    return sorted(of_steps)[6]  # the median: in some step the heap still grows
print(faults())
getattr(system, sys.argv[1])()
print(faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator is Linux's")
@pytest.mark.parametrize("keep", ["keep_memory", "keep_small_memory"])
def test_kept_memory_is_not_asked_for_again(keep: str) -> None:
    done = subprocess.run([sys.executable, "-c", FAULTS, keep], capture_output=True, text=True)
    as_it_is, kept = map(int, done.stdout.split())
    assert kept * 10 < as_it_is


@pytest.mark.parametrize(("gain", "precision"), [(0.6, "32-true"), (1.1, "32-true"), (1.8, "bf16-mixed")])
def test_auto_precision_on_a_cpu_is_what_was_measured_faster(
    monkeypatch: pytest.MonkeyPatch, gain: float, precision: str
) -> None:
    seconds = {torch.float32: 1.0, torch.bfloat16: 1 / gain}
    monkeypatch.setattr(fast, "_convolution_seconds", seconds.get)
    assert fast.choose_precision("auto", "cpu") == precision
    assert fast.choose_precision("32-true", "cpu") == "32-true"


def test_all_processes_of_a_run_compute_in_the_precision_that_the_first_one_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gains = iter([1.3, 1.1])
    monkeypatch.setattr("os.environ", environment := {})
    monkeypatch.setattr(fast, "_bf16_gain", lambda: next(gains))
    assert fast.choose_precision("auto", "cpu") == "bf16-mixed"
    environment["LOCAL_RANK"] = "1"  # as Lightning starts it, with the first one's environment
    assert fast.choose_precision("auto", "cpu") == "bf16-mixed"


def test_measuring_leaves_a_runs_random_numbers_as_they_are() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    fast.choose_precision("auto", "cpu")
    assert torch.equal(torch.rand(3), expected)


def test_half_precision_is_refused_on_a_cpu() -> None:
    with pytest.raises(UserError, match=r"trainer\.precision=16-mixed is for GPUs; use bf16-mixed or 32-true"):
        fast.choose_precision("16-mixed", "cpu")
    assert fast.choose_precision("16-mixed", "cuda") == "16-mixed"
    assert fast.choose_precision("bf16-mixed", "cpu") == "bf16-mixed"


def test_compiling_is_for_long_runs_with_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "_can_compile", lambda accelerator: True)
    here = {"accelerator": "cpu", "full_resolution": True}
    assert fast.choose_compile("auto", 40_000, **here) and not fast.choose_compile("auto", 50, **here)
    assert fast.choose_compile(True, 1, **here) and not fast.choose_compile("false", 40_000, **here)
    coarse = {"full_resolution": False}
    assert not fast.choose_compile("auto", 40_000, accelerator="cpu", **coarse)
    assert fast.choose_compile("auto", 40_000, accelerator="cuda", **coarse)
    monkeypatch.setattr(fast, "_can_compile", lambda accelerator: False)
    assert not fast.choose_compile("auto", 40_000, **here)


@pytest.mark.parametrize(
    ("accelerator", "triton", "compiled"), [("cuda", True, True), ("cuda", False, False), ("mps", True, False)]
)
def test_a_gpu_without_triton_does_not_compile_by_itself(
    monkeypatch: pytest.MonkeyPatch, accelerator: str, triton: bool, compiled: bool
) -> None:
    """The run would end at its first step."""
    monkeypatch.setattr("shutil.which", lambda name: name)
    monkeypatch.setattr("pathlib.Path.is_file", lambda path: True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: triton or None)
    assert fast.choose_compile("auto", 40_000, accelerator=accelerator, full_resolution=True) == compiled
    assert fast.choose_compile("true", 40_000, accelerator=accelerator, full_resolution=True)

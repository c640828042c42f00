"""Fixtures that every test may use."""

import os
import signal
from collections import Counter
from pathlib import Path
from urllib.error import URLError

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported: workers share the cores, and so do what they start
    cores = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores)))

# A shell's background jobs ignore SIGINT, and nohup's SIGHUP, and so would every program that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Files of few tests that take long: last, as xdist would have them, they leave all workers but one idle.
FIRST = (
    "test_reliability",
    "test_training",
    "test_sweep",
    "test_recipes",
    "test_end_to_end",
    "test_wandb_agent",
    "test_tracking",
    "test_gatys_runs",
    "test_compare",
    "test_data_workers",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, then those of most tests; a worker takes whole files, in this order."""
    count = Counter(item.path for item in items)
    place = {name: number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: (place.get(item.path.stem, len(FIRST)), -count[item.path]))


@pytest.fixture
def store() -> Path:
    """The real local store, for tests on real photos and weights."""
    home = os.environ.get("FST_HOME")
    if not home:
        pytest.skip("needs real data: set FST_HOME to a store that holds it")
    return Path(home)


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store on a machine without a network."""

    def refuse(*_: object, **__: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setenv("FST_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    (tmp_path / "weights").mkdir()
    return tmp_path


@pytest.fixture(scope="session")
def tiny_vgg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weight file with the shape of VGG-16 to relu3_3 and random numbers: all a run needs without a store."""
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(0)
    tensors = {}
    inputs = 3
    for number, outputs in ((0, 64), (2, 64), (5, 128), (7, 128), (10, 256), (12, 256), (14, 256)):
        scale = (2 / (9 * inputs)) ** 0.5
        tensors[f"features.{number}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=generator) * scale
        tensors[f"features.{number}.bias"] = torch.zeros(outputs)
        inputs = outputs
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_file(tensors, path)
    return path

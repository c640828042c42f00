"""Style files: what is saved comes back, damage and foreign files end in one line, loading runs no code."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from safetensors import safe_open
from styles import SETTINGS, make_style

from fst import stylefile
from fst.errors import UserError
from fst.networks import build
from fst.stylefile import StyleInfo


def photo(height: int = 33, width: int = 41) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))


def raw(path: Path, about: object, tensors: dict[str, np.ndarray] | None = None) -> Path:
    """A safetensors file with any metadata, written without fst."""
    metadata = {} if about is None else {"fst": about if isinstance(about, str) else json.dumps(about)}
    safetensors.numpy.save_file(tensors or {"x": np.zeros(1, np.float32)}, path, metadata=metadata)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as error:
        stylefile.load(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", sorted(SETTINGS))
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_round_trip(tmp_path, name, norm) -> None:
    settings = {**SETTINGS[name], "norm": norm}
    network = build(name, **settings).to(memory_format=torch.channels_last)  # as it is trained
    network.train()(photo(48, 48))  # so that batch norm's statistics are not the initial ones
    info = StyleInfo(
        "gogh", name, settings, {"title": "Sternennacht – 星月夜"}, {"steps": 3, "loss": [0.1, None]}, "CC0"
    )
    path = stylefile.save(tmp_path / "new" / "gogh.safetensors", network, info)
    loaded, found = stylefile.load(path)
    assert found == info == stylefile.read_info(path)
    assert all(
        torch.equal(*pair) for pair in zip(loaded.state_dict().values(), network.state_dict().values(), strict=True)
    )
    assert torch.allclose(loaded(photo()), network.eval()(photo()), atol=1e-5)
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    with safe_open(path, "numpy") as file:
        assert set(file.keys()) == set(network.state_dict()), "another library reads the same tensors"


def test_loading_changes_no_random_numbers(tmp_path) -> None:
    path = make_style(tmp_path / "gogh.safetensors")
    state = torch.random.get_rng_state()
    stylefile.load(path)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_half_precision_halves_the_file_and_not_the_picture(tmp_path) -> None:
    network, info = stylefile.load(make_style(tmp_path / "full.safetensors"))
    half = stylefile.save(tmp_path / "half.safetensors", network, info, half=True)
    sizes = [(tmp_path / name).stat().st_size for name in ("half.safetensors", "full.safetensors")]
    assert 0.45 < sizes[0] / sizes[1] < 0.65
    with safe_open(half, "numpy") as file:
        assert {file.get_slice(key).get_dtype() for key in file.keys()} == {"F16"}  # noqa: SIM118 no mapping
    loaded, _ = stylefile.load(half)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert (loaded(photo()) - network(photo())).abs().max() < 0.01


def test_a_half_file_of_a_batch_norm_network(tmp_path) -> None:
    network = build("realtime", **SETTINGS["realtime"], norm="batch")
    info = StyleInfo("x", "realtime", {**SETTINGS["realtime"], "norm": "batch"})
    loaded, _ = stylefile.load(stylefile.save(tmp_path / "x.safetensors", network, info, half=True))
    assert loaded.state_dict()["layers.1.1.num_batches_tracked"].dtype == torch.int64


@pytest.mark.parametrize(
    ("said", "widths", "depths"),
    [({"widths": [4, 8], "depth": 1}, [4, 8], [0, 1]), ({}, [16, 32, 64], [0, 0, 4])],
    ids=["settings", "defaults of then"],
)
def test_a_real_time_network_of_the_first_format_is_what_it_was(tmp_path, said, widths, depths) -> None:
    """It had no skips and ended in sub-pixel upsampling: settings that its file does not name."""
    old = build("realtime", widths=widths, depths=depths, skips=False, end="shuffle")
    path = stylefile.save(tmp_path / "old.safetensors", old, StyleInfo("x", "realtime", said, format=1))
    image = torch.rand(1, 3, 32, 32)
    assert torch.equal(stylefile.load(path)[0](image), old.eval()(image))


def test_missing_file_and_folder(tmp_path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.safetensors")
    assert "is no style file" in refusal(tmp_path)


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_damaged_file(tmp_path, keep) -> None:
    whole = make_style(tmp_path / "gogh.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:keep])
    assert "is no style file" in refusal(tmp_path / "cut.safetensors")


@pytest.mark.parametrize(
    "about",
    [
        None,
        "no json {",
        [1],
        "[]",
        '"text"',
        {"name": "x"},
        {"name": 3, "network": "johnson"},
        {"name": "x", "network": "johnson", "settings": [1]},
        {"name": "x", "network": None},
    ],
)
def test_foreign_files(tmp_path, about) -> None:
    assert "was not written by fst" in refusal(raw(tmp_path / "foreign.safetensors", about))


@pytest.mark.parametrize("version", [stylefile.FORMAT + 1, 99])
def test_a_file_of_a_newer_fst(tmp_path, version) -> None:
    path = raw(tmp_path / "new.safetensors", {"name": "x", "network": "diffusion", "format": version, "more": 1})
    assert "newer fst" in refusal(path) and "update fst" in refusal(path)


def test_a_field_of_a_later_release_is_no_obstacle(tmp_path) -> None:
    path = raw(tmp_path / "x.safetensors", {"name": "x", "network": "johnson", "mood": "blue"})
    assert stylefile.read_info(path).name == "x"


@pytest.mark.parametrize(
    ("network", "settings"),
    [("jonson", {}), ("johnson", {"size": 3}), ("johnson", {"width": "wide"}), ("johnson", {"width": -1}),
     ("johnson", {"depth": None}), ("johnson", {"norm": "layer"})],
)  # fmt: skip
def test_networks_that_cannot_be_built(tmp_path, network, settings) -> None:
    path = raw(tmp_path / "x.safetensors", {"name": "x", "network": network, "settings": settings})
    assert "needs a network that this version of fst does not have" in refusal(path)


def test_weights_that_do_not_fit(tmp_path) -> None:
    good = make_style(tmp_path / "gogh.safetensors")
    with safe_open(good, "numpy") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 no mapping
    about = json.dumps({"name": "x", "network": "johnson", "settings": SETTINGS["johnson"]})
    first = next(iter(tensors))
    for changed in (
        {key: tensor for key, tensor in tensors.items() if key != first},
        {**tensors, first: tensors[first][..., :1].copy()},
        {**tensors, "layers.99.weight": np.zeros(1, np.float32)},
    ):
        text = refusal(raw(tmp_path / "x.safetensors", about, changed))
        assert "do not fit network 'johnson'" in text and ("layers.99.weight" in text or first in text)
    wider = json.dumps({"name": "x", "network": "johnson", "settings": {"width": 10**7}})
    assert "do not fit" in refusal(raw(tmp_path / "x.safetensors", wider, tensors)), "and no memory is taken for it"


def test_a_failure_leaves_the_old_file_whole(tmp_path, monkeypatch) -> None:
    path = make_style(tmp_path / "gogh.safetensors")
    before = path.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    network, info = stylefile.load(path)
    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(UserError, match="No space left on device"):
        stylefile.save(path, network, info)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["gogh.safetensors"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits the size of files as POSIX does")
def test_a_disk_that_fills_up_while_writing(tmp_path) -> None:
    """For real: the process may write no file larger than 4 kB."""
    path = make_style(tmp_path / "gogh.safetensors")
    before = path.read_bytes()
    network, info = stylefile.load(path)
    import resource

    handler, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        with pytest.raises(UserError, match=r"cannot write .*: File too large"):
            stylefile.save(path, network, info)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_loading_runs_no_code(tmp_path) -> None:
    """A pickle under a style file's name, which would leave a file behind if it were unpickled."""

    class Trap:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"fst": Trap()}, tmp_path / "trap.safetensors")
    assert "is no style file" in refusal(tmp_path / "trap.safetensors")
    for name in ("os.system", "__class__", "torch.nn.Linear", "../johnson"):
        refusal(raw(tmp_path / "x.safetensors", {"name": "x", "network": name, "settings": {"command": "true"}}))
    assert not (tmp_path / "ran").exists()


def test_reading_what_a_file_says_needs_no_torch(tmp_path) -> None:
    path = make_style(tmp_path / "gogh.safetensors")
    program = (
        f"import sys; from fst import stylefile; stylefile.read_info({str(path)!r}); print('torch' in sys.modules)"
    )
    root = Path(__file__).parent.parent
    ran = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=120)
    assert ran.stdout.strip() == "False", ran.stderr


def test_weights_that_are_not_finite_are_damage(tmp_path) -> None:
    path = make_style(tmp_path / "gogh.safetensors")
    network, info = stylefile.load(path)
    next(iter(network.state_dict().values())).view(-1)[3] = float("nan")
    stylefile.save(path, network, info)
    with pytest.raises(UserError, match="is damaged: it has weights that are not finite"):
        stylefile.load(path)

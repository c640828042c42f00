"""What only a machine with a GPU can check of itself; elsewhere each says that it was skipped."""

from pathlib import Path

import numpy as np
import pytest
import torch
from training import run_here, start, tiny_arguments, wait_for_step, weights

from fst import images, stylefile
from fst.networks import build, framed
from fst.runfolder import STYLE, read_metrics
from fst.stylefile import StyleInfo
from fst.stylize import Stylizer
from fst.stylize.framing import MARGIN

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


def on_gpu(folder: Path, weights: Path, **changes: object) -> list[str]:
    return [*tiny_arguments(folder, weights, trainer="gpu", **changes)]


def test_losses_are_those_of_the_cpu(tmp_path: Path, tiny_vgg: Path) -> None:
    changes = {"trainer__max_steps": 3, "method__noise": 0, "loss__stability_weight": 0}
    there = read_metrics(run_here(tmp_path / "gpu", on_gpu(tmp_path, tiny_vgg, **changes)))
    here = read_metrics(run_here(tmp_path / "cpu", tiny_arguments(tmp_path, tiny_vgg, **changes)))
    for name in ("train/content_loss", "train/style_loss", "val/content_loss", "val/style_loss"):
        assert there[name] == pytest.approx(here[name], rel=0.02), name


@pytest.mark.parametrize(
    "changes",
    [
        {"trainer__precision": "bf16-mixed"},
        {"trainer__precision": "16-mixed"},
        {"trainer__precision": "16-mixed", "method__optimizer": "adam"},  # whose gradients are scaled, then clipped
        {"compile": "true"},
    ],
)
def test_a_run_of_every_kind_learns(tmp_path: Path, tiny_vgg: Path, changes: dict) -> None:
    run = run_here(tmp_path / "run", on_gpu(tmp_path, tiny_vgg, trainer__max_steps=20, **changes))
    assert np.isfinite(list(read_metrics(run).values())).all()
    assert all(value.isfinite().all() for value in weights(run).values())


def test_a_killed_run_goes_on(tmp_path: Path, tiny_vgg: Path) -> None:
    arguments = on_gpu(tmp_path, tiny_vgg, trainer__checkpoint_every_n_steps=2, trainer__max_steps=200)
    run = start(tmp_path, *arguments, f"hydra.run.dir={tmp_path / 'run'}")
    wait_for_step(tmp_path / "run", 4)
    run.kill()
    run.communicate(timeout=60)
    again = start(tmp_path, f"resume={tmp_path / 'run'}")
    assert again.wait(timeout=200) == 0
    assert stylefile.read_info(tmp_path / "run" / STYLE).training["steps"] == 200


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA GPUs")
def test_two_gpus_train_together(tmp_path: Path, tiny_vgg: Path) -> None:
    run = start(tmp_path, *on_gpu(tmp_path, tiny_vgg), "trainer=ddp", f"hydra.run.dir={tmp_path / 'run'}")
    assert run.wait(timeout=250) == 0
    assert stylefile.read_info(tmp_path / "run" / STYLE).training["steps"] == 6


@pytest.mark.parametrize("name", ["realtime", "johnson"])
def test_the_torch_backend_paints_as_on_a_cpu(tmp_path: Path, name: str) -> None:
    torch.manual_seed(0)
    network = build(name)
    file = stylefile.save(tmp_path / "s.safetensors", network, StyleInfo("s", name))
    painter = Stylizer.load(file, backend="torch")
    for seed, width in enumerate([161, 161, 161, 161, 90, 161, 161]):  # again the same size: by a graph
        frame = np.random.default_rng(seed).integers(0, 256, (120, width, 3)).astype(np.uint8)
        painted = painter(frame).astype(int)
        reference = images.to_pixels(framed(network, images.to_tensor(frame), MARGIN))
        assert np.abs(painted - reference).mean() < 1, seed


def test_a_graph_takes_each_frames_style_vector(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build("realtime_many", styles=["a", "b", "c"])
    torch.nn.init.normal_(network.table, std=0.3)
    info = StyleInfo("s", "realtime_many", {"styles": ["a", "b", "c"]})
    file = stylefile.save(tmp_path / "s.safetensors", network, info)
    painter = Stylizer.load(f"{file}:a", backend="torch", live=True)
    frame = np.random.default_rng(0).integers(0, 256, (120, 160, 3)).astype(np.uint8)
    shares = [(1, 0, 0), (1, 0, 0), (0, 1, 0), (0.5, 0, 0.5), (0, 0, 1), (1, 0, 0)]
    for share in shares:
        vector = network.table.detach().mul(torch.tensor(share)[:, None]).sum(0)
        reference = images.to_pixels(network(images.to_tensor(frame), vector[None]))
        assert np.abs(painter(frame, vector.numpy()).astype(int) - reference).mean() < 1

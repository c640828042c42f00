"""train.py, then infer.py by the line that it prints; and what training can be asked to do besides, once for real."""

import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from training import here, run_here, tiny_arguments, train_here

import infer
from fst import stylefile
from fst.methods.feedforward_module import FeedForwardStyleTransfer
from fst.runfolder import read_metrics


def test_what_train_prints_next_paints(tmp_path: Path, tiny_vgg: Path) -> None:
    arguments = tiny_arguments(tmp_path, tiny_vgg, trainer__max_steps=2)
    status, printed, errors = train_here(tmp_path, *arguments)
    assert status == 0, errors
    line = next(line for line in printed.splitlines() if line.startswith("next "))
    words = shlex.split(line.removeprefix("next").strip())
    assert words[:2] == ["python", "infer.py"]
    photo = next((tmp_path / "photos").rglob("*.*"))
    words = [word.replace("PHOTO", str(photo)) for word in words[2:]]
    words += ["output=painted.png"]
    assert here(tmp_path, lambda: infer.main(words))[:2] == (0, "painted.png\n")
    with Image.open(tmp_path / "painted.png") as painted, Image.open(photo) as source:
        assert painted.size == source.size and np.asarray(painted).std() > 5


@pytest.mark.parametrize("name", stylefile.bundled())
def test_every_bundled_style_paints(name: str, tmp_path: Path) -> None:
    """The photo is still there, in other colours: no damaged file, no network that gives noise or one colour."""
    from fst.stylize import Stylizer

    y, x = np.mgrid[:96, :128]
    photo = np.stack([x * 2, y * 2.5, 255 - x], axis=2).clip(0, 255).astype(np.uint8)
    photo[24:72, 40:88] = (250, 250, 245)
    painted = Stylizer.load(name, backend="torch")(photo)
    assert painted.shape == photo.shape and painted.std() > 20
    grey, source = painted.mean(2), photo.mean(2)
    assert np.corrcoef(grey.ravel(), source.ravel())[0, 1] > 0.3
    assert np.abs(painted.astype(int) - photo).mean() > 10
    info = stylefile.read_info(stylefile.bundled()[name])
    assert info.style["title"] and info.training["steps"] > 0


def test_a_compiled_network_learns_the_same(tmp_path: Path, tiny_vgg: Path) -> None:
    changes = {"trainer__max_steps": 3, "method__noise": 0, "loss__stability_weight": 0}
    plain = read_metrics(run_here(tmp_path / "plain", tiny_arguments(tmp_path, tiny_vgg, **changes)))
    compiled = read_metrics(
        run_here(tmp_path / "compiled", tiny_arguments(tmp_path, tiny_vgg, compile="true", **changes))
    )
    torch._dynamo.reset()
    for name in ("train/content_loss", "train/style_loss", "val/loss"):
        assert compiled[name] == pytest.approx(plain[name], rel=1e-3), name


def test_bf16_training_is_near_fp32(tmp_path: Path, tiny_vgg: Path) -> None:
    changes = {"trainer__max_steps": 3, "method__noise": 0, "loss__stability_weight": 0, "loss__tv_weight": 10}
    exact = read_metrics(run_here(tmp_path / "exact", tiny_arguments(tmp_path, tiny_vgg, **changes)))
    changes["trainer__precision"] = "bf16-mixed"
    rough = read_metrics(run_here(tmp_path / "rough", tiny_arguments(tmp_path, tiny_vgg, **changes)))
    assert rough != exact
    for name in ("train/content_loss", "train/style_loss", "train/tv_loss", "val/loss"):
        assert rough[name] == pytest.approx(exact[name], rel=0.05), name


def test_in_bf16_what_stability_compares_with_is_painted_in_bf16_too(tmp_path, tiny_vgg, monkeypatch) -> None:
    begin, dtypes = FeedForwardStyleTransfer.on_fit_start, []

    def watched(module: FeedForwardStyleTransfer) -> None:
        convolution = next(part for part in module.network.modules() if isinstance(part, torch.nn.Conv2d))
        convolution.register_forward_hook(lambda *call: dtypes.append((torch.is_grad_enabled(), call[-1].dtype)))
        begin(module)

    monkeypatch.setattr(FeedForwardStyleTransfer, "on_fit_start", watched)
    changes = {"trainer__max_steps": 1, "trainer__precision": "bf16-mixed", "loss__stability_weight": 1}
    run_here(tmp_path / "run", tiny_arguments(tmp_path, tiny_vgg, **changes))
    assert dtypes[:2] == [(True, torch.bfloat16), (False, torch.bfloat16)]

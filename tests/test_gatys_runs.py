"""Runs of method=gatys from end to end, small: what they leave behind, how they stop and go on."""

import csv
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from training import run_here, train_here

from fst import runfolder
from fst.config.compose import compose
from fst.errors import UserError
from fst.launch import say_unused

TRAIN = Path(__file__).resolve().parents[1] / "train.py"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """A photo lying on its side by EXIF, a painting, a mask."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    photo = Image.fromarray(random.integers(0, 256, (6, 9, 3)).astype(np.uint8)).resize((90, 60))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees: 60 wide, 90 high
    photo.save(folder / "photo.jpg", exif=exif, icc_profile=b"a profile")
    Image.fromarray(random.integers(0, 3, (8, 10, 3)).astype(np.uint8) * 127).resize((80, 64)).save(folder / "art.png")
    mask = np.zeros((90, 60), np.uint8)
    mask[45:] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    return folder


def arguments(pictures: Path, weights: Path, *more: str) -> list[str]:
    return [
        "method=gatys",
        "style=custom",
        f"style.image={pictures / 'art.png'}",
        "style.size=64",
        f"content={pictures / 'photo.jpg'}",
        "loss.style_layers=[relu1_2,relu2_2]",
        f"loss.weights={weights}",
        "trainer=cpu",
        "trainer.log_every_n_steps=1",
        "method.size=48",
        "method.coarsest=null",
        "method.iterations=6",
        "logger=none",
        *more,
    ]


def rows(run_dir: Path) -> list[dict]:
    with (run_dir / "metrics.csv").open() as lines:
        found = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(lines)]
    return [row for row in found if "train/loss" in row]


def checkpoint(run_dir: Path) -> dict:
    return torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=False)


def test_a_run_leaves_picture_metrics_previews_and_films(pictures, tiny_vgg, tmp_path):
    more = ["method.coarsest=32", "method.init=noise", "method.animation=[mp4,gif,webp]", "method.iterations=8"]
    run = run_here(tmp_path, arguments(pictures, tiny_vgg, *more))
    with Image.open(run / "photo-art.png") as picture:
        assert picture.size == (60, 90)
        assert picture.info["icc_profile"] == b"a profile"
        assert picture.getexif().get(0x0112, 1) == 1
    found = rows(run)
    assert [row["step"] for row in found] == list(range(1, 9))
    for row in found:
        assert row["train/loss"] == pytest.approx(row["train/content_loss"] + 1e5 * row["train/style_loss"], rel=1e-3)
        assert "train/tv_loss" not in row, "a term without a weight is not computed"
    assert {row["train/long_edge"] for row in found} == {34, 48}
    assert found[-1]["train/loss"] < 0.5 * found[0]["train/loss"]
    assert 8 <= found[-1]["train/evaluations"] <= 30
    assert (run / "previews/step-000008/photo.png").is_file()
    with av.open(str(run / "animation.mp4")) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) == 9 + 24
    assert frames[0].shape == (48, 32, 3)
    last = np.array(Image.open(run / "previews/step-000008/photo.png")).astype(float)
    lumas = [np.abs((frame - last).mean(2)).mean() for frame in (frames[0], frames[-1])]  # colours are subsampled
    assert lumas[1] < 0.6 * lumas[0]  # noise is what video codecs keep worst
    assert np.array_equal(np.array(Image.open(run / "animation/000008.png")), last)
    for kind in ("gif", "webp"):
        with Image.open(run / f"animation.{kind}") as film:
            assert (film.size, film.n_frames) == ((32, 48), 9)
            film.seek(8)
            film.load()
            assert film.info["duration"] == 2000, "the last one stays"


def test_a_resumed_run_goes_on_as_if_never_stopped(pictures, tiny_vgg, tmp_path):
    whole = run_here(tmp_path / "whole", arguments(pictures, tiny_vgg))
    parts = run_here(tmp_path / "parts", arguments(pictures, tiny_vgg, "trainer.max_steps=3"))
    assert checkpoint(parts)["global_step"] == 3
    run_here(parts, arguments(pictures, tiny_vgg, f"resume={parts}"))
    images = [checkpoint(run)["state_dict"]["image"] for run in (whole, parts)]
    assert torch.allclose(*images, atol=1e-4)
    assert [row["step"] for row in rows(parts)] == [1, 2, 3, 4, 5, 6]
    losses = [[row["train/loss"] for row in rows(run)] for run in (whole, parts)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert rows(parts)[-1]["train/evaluations"] == rows(whole)[-1]["train/evaluations"]
    with pytest.raises(UserError, match=r"method\.size"):
        run_here(parts, arguments(pictures, tiny_vgg, f"resume={parts}", "method.size=50"))


def test_a_run_that_stopped_at_its_second_size_goes_on_there(pictures, tiny_vgg, tmp_path):
    given = arguments(pictures, tiny_vgg, "method.coarsest=32")
    run = run_here(tmp_path / "run", [*given, "trainer.max_steps=3"])
    run_here(run, [*given, f"resume={run}"])
    assert [row["train/long_edge"] for row in rows(run)] == [34, 34, 48, 48, 48, 48]
    assert checkpoint(run)["state_dict"]["image"].shape[-2:] == (48, 32)
    assert runfolder.read_config(run).trainer.precision == "32-true", "every auto is decided"


def test_original_colours_stay(pictures, tiny_vgg, tmp_path):
    run = run_here(tmp_path, arguments(pictures, tiny_vgg, "method.colors=content", "loss.style_weight=1e6"))
    weights = np.array([0.299, 0.587, 0.114])
    made = np.array(Image.open(run / "photo-art.png")).astype(float)
    photo = np.array(Image.open(pictures / "photo.jpg").transpose(Image.Transpose.ROTATE_270)).astype(float)
    luma, before = made @ weights, photo @ weights
    inside = ((made > 1) & (made < 254)).all(2)
    assert inside.mean() > 0.3
    chroma = np.abs((made - luma[..., None]) - (photo - before[..., None])).max(2)
    assert np.percentile(chroma[inside], 95) < 4
    assert np.abs(luma - before).mean() > 3


def test_what_no_style_is_given_for_stays_the_photo(pictures, tiny_vgg, tmp_path):
    mask = f"method.content_mask={pictures / 'mask.png'}"
    run = run_here(tmp_path, arguments(pictures, tiny_vgg, mask, "method.iterations=20"))
    made = np.array(Image.open(run / "previews/step-000020/photo.png")).astype(float)
    photo = np.array(Image.open(run / "previews/photos/photo.png")).astype(float)
    change = np.abs(made - photo).mean((1, 2))
    assert change[28:].mean() > 5 * change[:20].mean()


def test_a_texture_needs_no_photo(pictures, tiny_vgg, tmp_path):
    given = [argument for argument in arguments(pictures, tiny_vgg) if not argument.startswith("content=")]
    of_networks = ["trainer.gradient_clip_val=1", "trainer.precision=bf16-mixed"]  # the first is of no meaning here
    run = run_here(tmp_path, [*given, *of_networks, "loss.content_weight=0", "method.init=noise"])
    with Image.open(run / "texture-art.png") as picture:
        assert picture.size == (48, 38)  # the painting's aspect
    found = rows(run)
    assert "train/content_loss" not in found[-1]
    assert found[-1]["train/style_loss"] < 0.5 * found[0]["train/style_loss"]


def test_the_photo_is_reconstructed_from_noise(pictures, tiny_vgg, tmp_path):
    more = ["loss.style_weight=0", "method.init=noise", "loss.content_layers=[relu1_2]", "method.iterations=40"]
    run = run_here(tmp_path, arguments(pictures, tiny_vgg, *more))
    made = np.array(Image.open(run / "previews/step-000040/photo.png")).astype(float)
    photo = np.array(Image.open(run / "previews/photos/photo.png")).astype(float)
    assert np.abs(made - photo).mean() < 20
    assert "train/style_loss" not in rows(run)[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_signal_keeps_the_picture_and_resume_finishes(pictures, tiny_vgg, tmp_path):
    given = arguments(pictures, tiny_vgg, "method.iterations=100000", "trainer.checkpoint_every_n_steps=5")
    command = [sys.executable, str(TRAIN), *given, f"hydra.run.dir={tmp_path / 'run'}"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    for _ in range(4800):
        if path.exists() or process.poll() is not None:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    stopped = int(re.search(r"stopped at step (\d+)", said)[1])
    assert checkpoint(tmp_path / "run")["global_step"] == stopped
    with Image.open(tmp_path / "run" / "photo-art.png") as picture:
        assert picture.size == (60, 90)
    again = train_here(tmp_path, f"resume={tmp_path / 'run'}", f"method.iterations={stopped + 2}")
    assert again[0] == 0, again
    assert checkpoint(tmp_path / "run")["global_step"] == stopped + 2


@pytest.mark.parametrize("multirun", [(), ("-m",)])
def test_what_changes_nothing_is_said(multirun, pictures, tiny_vgg, tmp_path):
    more = ["data.batch_size=4", "network=johnson", "method.iterations=1"]
    code, _, told = train_here(tmp_path, *multirun, *arguments(pictures, tiny_vgg, *more))
    lines = [line for line in told.splitlines() if "changes nothing" in line]
    assert code == 0 and lines == [f"{key} changes nothing with method=gatys" for key in ("data.batch_size", "network")]


def test_the_rate_of_an_optimiser_that_is_not_used(capsys):
    config = compose(["method.optimizer=adam"])
    say_unused(["method.muon_learning_rate=0.1", "method.learning_rate=0.1"], config)
    say_unused(["method.muon_learning_rate=0.1"], compose([]))
    assert capsys.readouterr().err == "method.muon_learning_rate changes nothing with method=feedforward\n"

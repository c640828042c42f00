"""Runs of train.py from end to end, small: what they leave behind, how they stop, go on and fail."""

import importlib.metadata
import json
import math
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from pytorch_lightning import Trainer
from test_tracking import histories, inspect, of_type
from training import TRAIN, run_here, start, tiny_arguments, train_here, wait_for_step, weights

from fst import images, stylefile
from fst.config.schema import DataConfig, LossConfig
from fst.data.photo_data import PhotoData
from fst.errors import UserError
from fst.methods import feedforward_module, parts
from fst.methods.checkpoints import Checkpoints
from fst.methods.feedforward_module import FeedForwardStyleTransfer
from fst.methods.muon import MuonAdam
from fst.runfolder import CHECKPOINT, STYLE
from fst.stylize import strips
from fst.stylize.framing import MARGIN


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_vgg: Path) -> Path:
    """A run that ended by itself."""
    folder = tmp_path_factory.mktemp("finished")
    return run_here(folder / "run", tiny_arguments(folder, tiny_vgg, trainer__log_every_n_steps=1))


def test_a_run_leaves_a_style_file_that_paints(finished: Path) -> None:
    network, info = stylefile.load(finished / "style.safetensors")
    assert info.name == "painting" and info.style["title"] == "painting.png" and info.network == "realtime"
    assert info.training["steps"] == 6 and info.training["data"]["name"] == "folder"
    assert set(info.training["losses"]) >= {"val/style_loss", "val/content_loss", "val/style_ratio"}
    assert not any(name.endswith("_weighted") for name in info.training["losses"])
    photo = torch.rand(1, 3, 21, 34)
    assert network(photo).shape == photo.shape


def test_a_run_logs_every_term_without_and_with_its_weight(finished: Path) -> None:
    rows = _csv(finished)
    trained = [row for row in rows if row.get("train/loss")]
    assert [int(row["step"]) for row in trained] == list(range(1, 7))
    for row in trained:
        content, style = float(row["train/content_loss"]), float(row["train/style_loss"])
        assert float(row["train/style_loss_weighted"]) == pytest.approx(1e5 * style, rel=1e-4)
        stability = float(row["train/stability_loss"])
        assert float(row["train/loss"]) == pytest.approx(content + 1e5 * style + 500 * stability, rel=1e-4)
        layers = [float(row[f"train/style_loss/{layer}"]) for layer in ("relu1_2", "relu2_2", "relu3_3")]
        assert sum(layers) == pytest.approx(style, rel=1e-4)


def test_validation_is_on_held_out_photos_with_a_ratio_to_the_untouched(finished: Path) -> None:
    validated = [row for row in _csv(finished) if row.get("val/loss")]
    assert len(validated) == 2
    assert all(0 < float(row["val/style_ratio"]) < 10 for row in validated)


def test_validation_is_of_the_trained_network_in_a_margin_of_mirrored_pixels(finished: Path, tiny_vgg: Path) -> None:
    config = OmegaConf.to_object(OmegaConf.load(finished / "config.yaml"))
    network, info = stylefile.load(finished / STYLE)
    criterion = parts.criterion(LossConfig(**config["loss"]))
    style = criterion.style_target([images.to_tensor(images.read(finished / "painting.png"))])
    data = DataConfig(**config["data"])
    found, untouched = [], []
    with torch.no_grad():
        for _, photo in PhotoData(data, seed=0).preview_photos(data.val_images):
            margined = torch.from_numpy(np.pad(photo.numpy(), ((0, 0), (16, 16), (16, 16)), mode="reflect"))
            painted, content = network(margined[None])[..., 16:-16, 16:-16], criterion.content_target(photo[None])
            found.append(criterion(painted, content, style).values)
            untouched.append(criterion(photo[None], content, style).values["style"].item())
    losses = info.training["losses"]
    for name in ("content", "style"):
        mean = np.mean([values[name].item() for values in found])
        assert losses[f"val/{name}_loss"] == pytest.approx(mean, rel=1e-4), name
    ratios = [values["style"].item() / own for values, own in zip(found, untouched, strict=True)]
    assert losses["val/style_ratio"] == pytest.approx(np.mean(ratios), rel=1e-4)


def test_previews_land_as_pictures(finished: Path) -> None:
    sheets = sorted((finished / "previews").glob("step-*.png"))
    assert [sheet.stem for sheet in sheets] == ["step-000001", "step-000002", "step-000005", "step-000006"]
    assert all(np.asarray(Image.open(sheet)).std() > 5 for sheet in sheets)


def test_the_run_folder_says_what_ran(finished: Path) -> None:
    about = json.loads((finished / "run.json").read_text())
    assert about["packages"]["torch"] == importlib.metadata.version("torch")
    assert "precision: 32-true" in (finished / "config.yaml").read_text()


def test_stopped_killed_and_resumed_is_the_same_as_never_interrupted(tmp_path: Path, tiny_vgg: Path) -> None:
    steps = 60
    arguments = tiny_arguments(tmp_path, tiny_vgg, trainer__checkpoint_every_n_steps=2, method__schedule="cosine")
    arguments += [f"trainer.max_steps={steps}", f"trainer.val_check_interval={steps}"]
    whole = run_here(tmp_path / "whole", arguments)
    losses = _column(whole, "train/loss")
    assert sum(losses[3:]) < 0.97 * sum(losses[:3])  # 0.91 of it: it learns

    run_dir = tmp_path / "runs" / "interrupted"
    run = start(tmp_path, *arguments, f"hydra.run.dir={run_dir}")
    wait_for_step(run_dir, 4)
    run.send_signal(signal.SIGINT)
    output = run.communicate(timeout=60)[0]
    assert run.returncode == 130, output
    assert "resume=" in output and "Traceback" not in output
    assert stylefile.read_info(run_dir / "style.safetensors").training["steps"] >= 4

    run = start(tmp_path, "resume=last")
    wait_for_step(run_dir, 20)
    run.kill()
    run.communicate(timeout=60)
    assert 20 <= torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=False)["global_step"] < steps

    run = start(tmp_path, f"resume={run_dir}")
    output = run.communicate(timeout=120)[0]
    assert run.returncode == 0, output
    expected, found = weights(whole), weights(run_dir)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def with_gradients(patch: pytest.MonkeyPatch, times: Callable[[int], float]) -> list[float]:
    """Multiply every gradient by what belongs to its step, from 1; the norms that the optimizer gets, step by step."""
    norms, step = [], MuonAdam.step

    def grown(module: FeedForwardStyleTransfer) -> None:
        for parameter in module.network.parameters():
            parameter.grad.mul_(times(module.global_step + 1))

    def stepped(optimizer: MuonAdam, closure: Callable[[], object]) -> object:
        return step(optimizer, lambda: (closure(), norms.append(norm(optimizer)))[0])

    def norm(optimizer: MuonAdam) -> float:
        found = [one.grad for group in optimizer.param_groups for one in group["params"] if one.grad is not None]
        return float(sum(one.square().sum() for one in found)) ** 0.5

    patch.setattr(FeedForwardStyleTransfer, "on_after_backward", grown)
    patch.setattr(MuonAdam, "step", stepped)
    return norms


@pytest.mark.parametrize("most", [0.5, None])
def test_gradients_are_clipped(tmp_path: Path, tiny_vgg: Path, monkeypatch: pytest.MonkeyPatch, most: float) -> None:
    norms = with_gradients(monkeypatch, lambda step: 100 if step == 2 else 1)
    clip = {} if most is None else {"trainer__gradient_clip_val": most}
    run_here(
        tmp_path / "run", tiny_arguments(tmp_path, tiny_vgg, trainer__max_steps=3, trainer__log_every_n_steps=1, **clip)
    )
    logged = _column(tmp_path / "run", "train/gradient_norm")
    assert logged[1] > 1000, "as it was before"
    assert norms == pytest.approx([min(one, most or 30) for one in logged], rel=1e-4)


def test_a_step_whose_gradient_is_not_finite_changes_nothing(
    tmp_path: Path, tiny_vgg: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        norms = with_gradients(patch, lambda step: math.nan if step == 2 else 1)
        run = run_here(tmp_path / "run", tiny_arguments(tmp_path, tiny_vgg, trainer__max_steps=3))
    assert "1 of 3 steps changed nothing: their gradients were not finite" in capsys.readouterr().out
    assert norms[1] == 0 and min(norms[0], norms[2]) > 0
    assert all(value.isfinite().all() for value in weights(run).values())
    with monkeypatch.context() as patch:
        with_gradients(patch, lambda step: math.nan)
        with pytest.raises(UserError, match=r"no step's gradient was finite, so nothing was learnt"):
            run_here(tmp_path / "nothing", tiny_arguments(tmp_path, tiny_vgg, trainer__max_steps=3))
    with monkeypatch.context() as patch:  # a run that goes on has learnt before
        with_gradients(patch, lambda step: math.nan)
        status, told, errors = train_here(tmp_path, "resume=run", "trainer.max_steps=4")
    assert status == 0 and "1 of 1 steps changed nothing" in told, errors
    with monkeypatch.context() as patch:
        with_gradients(patch, lambda step: math.inf)
        patch.setattr(feedforward_module, "OVERFLOWS", 3)
        with pytest.raises(
            UserError, match=r"gradients of 3 steps in a row, up to step 3, were not finite.*one colour"
        ):
            run_here(tmp_path / "endless", tiny_arguments(tmp_path, tiny_vgg))


def test_a_finished_run_says_so_and_is_trained_further(tmp_path: Path, tiny_vgg: Path) -> None:
    further = ["trainer.log_every_n_steps=2", "trainer.val_check_interval=4", "method.schedule=constant"]
    arguments = [*tiny_arguments(tmp_path, tiny_vgg, trainer__max_steps=4), *further]
    status, told, errors = train_here(tmp_path, *arguments, "hydra.run.dir=run")
    assert status == 0 and "nothing was left" not in told, errors
    status, told, errors = train_here(tmp_path, "resume=run")
    assert status == 0 and "nothing was left to train: the run is at step 4, its last; a larger" in told, errors
    style = (tmp_path / "run" / STYLE).read_bytes()
    for changed in ("loss.style_weight=7", "trainer.max_steps=3"):  # which the weights were not trained with
        status, _, errors = train_here(tmp_path, "resume=run", changed)
        assert status == 1 and f"nothing is left to train at step 4, and run was trained with {changed[:11]}" in errors
        assert errors.endswith("; a larger trainer.max_steps trains it further\n")
    assert (tmp_path / "run" / STYLE).read_bytes() == style
    status, told, errors = train_here(tmp_path, "resume=run", "trainer.max_steps=8")
    assert status == 0 and "nothing was left" not in told, errors
    whole = run_here(tmp_path / "whole", [*arguments, "trainer.max_steps=8"])
    assert [row["step"] for row in _csv(tmp_path / "run")] == [row["step"] for row in _csv(whole)]
    expected, found = weights(whole), weights(tmp_path / "run")
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_run_that_is_refused_leaves_no_folder(tmp_path: Path, tiny_vgg: Path) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "notes.txt").write_text("mine")
    arguments = tiny_arguments(tmp_path, tiny_vgg, method__init_from="gogh")  # a network of another shape
    for where in ([], ["hydra.run.dir=given"]):
        status, _, errors = train_here(tmp_path, *arguments, *where)
        assert status == 1 and "another network" in errors
    assert list((tmp_path / "runs").iterdir()) == []
    assert (tmp_path / "given" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "a closed terminal"])
def test_a_signal_saves_and_ends_with_its_status(
    tmp_path: Path, tiny_vgg: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    arguments = tiny_arguments(tmp_path, tiny_vgg, trainer__checkpoint_every_n_steps=1, trainer__max_steps=30)
    write = Checkpoints._write

    def interrupted(self: Checkpoints, trainer: Trainer) -> None:
        write(self, trainer)
        if trainer.global_step == 2:
            signal.raise_signal(number)

    monkeypatch.setattr(Checkpoints, "_write", interrupted)
    status, said, _ = train_here(tmp_path, *arguments, f"hydra.run.dir={tmp_path / 'run'}", "data.workers=1")
    assert status == 128 + number and re.search(r"stopped at step 3;", said), said
    assert torch.load(tmp_path / "run" / CHECKPOINT, weights_only=False)["global_step"] == 3


@pytest.mark.parametrize(
    ("number", "hook", "error"), [(signal.SIGINT, "setup", "^$"), (signal.SIGTERM, "on_train_start", "143")]
)
def test_a_signal_before_the_first_step_ends_a_run_with_its_status(
    tmp_path: Path, tiny_vgg: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, hook: str, error: str
) -> None:
    before = getattr(Checkpoints, hook)
    monkeypatch.setattr(Checkpoints, hook, lambda *args, **how: (signal.raise_signal(number), before(*args, **how)))
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises((KeyboardInterrupt, SystemExit), match=error):
            run_here(tmp_path / "run", tiny_arguments(tmp_path, tiny_vgg))
    finally:
        signal.signal(signal.SIGINT, interrupt)  # Lightning leaves it ignored


def test_a_run_leaves_the_handler_of_sigterm_as_it_was(tmp_path: Path, tiny_vgg: Path) -> None:
    """A sweep's next job is to end by it while it reads its photos."""
    before = signal.getsignal(signal.SIGTERM)
    run_here(tmp_path / "run", tiny_arguments(tmp_path, tiny_vgg, trainer__max_steps=1))
    assert signal.getsignal(signal.SIGTERM) == before


def test_ctrl_c_while_the_program_is_imported_is_a_line() -> None:
    interrupting = "lambda name, *_: signal.raise_signal(2) if name == 'omegaconf' else None"
    code = f"import runpy, signal, sys, types; sys.meta_path.insert(0, types.SimpleNamespace(find_spec={interrupting}))"
    code += f"; signal.signal(2, signal.default_int_handler); runpy.run_path({str(TRAIN)!r})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (130, "interrupted\n")


def test_content_that_is_no_image_is_said_before_training(tmp_path: Path, tiny_vgg: Path) -> None:
    (tmp_path / "photo.jpg").write_text("no picture")
    with pytest.raises(UserError, match=r"photo\.jpg"):
        run_here(tmp_path / "run", tiny_arguments(tmp_path, tiny_vgg, content=tmp_path / "photo.jpg"))
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_a_large_photo_is_painted_in_strips_and_keeps_what_it_says_of_itself(
    tmp_path: Path, tiny_vgg: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole, a photo of 24 megapixels takes PyTorch 5 GB, and five times as much with Johnson's network."""
    painted, stylize = [], strips.stylize
    monkeypatch.setattr(strips, "stylize", lambda *args: painted.append(args[1].shape) or stylize(*args))
    monkeypatch.setattr("fst.stylize.framing.WHOLE", 0)
    Image.new("RGB", (90, 61), "teal").save(tmp_path / "photo.jpg", dpi=(300, 300))
    changes = {"content": tmp_path / "photo.jpg", "trainer__max_steps": 1}
    run_dir = run_here(tmp_path / "run", tiny_arguments(tmp_path, tiny_vgg, **changes))
    with Image.open(run_dir / "photo-painting.jpg") as picture:
        assert picture.size == (90, 61) and picture.info["dpi"] == (300, 300)
    assert painted == [(61 + 2 * MARGIN, 90 + 2 * MARGIN, 3)]


def test_another_picture_under_a_styles_name_is_called_what_it_is(tmp_path: Path, tiny_vgg: Path) -> None:
    """The painting is not The Starry Night only because the run began from style=gogh."""
    changes = {"style": "gogh", "trainer__max_steps": 1}
    info = stylefile.read_info(run_here(tmp_path / "run", tiny_arguments(tmp_path, tiny_vgg, **changes)) / STYLE)
    assert info.name == "painting" and info.style == {"title": "painting.png", "size": 64}


def test_two_processes_have_the_losses_of_one_at_the_same_global_batch(tmp_path: Path, tiny_vgg: Path) -> None:
    changes = {"trainer__log_every_n_steps": 1, "method__noise": 0, "loss__stability_weight": 0}  # drawn by each alone
    one = run_here(tmp_path / "one", tiny_arguments(tmp_path, tiny_vgg, data__batch_size=2, **changes))
    arguments = tiny_arguments(tmp_path, tiny_vgg, data__batch_size=1, **changes)
    arguments += ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", f"hydra.run.dir={tmp_path / 'run'}"]
    run = start(tmp_path, *arguments)
    output = run.communicate(timeout=240)[0]
    assert run.returncode == 0, output
    together, alone = (_column(folder, "train/loss") for folder in (tmp_path / "run", one))
    assert together == pytest.approx(alone, rel=2e-3)
    assert _column(tmp_path / "run", "val/loss")[0] == pytest.approx(_column(one, "val/loss")[0], rel=2e-3)


def test_a_loss_that_is_not_finite_ends_the_run_with_step_term_and_causes(tmp_path: Path, tiny_vgg: Path) -> None:
    arguments = tiny_arguments(tmp_path, tiny_vgg, method__learning_rate=1e30)
    with pytest.raises(
        UserError, match=r"at step 2 the (content|style) loss is not finite; the usual causes: .*learning_rate"
    ):
        run_here(tmp_path / "run", arguments)


def test_a_loss_that_is_not_finite_in_validation_alone_ends_the_run(
    tmp_path: Path, tiny_vgg: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedforward_module, "framed", lambda paint, image, margin: paint(image) / 0)
    run = tmp_path / "run"
    with pytest.raises(UserError, match=r"in validation after step 3 the (content|style) loss is not finite"):
        run_here(run, tiny_arguments(tmp_path, tiny_vgg, logger__preview_count=0))
    assert "nan" not in (run / "metrics.csv").read_text() and not (run / STYLE).exists()


def test_a_mistake_found_late_is_one_line_too(tmp_path: Path, tiny_vgg: Path) -> None:
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(b"no picture")
    status, _, errors = train_here(tmp_path, *tiny_arguments(tmp_path, tiny_vgg, style__image=damaged))
    assert status == 1
    assert errors.startswith(f"error: image {damaged} is not in a format") and len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"trainer__devices": "[0]"}, r"trainer\.devices=.* does not go with this machine: .*Accelerator"),
        ({"trainer__accelerator": "mps"}, "accelerator=mps, but torch finds none"),
    ],
)
def test_devices_of_another_machine_are_a_line(tmp_path: Path, tiny_vgg: Path, asked: dict, said: str) -> None:
    if torch.backends.mps.is_available():
        pytest.skip("is such a machine")
    with pytest.raises(UserError, match=said):
        run_here(tmp_path / "run", tiny_arguments(tmp_path, tiny_vgg, **asked))


def test_a_run_whose_logger_refuses_has_failed(tmp_path: Path, tiny_vgg: Path) -> None:
    arguments = tiny_arguments(tmp_path, tiny_vgg, logger="wandb", logger__mode="offline", logger__project="a/b")
    with pytest.raises(UserError, match="W&B does not take the run"):
        run_here(tmp_path / "run", arguments)
    assert json.loads((tmp_path / "run/run.json").read_text())["state"] == "failed"


def test_a_tracked_run_can_be_read_back_from_its_folder(tmp_path: Path, tiny_vgg: Path) -> None:
    arguments = tiny_arguments(tmp_path, tiny_vgg, logger="wandb", logger__mode="offline", trainer__log_every_n_steps=2)
    run_dir = run_here(tmp_path / "run", arguments)
    records = inspect(next((run_dir / "wandb").glob("offline-run-*/*.wandb")))
    config = of_type(records, "run")[0]["config"]["update"]
    assert config["loss"]["style_weight"] == 1e5 and config["data"]["batch_size"] == 2
    assert config["style"]["name"] == "custom" and config["trainer"]["precision"] == "32-true"
    keys = {key.removesuffix("._type") for row in histories(records) for key in row}
    assert {"train/loss", "train/style_loss_weighted", "train/learning_rate", "train/gradient_norm"} <= keys
    assert {"train/images_per_second", "val/style_ratio", "style"} <= keys
    assert any(key.startswith("preview/") for key in keys)
    assert any('"style"' in json.dumps(artifact) for artifact in of_type(records, "artifact"))
    painting = np.asarray(Image.open(tmp_path / "painting.png")).mean(axis=(0, 1))
    logged = np.asarray(Image.open(next(run_dir.rglob("media/images/style_*.png"))).convert("RGB"))
    assert logged.mean(axis=(0, 1)) == pytest.approx(painting, abs=3)


def test_rates_grow_and_then_fall_to_zero_as_a_cosine(tmp_path: Path, tiny_vgg: Path) -> None:
    changes = {"trainer__log_every_n_steps": 1, "trainer__max_steps": 12, "method__warmup_steps": 3}
    rows = _csv(run_here(tmp_path / "run", tiny_arguments(tmp_path, tiny_vgg, **changes)))
    rates = [float(row["train/learning_rate"]) for row in rows if row.get("train/learning_rate")]
    by_hand = [0.01 * min(1, (step + 1) / 3) * (1 + np.cos(np.pi * step / 12)) / 2 for step in range(12)]
    assert rates == pytest.approx(by_hand, rel=1e-4)
    of_muon = [float(row["train/muon_learning_rate"]) for row in rows if row.get("train/muon_learning_rate")]
    assert of_muon == pytest.approx([0.8 * rate for rate in by_hand], rel=1e-4)


def _csv(run_dir: Path) -> list[dict[str, str]]:
    import csv

    with (run_dir / "metrics.csv").open() as lines:
        return list(csv.DictReader(lines))


def _column(run_dir: Path, key: str) -> list[float]:
    return [float(row[key]) for row in _csv(run_dir) if row.get(key)]

"""Runs of a one-parameter network, tracked, read back by other programs: wandb leet, TensorBoard, csv, OpenCV."""

import csv
import dataclasses
import json
import multiprocessing
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import wandb
from pytorch_lightning import LightningModule, Trainer
from torch.utils.data import DataLoader

from fst import runfolder, tracking
from fst.config.schema import LoggerConfig
from fst.errors import UserError
from fst.stylefile import StyleInfo
from fst.tracking import loggers, metadata, previews
from fst.tracking.loggers import log_images, log_style_file
from fst.tracking.metrics import MetricsFile

SETTINGS = {"style": {"name": "gogh"}, "loss": {"style_weight": 1e5, "style_layers": ["relu1_2"]}, "resume": None}
STEPS = 23
RATE = 0.5


class OneWeight(LightningModule):
    """loss = w² under plain gradient descent: gradient 2w, so w shrinks by 1 - 2·RATE·0.1 a step."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def training_step(self, batch, index):
        loss = (self.weight**2).sum()
        self.log_dict({"train/loss": loss, "train/content_loss": loss / 4, "train/style_loss": 3 * loss / 4})
        return loss

    def validation_step(self, batch, index):
        self.log("val/loss", (self.weight**2).sum())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1 * RATE)

    def previews(self):
        rising = torch.linspace(0, 1, 48).expand(3, 32, 48).clone()
        rising[1] = 0.25
        bright = torch.full((3, 24, 24), 0.75)
        return [
            previews.Preview("rising", rising, 1 - rising),
            previews.Preview("too bright/1", bright, bright + 0.5),
        ]


def train(logger, run_dir, *, steps=STEPS, config=None, every=5, module=None, checkpoint=None, **more):
    photos = torch.rand(8, 3, 4, 4)
    trainer = Trainer(
        logger=logger or False,
        callbacks=tracking.callbacks(config or LoggerConfig(name="none"), run_dir),
        max_steps=steps,
        log_every_n_steps=every,
        val_check_interval=10,
        check_val_every_n_epoch=None,
        accelerator="cpu",
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        **more,
    )
    module = module or OneWeight()
    trainer.fit(module, DataLoader(list(photos), batch_size=2), DataLoader([photos[0]]), ckpt_path=checkpoint)
    return trainer, module


def inspect(run: Path) -> list[dict]:
    done = subprocess.run(["wandb", "leet", "inspect", "--json", run], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def of_type(records, kind):
    return [record[kind] for record in records if record["type"] == kind]


def histories(records):
    return [record["item"] for record in of_type(records, "history")]


@pytest.fixture(scope="module")
def without_key(tmp_path_factory):
    """No key, no server, nothing of the user's W&B settings."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "http_proxy", "HTTP_PROXY"):
            patch.delenv(name, raising=False)
        patch.setenv("NETRC", str(home / "netrc"))
        patch.setenv("WANDB_CONFIG_DIR", str(home))
        patch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
        patch.setattr("builtins.input", lambda *_: pytest.fail("a prompt"))
        wandb.teardown()
        yield
        wandb.teardown()


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory, without_key):
    """A finished offline W&B run."""
    folder = tmp_path_factory.mktemp("runs") / "a run"
    config = LoggerConfig(name="wandb", mode="auto", group="weights", tags=["test", "gogh"], notes="why", project="p")
    logger = loggers.build_logger(config, folder, name="gogh 1e5", settings=SETTINGS)
    train(logger, folder, config=config)
    style = folder / "gogh.safetensors"
    style.write_bytes(b"tensors")
    info = StyleInfo("gogh+été 2", "johnson", {"width": 32}, training={"steps": STEPS})
    log_style_file(logger, style, info)
    log_images(logger, {"style": np.full((8, 8, 3), 200, np.uint8)}, caption="the painting")
    loggers.finish(logger)
    return folder


@pytest.fixture(scope="module")
def records(run_dir):
    (run,) = (run_dir / "wandb").glob("offline-run-*")
    return inspect(run)


def test_wandb_run_says_what_it_is(records):
    (run,) = of_type(records, "run")
    assert run["config"]["update"] | {"_wandb": 0} == SETTINGS | {"_wandb": 0}
    assert (run["display_name"], run["run_group"], run["project"]) == ("gogh 1e5", "weights", "p")
    assert (sorted(run["tags"]), run["notes"]) == (["gogh", "test"], "why")
    assert of_type(records, "exit")[0]["exit_code"] == 0


def test_wandb_metrics_stand_at_the_global_step(records):
    rows = [row for row in histories(records) if "train/loss" in row]
    assert [row["trainer/global_step"] for row in rows] == [5, 10, 15, 20, STEPS]
    weight = [(1 - 2 * RATE * 0.1) ** (row["trainer/global_step"] - 1) for row in rows]
    assert [row["train/loss"] for row in rows] == pytest.approx([w**2 for w in weight], rel=1e-4)
    assert [row["train/gradient_norm"] for row in rows] == pytest.approx([2 * w for w in weight], rel=1e-4)
    assert all(row["train/learning_rate"] == pytest.approx(0.1 * RATE) for row in rows)
    assert all(row["train/images_per_second"] > 0 and row["train/step_seconds"] > 0 for row in rows)
    assert all(0 <= row["train/data_wait"] <= 1 for row in rows)
    validation = [row for row in histories(records) if "val/loss" in row]
    assert [row["trainer/global_step"] for row in validation] == [10, 20, STEPS]
    assert validation[0]["val/loss"] == pytest.approx((1 - 2 * RATE * 0.1) ** 20, rel=1e-4)
    assert {"name": "trainer/global_step", "options": {"defined": True}} in of_type(records, "metric")
    assert any(metric.get("step_metric") == "trainer/global_step" for metric in of_type(records, "metric"))


def test_wandb_images_have_the_pixels_given(run_dir, records):
    rows = [row for row in histories(records) if "preview/rising.path" in row]
    assert [row["trainer/global_step"] for row in rows] == [1, 2, 5, 10, 20, STEPS]
    files = next((run_dir / "wandb").glob("offline-run-*")) / "files"
    pair = cv2.imread(str(files / rows[-1]["preview/rising.path"]))[:, :, ::-1]
    photo = np.round(np.linspace(0, 1, 48) * 255)
    assert pair.shape == (32, 48 + 8 + 48, 3)
    assert np.abs(pair[:, :48, 0] - photo).max() <= 1
    assert np.abs(pair[:, 56:, 2] - photo[::-1]).max() <= 1
    assert pair[:, :48, 1].mean() == pytest.approx(64, abs=1)
    assert pair[:, 56:, 1].mean() == pytest.approx(191, abs=1)
    clipped = cv2.imread(str(files / rows[0]["preview/too_bright_1.path"]))
    assert (clipped[:, :24].mean(), clipped[:, 32:].mean()) == (191, 255)
    (style,) = (row for row in histories(records) if "style.path" in row)
    assert cv2.imread(str(files / style["style.path"])).mean() == 200


def test_wandb_artifact_is_the_style_file_with_its_metadata(run_dir, records):
    (artifact,) = (entry for entry in of_type(records, "artifact") if entry["type"] == "style")
    info = StyleInfo("gogh+été 2", "johnson", {"width": 32}, training={"steps": STEPS})
    assert json.loads(artifact["metadata"]) == dataclasses.asdict(info)
    assert artifact["name"].startswith("gogh-t-2-"), "the signs that W&B takes"
    assert sorted(artifact["aliases"]) == ["latest", f"step-{STEPS}"]
    (content,) = artifact["manifest"]["contents"]
    assert content["path"] == "gogh.safetensors"
    staged = Path(content["local_path"])
    assert staged.is_relative_to(run_dir.resolve())
    assert staged.read_bytes() == b"tensors"


def test_copied_wandb_run_still_reads(run_dir, records, tmp_path):
    copy = shutil.copytree(run_dir, tmp_path / "copy")
    (run,) = (copy / "wandb").glob("offline-run-*")
    assert inspect(run) == records
    paths = [value for row in histories(records) for key, value in row.items() if key.endswith(".path")]
    assert len(paths) == 6 * 2 + 1
    assert all((run / "files" / path).is_file() for path in paths)


def test_preview_files_are_the_results(run_dir):
    first, last = run_dir / "previews/step-000001", run_dir / f"previews/step-{STEPS:06d}"
    assert sorted(path.name for path in last.iterdir()) == ["rising.png", "too_bright_1.png"]
    for preview in OneWeight().previews():
        name = {"rising": "rising", "too bright/1": "too_bright_1"}[preview.name]
        for path, tensor in (
            (first / f"{name}.png", preview.result),
            (run_dir / f"previews/photos/{name}.png", preview.photo),
        ):
            expected = np.floor(np.clip(tensor.numpy(), 0, 1) * 255 + 0.5).transpose(1, 2, 0)
            assert np.abs(cv2.imread(str(path))[:, :, ::-1] - expected).max() <= 1
    sheet = cv2.imread(str(first) + ".png")
    assert sheet.shape == (32 + 8 + 24, 48 + 8 + 48, 3)
    assert np.array_equal(sheet[:32, 56:], cv2.imread(str(first / "rising.png")))
    assert np.array_equal(sheet[40:, 32:56], cv2.imread(str(first / "too_bright_1.png")))


def test_two_runs_in_one_process(without_key, tmp_path, capsys):
    ids = []
    for name in ("one", "two"):
        config = LoggerConfig(name="wandb", mode="offline", run_name={"two": "mine"}.get(name))
        logger = loggers.build_logger(config, tmp_path / name, name=name, settings={"job": name})
        logger.log_metrics({"x": 1.0}, 0)
        ids.append(logger.experiment.id)
        loggers.finish(logger)
        loggers.finish(logger)
        (run,) = (tmp_path / name / "wandb").glob("offline-run-*")
        (about,) = of_type(inspect(run), "run")
        assert about["config"]["update"]["job"] == name
        assert about["display_name"] == (config.run_name or name)
    assert ids[0] != ids[1]
    again = loggers.build_logger(config, tmp_path / "two", name="two", settings={"resume": "last"})
    assert again.experiment.id == ids[1]
    loggers.log_painting(again, tmp_path / "two", np.zeros((8, 8, 3), np.uint8))
    loggers.finish(again, failed=True)
    newest = max((tmp_path / "two" / "wandb").glob("offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime)
    assert not histories(inspect(newest)), "it has its painting already, and steps do not begin at 0 again"
    printed = capsys.readouterr()
    assert printed.err == ""
    assert len(printed.out.splitlines()) == 3
    assert all("wandb leet " in line and "wandb sync " in line for line in printed.out.splitlines())


def test_disabled_wandb_takes_everything_and_writes_nothing(without_key, tmp_path):
    logger = loggers.build_logger(LoggerConfig(name="wandb", mode="disabled"), tmp_path, name="x", settings={})
    train(logger, tmp_path, steps=3)
    log_style_file(logger, __file__, StyleInfo("gogh", "johnson"))
    loggers.finish(logger)
    assert not list(tmp_path.rglob("*.wandb"))


def test_bad_wandb_settings_are_one_line(without_key, tmp_path):
    for config in (
        LoggerConfig(name="wandb", mode="offline", project="a/b"),
        LoggerConfig(name="wandb", mode="online"),
    ):
        with pytest.raises(UserError) as caught:
            loggers.build_logger(config, tmp_path, name="x", settings={})
        assert "\n" not in str(caught.value)


def test_tensorboard_reads_back(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = loggers.build_logger(LoggerConfig(name="tensorboard"), tmp_path, name="x", settings=SETTINGS)
    train(logger, tmp_path)
    log_style_file(logger, __file__, StyleInfo("gogh", "johnson"))
    loggers.finish(logger)
    files = list((tmp_path / "tensorboard").glob("events*"))
    assert files
    events = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"images": 0}).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [5, 10, 15, 20, STEPS]
    assert [event.step for event in events.Scalars("val/loss")] == [10, 20, STEPS]
    images = events.Images("preview/rising")
    assert [image.step for image in images] == [1, 2, 5, 10, 20, STEPS]
    decoded = cv2.imdecode(np.frombuffer(images[-1].encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
    assert decoded[:, :48, 1].mean() == pytest.approx(64, abs=1)


def table(run_dir):
    return list(csv.DictReader((run_dir / "metrics.csv").open()))


def test_metrics_are_in_the_run_folder_whatever_the_logger(tmp_path, run_dir):
    train(None, tmp_path)
    for folder in (tmp_path, run_dir):
        rows = table(folder)
        training = [row for row in rows if row["train/loss"]]
        assert [int(row["step"]) for row in training] == [5, 10, 15, 20, STEPS]
        weights = [(1 - 2 * RATE * 0.1) ** (int(row["step"]) - 1) for row in training]
        assert [float(row["train/loss"]) for row in training] == pytest.approx([w**2 for w in weights], rel=1e-4)
        assert [int(row["step"]) for row in rows if row["val/loss"]] == [10, 20, STEPS]
        seconds = [float(row["seconds"]) for row in rows]
        assert seconds == sorted(seconds) and seconds[0] > 0


def test_a_run_shorter_than_its_intervals_is_logged_and_validated(tmp_path):
    train(None, tmp_path, steps=3)
    assert [(row["step"], bool(row["train/loss"]), bool(row["val/loss"])) for row in table(tmp_path)] == [
        ("3", True, False),
        ("3", False, True),
    ]


def test_a_resumed_run_goes_on_in_its_metrics(tmp_path):
    """From a checkpoint of step 12 after the run had come to 15, as after a kill: rows after 12 are made anew."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(None, whole)
    train(None, parts, steps=12)[0].save_checkpoint(tmp_path / "12.ckpt")
    train(None, parts, steps=15, checkpoint=tmp_path / "12.ckpt")
    with (parts / "metrics.csv").open("a") as file:
        file.write("16,1.5,0.2")  # killed in the middle of a line
    spent = float(next(row["seconds"] for row in table(parts) if row["step"] == "12"))
    train(None, parts, checkpoint=tmp_path / "12.ckpt")
    done, same = table(parts), table(whole)
    assert [row["step"] for row in done if row["train/loss"]] == ["5", "10", "12", "15", "20", str(STEPS)]
    assert all(float(row["seconds"]) > spent for row in done if int(row["step"]) > 12)
    losses = {row["step"]: row["train/loss"] for row in same if row["train/loss"]}
    assert {row["step"]: row["train/loss"] for row in done if row["step"] in losses and row["train/loss"]} == losses


def test_a_new_metric_is_a_new_column(tmp_path):
    file = MetricsFile(tmp_path)
    file.begin(0)
    file.log_metrics({"train/a": 1.0, "epoch": 0}, 1)
    file.log_metrics({"val/b, c": float("nan"), "train/a": 2.0}, 2)
    file.log_metrics({"val/b, c": 3.0}, 3)
    assert [{key: row[key] for key in row if key != "seconds"} for row in table(tmp_path)] == [
        {"step": "1", "train/a": "1", "val/b, c": ""},
        {"step": "2", "train/a": "2", "val/b, c": "nan"},
        {"step": "3", "train/a": "", "val/b, c": "3"},
    ]
    assert runfolder.read_metrics(tmp_path) == {"train/a": 2.0, "val/b, c": 3.0}


def test_the_run_folder_says_how_a_run_ended(tmp_path):
    class Stops(OneWeight):
        def training_step(self, batch, index):
            seen.append(runfolder.state(tmp_path))
            self.trainer.should_stop = self.global_step == 3
            return super().training_step(batch, index)

    seen = []
    assert runfolder.state(tmp_path) is None
    metadata.write_run(tmp_path, {})
    train(None, tmp_path, module=Stops())
    assert set(seen) == {"running"} and len(seen) == 4 and runfolder.state(tmp_path) == "stopped"
    train(None, tmp_path, steps=2)
    assert runfolder.state(tmp_path) == "finished"
    other = multiprocessing.get_context("fork").Process(target=runfolder.write_state, args=(tmp_path, "running"))
    other.start(), other.join()
    assert json.loads((tmp_path / "run.json").read_text())["process"] == other.pid
    assert runfolder.state(tmp_path) == "stopped"  # its process ended without a word


def test_without_a_logger_previews_still_land(tmp_path):
    assert loggers.build_logger(LoggerConfig(name="none"), tmp_path, name="x", settings={}) is None
    train(None, tmp_path, steps=3)
    log_images(None, {"x": torch.zeros(3, 4, 4)})
    loggers.finish(None)
    assert sorted(path.stem for path in (tmp_path / "previews").glob("*.png")) == [
        "step-000001",
        "step-000002",
        "step-000003",
    ]


def test_without_a_server_a_run_is_offline_and_says_why(without_key, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    wandb.teardown()
    logger = loggers.build_logger(LoggerConfig(name="wandb"), tmp_path, name="x", settings={})
    assert logger.experiment.offline
    loggers.finish(logger)
    printed = capfd.readouterr()
    assert "http://127.0.0.1:9 does not answer" in printed.out
    assert printed.err == ""

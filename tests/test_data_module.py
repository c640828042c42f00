"""The data module, by itself and under a real Trainer."""

import logging
from itertools import islice
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from PIL import Image

from fst.config.schema import DataConfig
from fst.data import photo_data
from fst.data import workers as workers_of_ours
from fst.data.photo_data import PhotoData
from fst.data.training_photos import Photos
from fst.errors import UserError
from tests.photos import make_photos


def folder(root, **settings) -> DataConfig:
    usual = {"name": "folder", "root": str(root), "size": 16, "batch_size": 4, "workers": 0, "val_images": 3}
    return DataConfig(**(usual | settings))


class Recorder(pl.LightningModule):
    """Records the batches it is given; nothing to learn but one number."""

    def __init__(self, fails_at: int | None = None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen, self.validated, self.fails_at = [], [], fails_at

    def training_step(self, batch, index):
        if self.global_step == self.fails_at:
            raise KeyboardInterrupt
        self.seen.append(batch.clone())
        return self.weight * batch.mean()

    def validation_step(self, batch, index):
        self.validated.append(batch.clone())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(tmp_path, steps: int, **settings) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu", max_steps=steps, logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, default_root_dir=tmp_path, check_val_every_n_epoch=None, val_check_interval=2,
        use_distributed_sampler=False, num_sanity_val_steps=0, **settings,
    )  # fmt: skip


def test_same_seed_same_batches_whatever_the_number_of_workers(tmp_path):
    taken = []
    for workers in (0, 2):
        data = PhotoData(folder(make_photos(tmp_path, 16), workers=workers), seed=3)
        data.setup()
        Path(data._photos.paths[data._split[1][5]]).write_bytes(b"nothing")  # now, or it would be found here already
        taken.append(list(islice(data.train_dataloader(), 9)))
        assert data.skipped == 1, "counted over worker processes"
    assert all(torch.equal(a, b) for a, b in zip(*taken, strict=True))
    assert taken[0][0].shape == (4, 3, 16, 16)
    other = next(iter(PhotoData(folder(tmp_path), seed=4).train_dataloader()))
    assert not torch.equal(other, taken[0][0])
    assert data.train_dataloader().worker_init_fn is workers_of_ours.start


@pytest.mark.parametrize(("asked", "workers"), [(None, 3), (0, 0), (2, 2)])
def test_workers_are_as_many_as_asked_for_none_among_them(tmp_path, monkeypatch, asked, workers):
    monkeypatch.setattr(photo_data, "data_workers", lambda devices: 3)
    data = PhotoData(folder(make_photos(tmp_path, 6), workers=asked), seed=0)
    assert data.train_dataloader().num_workers == workers


def test_the_loader_leaves_the_global_random_state_alone(tmp_path):
    data = PhotoData(folder(make_photos(tmp_path, 10)), seed=0)
    before = torch.get_rng_state()
    next(iter(data.train_dataloader()))
    next(iter(data.val_dataloader()))
    assert torch.equal(before, torch.get_rng_state())


def test_a_resumed_run_goes_on_where_it_stopped(tmp_path):
    make_photos(tmp_path, 10)
    whole = Recorder()
    trainer(tmp_path, 7).fit(whole, datamodule=PhotoData(folder(tmp_path), seed=0))
    assert len(whole.seen) == 7
    first = Recorder()
    running = trainer(tmp_path, 3)
    running.fit(first, datamodule=PhotoData(folder(tmp_path), seed=0))
    running.save_checkpoint(tmp_path / "at3.ckpt")
    rest = Recorder()
    resumed = trainer(tmp_path, 7)
    resumed.fit(rest, datamodule=PhotoData(folder(tmp_path, workers=1), seed=0), ckpt_path=tmp_path / "at3.ckpt")
    assert len(rest.seen) == 4
    assert all(torch.equal(a, b) for a, b in zip(whole.seen, first.seen + rest.seen, strict=True))


def test_batches_are_floats_and_validation_never_changes(tmp_path):
    data = PhotoData(folder(make_photos(tmp_path, 20)), seed=0, room=5)
    model = Recorder()
    trainer(tmp_path, 4).fit(model, datamodule=data)
    assert all(batch.dtype == torch.float32 and batch.min() >= 0 and 0.1 < batch.max() <= 1 for batch in model.seen)
    assert all(batch.shape == (4, 3, 21, 21) for batch in model.seen), "with the room that loss terms ask for"
    assert len(model.validated) == 2 and torch.equal(*model.validated)
    assert model.validated[0].shape[1:] == (3, 16, 16)
    names, photos = zip(*data.preview_photos(99), strict=True)
    assert torch.equal(torch.stack(photos), model.validated[0]) and len(set(names)) == 3


def test_a_photos_short_side_is_of_the_crops_size_times_scale_and_no_smaller_than_what_is_seen(tmp_path):
    make_photos(tmp_path, 6)
    for room, shorts in ((0, (60, 72)), (8, (60, 72)), (25, (65, 72)), (48, (88, 88))):
        data = PhotoData(folder(tmp_path, size=40, scale=[1.5, 1.8]), seed=0, room=room)
        samples = data._training_samples()
        assert (samples.size, samples.shorts) == (40 + room, shorts)


def test_the_first_unreadable_photo_is_said_once(tmp_path, caplog):
    make_photos(tmp_path, 6)
    for name in ("x.jpg", "y.jpg"):
        (tmp_path / "a" / name).write_bytes(b"nothing")
    data = PhotoData(folder(tmp_path), seed=0)
    with caplog.at_level(logging.WARNING):
        trainer(tmp_path, 4).fit(Recorder(), datamodule=data)
    said = [record.message for record in caplog.records if "cannot be read" in record.message]
    assert len(said) == 1 and "\n" not in said[0] and ".jpg" in said[0]
    assert data.skipped == 2


def test_photos_that_vanish_in_a_worker_end_in_one_line(tmp_path):
    data = PhotoData(folder(make_photos(tmp_path / "photos", 6), workers=1), seed=0)
    data.setup()
    for path in (tmp_path / "photos").rglob("*.png"):
        path.unlink()
    with pytest.raises(UserError, match="can be read any more") as caught:
        trainer(tmp_path, 4).fit(Recorder(), datamodule=data)
    assert "\n" not in str(caught.value)


def make_store(home: Path, *folders: str) -> None:
    for name in folders:
        make_photos(home / name, 6, suffix=".jpg")


def test_auto_takes_the_best_there_is_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FST_HOME", str(tmp_path))
    auto = DataConfig(name="auto", size=16, val_images=2)
    assert PhotoData(auto, seed=0).name == "procedural"
    assert PhotoData(DataConfig(name="auto", download=True), seed=0).name == "imagenet_sample"  # of two the smaller
    make_store(tmp_path, "imagenet-sample/train")
    assert PhotoData(auto, seed=0).name == "imagenet_sample"
    make_store(tmp_path, "coco/train2017")
    assert PhotoData(auto, seed=0).name == "coco"
    auto.root = str(tmp_path / "imagenet-sample")
    assert PhotoData(auto, seed=0).name == "folder"
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1].strip(",") for line in lines] == ["procedural", *["imagenet_sample"] * 2, "coco", "folder"]


def test_coco_validates_on_val2017_when_it_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv("FST_HOME", str(tmp_path))
    make_store(tmp_path, "coco/train2017")
    coco = DataConfig(name="coco", size=16, val_images=4, workers=0)
    data = PhotoData(coco, seed=0)
    assert len(data.preview_photos(9)) == 1 and len(data._split[1]) == 5
    for index in range(9):
        target = tmp_path / f"coco/val2017/val{index}.jpg"
        target.parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 20), (index, 0, 0)).save(target)
    data = PhotoData(coco, seed=0)
    assert [name[3:6] for name, _ in data.preview_photos(9)] == ["val"] * 4
    assert len(data._split[1]) == len(Photos(tmp_path / "coco/train2017"))
    elsewhere = DataConfig(name="coco", root=str(tmp_path / "coco"), size=16, workers=0)
    monkeypatch.setenv("FST_HOME", str(tmp_path / "nothing"))
    assert PhotoData(elsewhere, seed=0).preview_photos(1)[0][0][3:6] == "val"


def test_missing_photos_end_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("FST_HOME", str(tmp_path / "home"))
    (tmp_path / "empty").mkdir()
    for config, said in [
        ({"name": "coco"}, r"train2017.*data\.download=true fetches http://images.*19\.3 GB.*data=procedural"),
        ({"name": "imagenet_sample"}, r"data\.download=true fetches https://files\.fast\.ai.*2\.1 GB"),
        ({"name": "folder"}, "data.root=DIR"),
        ({"name": "folder", "root": str(tmp_path / "none")}, "there is no folder"),
        ({"name": "folder", "root": str(tmp_path / "empty")}, "holds no images"),
        ({"name": "coco", "root": str(tmp_path / "empty")}, "wants a folder train2017.*data=folder"),
        ({"name": "coco", "root": str(tmp_path / "empty"), "download": True}, "wants a folder train2017"),
        ({"name": "coca"}, "did you mean 'coco'"),
    ]:
        with pytest.raises(UserError, match=said) as caught:
            PhotoData(DataConfig(**config), seed=0)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "home").exists(), "nothing is downloaded unless asked"


def test_a_download_that_is_asked_for_is_tried_when_data_is_prepared(tmp_path, monkeypatch):
    monkeypatch.setenv("FST_HOME", str(tmp_path))
    monkeypatch.setattr("fst.data.archives.Archive.obtain", lambda self: make_photos(self.place, 5))
    data = PhotoData(DataConfig(name="imagenet_sample", download=True, size=16, batch_size=4, workers=0), seed=0)
    assert not (tmp_path / "imagenet-sample").exists()
    data.prepare_data()
    assert next(iter(data.train_dataloader())).shape == (4, 3, 16, 16)


def test_real_photos(store):
    for name in ("coco", "imagenet_sample"):
        data = PhotoData(DataConfig(name=name, size=64, batch_size=4, workers=0), seed=0)
        batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
        assert batch.shape == (4, 3, 64, 64) and 0.2 < batch.mean() < 0.8 and batch.std() > 0.1
        assert len(data.preview_photos(16)) == 16 and data.skipped == 0

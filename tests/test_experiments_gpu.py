"""The plan for the hour when a GPU is there, a few steps of it on any machine."""

import dataclasses
from pathlib import Path

import pytest
from photos import make_photos
from PIL import Image

from fst import stylefile
from fst.errors import UserError


def test_a_store_without_photos_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments.gpu.pictures import photos

    monkeypatch.setenv("FST_HOME", str(tmp_path))
    with pytest.raises(UserError, match="no photos to train on"):
        photos("cpu")


def test_its_parts_leave_style_files_and_tables(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments.gpu.paintings import BOX
    from experiments.gpu.run import main

    home = tmp_path / "home"
    (home / "styles").mkdir(parents=True)
    (home / "weights").symlink_to(store / "weights")
    make_photos(home / "photos", 17)
    make_photos(home / "paintings", 17)
    Image.effect_noise((90, 60), 80).convert("RGB").save(home / "styles" / BOX["gogh"].file)
    monkeypatch.setenv("FST_HOME", str(home))
    main(["bench", "box", "many", "--only", "gogh", "--tiny", "--out", str(tmp_path / "out")])
    info = stylefile.load(tmp_path / "out/gogh.safetensors")[1]
    assert info.training["steps"] == 2
    assert {"fold", "widths", "depths", "skips", "end"} <= set(info.settings)  # not left to defaults, which change
    many = stylefile.load(tmp_path / "out/many.safetensors")[0]
    assert many.names == ["gogh"] and many.predictor is not None
    table = (tmp_path / "out/bench.md").read_text()
    assert table.count("| realtime |") == 2 and table.count("| realtime, no twin |") == 1
    folders = ["--start", str(tmp_path / "out"), "--out", str(tmp_path / "on")]
    told = stylefile.read_info(tmp_path / "out/gogh.safetensors")
    figures = {"losses": {"val/loss": 1.0}, "by_style": {"gogh": {"total": 1.0}}}
    told = dataclasses.replace(told, training=told.training | figures)
    stylefile.describe(tmp_path / "out/gogh.safetensors", told)
    further = ["--checkerboard", "3000", "--evenness", "1000", "--rate", "0.5", *folders]
    main(["box", "many", "--only", "gogh", "--tiny", *further])
    for name in ("gogh", "many"):
        (before, _), (after, info) = (stylefile.load(tmp_path / f"{out}/{name}.safetensors") for out in ("out", "on"))
        assert info.training["steps"] == 4 and info.training["loss"]["checkerboard_weight"] == 3000
        assert info.training["loss"]["evenness_weight"] == 1000
        assert info.training["loss"]["architecture"] == "vgg16"
        assert not figures.keys() & info.training.keys()  # of what it was before
        moved = [
            (old - new).abs().max().item() for old, new in zip(before.parameters(), after.parameters(), strict=True)
        ]
        assert 0 < max(moved) < 0.1  # further, not anew

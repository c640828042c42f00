"""Studies: their files, judging of finished arms, the report and its README; figures of bounded size."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from photos import make_photos
from PIL import Image
from styles import make_many

from fst import images, runfolder, stylefile
from fst.config import groups
from fst.config.compose import compose
from fst.errors import UserError
from fst.evaluate import figures, report, study
from fst.networks import build
from fst.sweep import arms
from fst.tracking.metrics import MetricsFile


@pytest.mark.parametrize("name", arms.names())
def test_a_study_has_a_question_and_a_place_for_its_table(name: str) -> None:
    assert study.load(name).question.endswith("?")
    assert report.BEGIN.format(name) in (groups.EXPERIMENTS / name / "README.md").read_text(encoding="utf-8")


def test_mistakes_in_a_study_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "EXPERIMENTS", tmp_path)
    texts = {
        "a": "question: x\nreference: one\narms: {two: {}}",
        "b": "question: x\nreference: one\narms: {one: {override: []}}",
        "c": "question: x\nreference: one\narms: {one: {}}\ncolumns: [losses]",
        "e": "question: x\nreference: one\narms: {one: {}",
        "f": "question: x\nreference: one\narms: {one: {against: two}}",
    }
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "study.yaml").write_text(text)
    said = {"a": "an arm 'one'", "b": "override", "c": "columns has 'losses'", "d": "no study is", "e": "line 3"}
    said["f"] = "an arm 'two'"
    for name, words in said.items():
        with pytest.raises(UserError, match=words) as caught:
            study.load(name)
        assert "\n" not in str(caught.value) and "full_key" not in str(caught.value)


def test_an_arm_may_be_empty_and_its_name_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "EXPERIMENTS", tmp_path)
    (tmp_path / "a").mkdir()
    text = "question: x\nreference: base\narms:\n  base:\n  200: {overrides: [seed=2]}"
    (tmp_path / "a" / "study.yaml").write_text(text)
    found = {name: arm.overrides for name, arm in study.load("a").arms.items()}
    assert found == {"base": [], "200": ["seed=2"]}


def test_an_arms_runs_are_told_from_those_of_one_whose_name_begins_alike(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(groups, "EXPERIMENTS", tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "study.yaml").write_text("question: x\nreference: one\narms: {one: {}, one_more: {}}")
    places = ["one_seed=1", "one_more_seed=1", "one_more"]
    for place in places:
        runfolder.write_state(tmp_path / "runs" / "a" / place, runfolder.FINISHED)
    found = study.finished(study.load("a"), tmp_path / "runs")
    names = {arm: [run.name for run in runs] for arm, runs in found.items()}
    assert names == {"one": ["one_seed=1"], "one_more": ["one_more", "one_more_seed=1"]}


def test_costs_are_the_known_ones() -> None:
    johnson = study.cost(build("johnson").eval())
    layer = study.cost(torch.nn.Conv2d(3, 8, 5, stride=2, padding=2))
    assert johnson["kmac_per_pixel"] == pytest.approx(153.8, abs=0.1) and johnson["parameters"] == 1_679_235
    assert layer == {"kmac_per_pixel": 3 * 8 * 25 / 4 / 1000, "parameters": 3 * 8 * 25 + 8}


@pytest.fixture
def small_store(tmp_path: Path, tiny_vgg: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with all that judging a style of gogh asks for, small and random."""
    home = tmp_path / "store"
    make_photos(home / "photos", 3, size=(60, 80))
    (home / "weights").mkdir()
    shutil.copy(tiny_vgg, home / "weights" / "vgg16_tiny.safetensors")
    (home / "styles").mkdir()
    levels = np.random.default_rng(5).integers(0, 255, (8, 10, 3)).astype(np.uint8)
    Image.fromarray(levels).resize((200, 160)).save(home / "styles" / "starry_night_google.jpg")
    monkeypatch.setenv("FST_HOME", str(home))
    return home


def leave(folder: Path, seed: int) -> None:
    """A finished run's folder: six steps of half a second, validated twice."""
    torch.manual_seed(seed)
    settings = {"width": 8, "depth": 1}
    network = build("johnson", **settings)
    stylefile.save(folder / runfolder.STYLE, network, stylefile.StyleInfo("gogh", "johnson", settings))
    OmegaConf.save(compose(["experiment=norm", "data.batch_size=2"]), folder / runfolder.CONFIG)
    metrics = MetricsFile(folder)
    for step in (3, 6):
        metrics.log_metrics({"train/step_seconds": 0.5}, step)
        metrics.log_metrics({"val/style_ratio": 1 / step, "val/content_loss": 9.0}, step)
    runfolder.write_state(folder, runfolder.FINISHED)


def test_a_network_of_many_styles_is_no_arm(tmp_path: Path) -> None:
    make_many(tmp_path / runfolder.STYLE)
    with pytest.raises(UserError, match="learnt many styles"):
        study.measure(study.load("norm"), tmp_path, pytest.fail)


def test_a_study_from_runs_to_table(small_store: Path, tmp_path: Path, capsys) -> None:
    runs, out = tmp_path / "runs", tmp_path / "out"
    for seed in (1, 2):
        leave(runs / "norm" / f"batch_seed={seed}", seed)
    with pytest.raises(UserError, match="no arm of norm is finished"):
        study.main(["norm", "--runs", str(tmp_path)])
    study.main(["norm", "--runs", str(runs), "--out", str(out)])
    printed = capsys.readouterr().out
    assert "instance                 not judged: absent" in printed
    results = json.loads((out / "results.json").read_text())
    assert len(results["photos"]) == 3 and results["criterion"]["gogh"]["side"] == 256
    arm = results["arms"]["batch"]
    assert (arm["runs"], arm["steps"], arm["seconds"], arm["images_per_second"]) == (2, 6, 3.0, 4.0)
    assert arm["curves"]["val/style_ratio"] == [[3, pytest.approx(1 / 3)], [6, pytest.approx(1 / 6)]]
    assert arm["total"] > 0 and arm["spread"]["total"] > 0 == arm["spread"]["seconds"]
    ratio, spread = arm["style_ratio"], arm["spread"]["style_ratio"]
    assert f"| batch | {ratio:.4f} ±{spread:.4f} | " in printed and "Means of up to 2 runs" in printed
    for name in ("figure.jpg", "plot.png"):
        with Image.open(out / name) as picture:
            assert min(picture.size) > 300 and (out / name).stat().st_size <= 500_000
    (out / "plot.png").unlink()
    study.main(["norm", "--report", "--out", str(out)])
    assert (out / "plot.png").exists()


def made_up() -> dict:
    """results.json with round numbers."""
    totals = {"256": 20.0, "512": 25.0, "1024": None}
    arms = {
        name: {
            "style": "gogh",
            "style_ratio": 0.5,
            "content_loss": total and total / 2,
            "total": total,
            "seconds": 60.4,
        }
        for name, total in totals.items()
    }
    criterion = {"architecture": "vgg16", "style_layers": ["relu1_2", "relu3_3"], "content_layers": ["relu2_2"]}
    criterion |= {"style_scales": [1.0, 0.5], "style_weight": 1e5, "side": 256}
    return {
        "arms": arms,
        "criterion": {"gogh": criterion},
        "photos": ["a", "b"],
        "git": {"commit": "0123456789", "dirty": False},
        "machine": {"cpu": "a CPU", "threads": 2},
        "date": "2026-01-02",
    }


def test_report_tells_the_best_and_the_differences(tmp_path: Path, capsys) -> None:
    sizes = study.load("style_size")
    with pytest.raises(UserError, match=r"results.json does not exist: .* style_size"):
        report.write(sizes, tmp_path)
    (tmp_path / "results.json").write_text(json.dumps(made_up()))
    begin, end = report.BEGIN.format("style_size"), report.END
    (tmp_path / "README.md").write_text(f"# Title\n\n{begin}\nold\n{end}\nConclusion.\n")
    report.write(sizes, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert "| 256 | **0.5000** (+0 %) | **10.00** (-20 %) | **20.00** (-20 %) | **60** (+0 %) |" in lines
    assert "| 1024 | **0.5000** (+0 %) | – | – | **60** (+0 %) |" in lines
    assert "VGG16 to relu3_3, content at relu2_2, scales 1 and 0.5, style weight 100000. 2026-01-02" in lines[-2]
    readme = (tmp_path / "README.md").read_text()
    assert readme.startswith("# Title\n") and readme.endswith(f"{end}\nConclusion.\n")
    assert "| 256 |" in readme and "old" not in readme
    (tmp_path / "README.md").write_text("# Title\n")
    with pytest.raises(UserError, match="has no place for the table"):
        report.write(sizes, tmp_path)


def test_what_l_bfgs_did_not_reach_is_told_by_its_iterations() -> None:
    sizes, results = study.load("style_size"), made_up()
    sizes.columns = ["equivalence"]
    results["arms"]["256"]["equivalence"] = 41
    assert "| 256 | 41 |" in report.table(sizes, results)
    assert "| 256 | > 40 |" in report.table(sizes, results | {"iterations": 40})


def test_the_best_of_a_style_is_told_and_the_difference_to_the_arm_it_is_compared_with() -> None:
    sizes, results = study.load("style_size"), made_up()
    sizes.columns, sizes.arms["1024"].against = ["images_per_second"], "256"
    speeds = {"256": ("gogh", 2.0), "512": ("gogh", 4.0), "1024": ("hokusai", 3.0)}
    for name, (style, speed) in speeds.items():
        results["arms"][name] |= {"style": style, "images_per_second": speed}
    rows = report.table(sizes, results).splitlines()[2:]
    assert rows == ["| 256 | 2.00 (-50 %) |", "| 512 | **4.00** |", "| 1024 | 3.00 (+50 %) |"]


def test_nothing_is_better_than_0() -> None:
    sizes, results = study.load("style_size"), made_up()
    sizes.columns = ["grid"]
    for name, value in {"256": 0.0, "512": 5.0, "1024": 7.0}.items():
        results["arms"][name]["grid"] = value
    rows = report.table(sizes, results).splitlines()[2:]
    assert [row.split(" | ")[1].split()[0] for row in rows] == ["**0**", "5", "7"]


def test_points_of_a_setting_are_joined_in_its_order_by_style() -> None:
    arms = {"a": ("gogh", 5.0), "b": ("gogh", 1.0), "c": ("munch", 2.0)}
    arms = {name: {"style": of, "settings": {"loss.x": x}, "total": 10 * x} for name, (of, x) in arms.items()}
    series = report._series(arms, "loss.x", "total")
    assert series == {"gogh": [(1.0, 10.0), (5.0, 50.0)], "munch": [(2.0, 20.0)]}


def test_a_jpeg_is_as_good_as_its_size_allows(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (500, 500, 3), dtype=np.uint8)
    size = figures.write_jpeg(tmp_path / "a.jpg", noise, 120_000).stat().st_size
    better = [len(images.encode(noise, ".jpg", quality=quality)) for quality in range(92, 30, -4)]
    assert size == max(length for length in better if length <= 120_000)


def test_the_middle_square_and_bands_of_columns() -> None:
    pixels = np.zeros((40, 100, 3), np.uint8)
    pixels[:, 30:70] = 200
    for middle in (pixels, pixels.transpose(1, 0, 2)):
        assert (images.square(middle, 40) == 200).all()
    pixels[10:30, 40:60] = 90
    assert (images.square(pixels, 20, part=20) == 90).all() and images.square(pixels, 10, part=20).shape == (10, 10, 3)
    columns = [figures.column(name, "", [np.full((20, 30, 3), 10 * n, np.uint8)]) for n, name in enumerate("abcd")]
    sheet = figures.bands(columns, most=3)
    high, wide = columns[0].shape[0], 30 + figures.GAP
    assert sheet.shape == (2 * high, 3 * wide, 3)
    shown = [sheet[row * high + figures.LABEL + 10, column * wide + 10, 0] for row in (0, 1) for column in (0, 1, 2)]
    assert shown == [0, 10, 20, 0, 30, 255]

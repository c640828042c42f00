"""Runs read back from disk and compared: small real runs of both methods and all loggers, folders made by hand."""

import base64
import io
import itertools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from training import run_here, tiny_arguments

from fst import runfolder
from fst.compare import __main__ as command
from fst.compare import page, pictures, reading, table
from fst.config.compose import compose
from fst.config.schema import check
from fst.errors import UserError
from fst.values import leaves

STEPS = 6


def run(folder: Path, arguments: list[str]) -> Path:
    return run_here(folder, arguments)


@pytest.fixture(scope="module")
def parent(tmp_path_factory, tiny_vgg) -> Path:
    """runs/: a network and the baseline with W&B and one photo; the network once more in another style, without."""
    folder = tmp_path_factory.mktemp("compare")
    photo = folder / "bridge.jpg"
    rough = np.random.default_rng(1).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    Image.fromarray(rough).resize((64, 48), Image.Resampling.BICUBIC).save(photo)
    common = {"logger": "wandb", "logger.mode": "offline", "trainer.log_every_n_steps": 1, "style.size": 64}
    changes = {**common, "logger.preview_images": f"[{photo}]"}
    run(folder / "runs" / "0_wandb", tiny_arguments(folder, tiny_vgg, **changes))
    other = folder / "other.png"
    Image.fromarray(rough[::-1].copy()).resize((80, 64)).save(other)
    changes |= {"logger": "none", "style.image": other, "trainer.val_check_interval": 4}
    changes.pop("logger.mode")
    run(folder / "runs" / "1_none", tiny_arguments(folder, tiny_vgg, **changes))
    changes = {**common, "method": "gatys", "content": photo, "method.size": 48, "method.coarsest": "null"}
    kept = [word for word in tiny_arguments(folder, tiny_vgg, **changes) if not word.startswith(("network", "data"))]
    run(folder / "runs" / "10_gatys", [*kept, f"method.iterations={STEPS}"])
    return folder / "runs"


@pytest.fixture(scope="module")
def found(parent) -> dict[str, reading.Run]:
    paths = reading.find([parent])
    return {name: reading.read(path, name) for path, name in zip(paths, command.names(paths), strict=True)}


def of_page(path: Path) -> dict:
    """The data of a written page, found as a browser finds it."""
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', path.read_text(), re.DOTALL)
    return json.loads(data)


def inspected(folder: Path) -> list[dict]:
    (log,) = (folder / "wandb").glob("offline-run-*")
    done = subprocess.run(["wandb", "leet", "inspect", "--json", log], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_run_reads_back_as_it_was_whatever_its_logger(parent, found):
    assert list(found) == ["0_wandb", "1_none", "10_gatys"]
    for name, validated in {"0_wandb": [3, 6], "1_none": [4, 6]}.items():
        run = found[name]
        assert (run.state, run.step, run.total) == ("finished", STEPS, STEPS)
        assert [step for step, _ in run.series["train/loss"]] == list(range(1, STEPS + 1))
        assert [step for step, _ in run.series["val/style_ratio"]] == validated
        assert run.series.keys() == found["0_wandb"].series.keys()
        assert sorted(run.previews["bridge"]) == [1, 2, 5, 6]
        assert 0 < run.clock[-1][1] <= run.seconds < 900
    history = [record["history"]["item"] for record in inspected(parent / "0_wandb") if record["type"] == "history"]
    for metric in ("train/style_loss/relu2_2", "val/content_loss"):
        logged = [(row["trainer/global_step"], pytest.approx(row[metric])) for row in history if metric in row]
        assert found["0_wandb"].series[metric] == logged and len(logged) > 1


def test_both_methods_line_up_in_wandb(parent):
    """Config keys, metric names and preview keys, so that W&B's groups and panels hold runs of both."""
    configs, metrics, kinds = [], [], []
    for name in ("0_wandb", "10_gatys"):
        records = inspected(parent / name)
        (about,) = [record["run"] for record in records if record["type"] == "run"]
        configs.append(dict(leaves(about["config"]["update"])))
        rows = [record["history"]["item"] for record in records if record["type"] == "history"]
        keys = {key for row in rows for key in row}
        media = {key.removesuffix("._type") for key in keys if key.endswith("._type")}
        kinds.append(media)
        metrics.append({key for key in keys if key.startswith(("train/", "val/")) and key.split(".")[0] not in media})
        assert all("trainer/global_step" in row for row in rows)
    network, picture = configs
    groups = ("network.", "data.", "method.", "trainer.")
    assert {k for k in network if not k.startswith(groups)} == {k for k in picture if not k.startswith(groups)}
    assert {k.split(".")[0] for k in picture} <= {k.split(".")[0] for k in network}
    assert {"method.name", "trainer.precision"} <= network.keys() & picture.keys()
    batches = {"train/images_per_second", "train/learning_rate", "train/muon_learning_rate"}  # L-BFGS has none
    batches |= {f"{kind}/stability_loss{end}" for kind in ("train", "val") for end in ("", "_weighted")}
    assert metrics[0] - metrics[1] == batches
    assert metrics[1] - metrics[0] == {"train/evaluations", "train/long_edge"}
    assert {"preview/bridge", "style"} <= kinds[0] & kinds[1]


def test_the_baselines_validation_is_of_its_picture(found, parent, tiny_vgg):
    """From the picture file, by a criterion of the test's own making."""
    import torch

    from fst import images
    from fst.data.paintings import painting
    from fst.methods import parts

    run = found["10_gatys"]
    settings = [f"loss.weights={tiny_vgg}", "loss=vgg16_relu3", "style=custom", "style.size=64"]
    config = check(compose([*settings, f"style.image={parent.parent / 'painting.png'}"]))
    criterion = parts.criterion(config.loss)
    style = criterion.style_target([images.to_tensor(painting(config.style))])
    picture, photo = (
        images.to_tensor(images.read(path)) for path in (run.previews["bridge"][STEPS], run.photos["bridge"])
    )
    with torch.no_grad():
        target = criterion.content_target(photo)
        painted, untouched = (criterion(image, target, style).values for image in (picture, photo))
    assert run.last("val/content_loss") == pytest.approx(painted["content"].item(), rel=0.02)
    assert run.last("val/style_loss") == pytest.approx(painted["style"].item(), rel=0.02)
    assert run.last("val/style_ratio") == pytest.approx((painted["style"] / untouched["style"]).item(), rel=0.02)
    assert [step for step, _ in run.series["val/loss"]] == [STEPS]


def test_the_page_needs_nothing_but_itself(parent, tmp_path, capsys):
    output = tmp_path / "compare.html"
    command.main([str(parent), f"output={output}"])
    printed = capsys.readouterr()
    assert printed.out == f"reading 3 runs\n3 runs, {output.stat().st_size / 1e6:.1f} MB: {output}\n"
    assert printed.err == ""
    text = output.read_text()
    assert not re.search(r"(src|href)=[\"']?(?!data:|#)\w", text) and "@import" not in text
    assert "default-src 'none'" in text and "/* data */" not in text and "page.css */" not in text
    data = of_page(output)
    assert "seed" not in data["settings"] and "loss.architecture" not in data["settings"]
    assert {"method.name", "method.iterations", "style.image"} <= set(data["settings"])
    assert [entry["name"] for entry in data["runs"]] == ["0_wandb", "1_none", "10_gatys"]
    for entry in data["runs"]:
        shown = entry["pictures"]["bridge"]
        assert [step for step, _ in shown] == [1, 2, 5, 6]
        picture = Image.open(io.BytesIO(base64.b64decode(shown[-1][1].split(",")[1])))
        original = Image.open(parent / entry["name"] / "previews/step-000006/bridge.png")
        assert picture.size == original.size, "a small picture is not enlarged"
        difference = np.asarray(picture.convert("L"), float) - np.asarray(original.convert("L"), float)
        assert picture.format == "JPEG" and np.abs(difference).mean() < 6
    paintings = [run["painting"] for run in data["runs"]]
    assert all(paintings) and paintings[0] == paintings[2] != paintings[1]


def fake(name: str, settings: dict, **series: list) -> reading.Run:
    """A run with metrics under readable names: content_loss=[...] is val/content_loss."""
    points = {f"val/{key}": list(enumerate(values, 1)) for key, values in series.items()}
    return reading.Run(Path(name), name, settings, points, [], None, "finished", 9, {}, {})


def test_what_does_not_compare_is_said():
    weights = [fake(name, {"style.name": "gogh", "loss.style_weight": weight}) for name, weight in (("a", 1), ("b", 2))]
    assert table.remarks(table.differing(weights)) == []
    more = [
        *weights,
        fake(
            "c",
            {
                "style.name": "hokusai",
                "loss.style_weight": 1,
                "loss.pooling": "avg",
                "loss.stability_shift": 9,
                "seed": 3,
            },
        ),
    ]
    told = "Losses, but for the reference ones, compare between runs that agree in style.name, loss.pooling."
    assert table.remarks(table.differing(more)) == [told]
    columns, cells = table.results([fake("a", {}, style_loss=[9, 3]), fake("b", {}, content_loss=[1])])
    assert [column.key for column in columns] == ["content", "style", "steps"]
    assert cells == [{"style": 3, "steps": 9}, {"content": 1, "steps": 9}]


def test_results_are_of_validation_of_a_sweeps_job_and_of_the_baseline_its_own():
    runs = [fake("a", {"method.name": name}) for name in ("feedforward", "gatys")]
    for run in runs:
        run.series |= {"train/content_loss": [(1, 7.0), (2, 5.0)]}
        run.series |= {"train/images_per_second": [(1, 1.0), (2, 9.0), (3, 2.0)]}
    runs[0].ended = {"reference/style_loss": 0.25}
    _, cells = table.results(runs)
    assert cells[0] == {"reference style": 0.25, "speed": 2.0, "steps": 9}
    assert cells[1] == {"content": 5.0, "speed": 2.0, "steps": 9}


def test_a_run_is_as_long_as_the_shorter_of_its_limits():
    for limits, total in (((6000, 600), 600), ((100, 600), 100), ((6000, None), 6000), ((None, None), None)):
        assert fake("a", dict(zip(("trainer.max_steps", "method.iterations"), limits, strict=True))).total == total


def test_settings_are_written_as_on_the_command_line():
    values = [1e5, 1.6e5, 0.001, 2e-4, 0.0, float("inf"), 1500, True, None, [1.0, 0.5], ["relu1_2"], "gogh"]
    written = ["1e5", "1.6e5", "0.001", "0.0002", "0", "inf", "1500", "true", "", "[1,0.5]", "[relu1_2]", "gogh"]
    assert [table.text(value) for value in values] == written
    runs = [
        fake("a", {"x": 1, "y": [1], "logger.tags": [1]}),
        fake("b", {"x": 1, "y": [2], "z": None, "logger.tags": []}),
    ]
    assert table.differing(runs) == ["y"]
    assert table.differing([*runs, fake("c", {"x": 1, "y": [1], "z": 3, "run.cpu": "new"})]) == ["y", "z", "run.cpu"]


def test_runs_stand_in_the_order_of_the_numbers_in_their_names(tmp_path):
    """Of digits: a square of two is none, though Python calls it a digit."""
    for name in ("10_a", "2_a", "2²3"):
        (tmp_path / name).mkdir()
        for file in (runfolder.CONFIG, runfolder.RUN):
            (tmp_path / name / file).touch()
    assert [path.name for path in reading.find([tmp_path])] == ["2_a", "2²3", "10_a"]


def test_long_curves_are_averaged_and_keep_their_end():
    points = [(step, float(step % 2)) for step in range(1, 1001)]
    short = page.reduced(points, 100)
    assert len(short) <= 100 and short[-1] == points[-1]
    assert all(abs(value - 0.5) < 0.06 for _, value in short[:-1])
    assert short[0][0] == 11 and short[1][0] == 22, "at the last of the steps that a mean stands for"
    assert page.reduced(points[:100], 100) == points[:100]


def test_slider_stops_are_dense_early():
    steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, *range(1000, 40001, 1000)]
    stops = pictures.spread(steps, 12)
    assert len(stops) == 12 and stops[0] == 1 and stops[-1] == 40000
    assert max(b / a for a, b in itertools.pairwise(stops)) <= 8
    assert pictures.spread([0, 3], 12) == [0, 3]


def test_a_run_under_way_and_broken_folders(parent, tmp_path, capsys):
    going = shutil.copytree(parent / "0_wandb", tmp_path / "going", symlinks=True)
    lines = (going / "metrics.csv").read_text()
    (going / "metrics.csv").write_text(lines[: len(lines) // 2])  # as a run leaves it that is being written
    runfolder.write_state(going, "running")
    broken = shutil.copytree(going, tmp_path / "broken", symlinks=True)
    (broken / "config.yaml").write_text("loss: [")
    (going / "job.json").write_text('{"metrics": {"val/loss": NaN, "val/style_loss": "x", "reference/loss": 3}}')
    assert reading.read(going, "going").ended == {"reference/loss": 3}
    (going / "job.json").write_text('{"metrics": 3}')
    empty = tmp_path / "empty"
    empty.mkdir()
    for name in ("config.yaml", "run.json"):
        (empty / name).write_text('{"x": 1}\n')
    command.main([str(tmp_path), f"output={tmp_path / 'out.html'}"])
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and "broken" in told[0] and "neither metrics.csv nor previews" in told[1]
    data = of_page(tmp_path / "out.html")
    assert [(run["name"], run["state"]) for run in data["runs"]] == [("going", "running")]
    assert 0 < len(data["runs"][0]["series"]["train/loss"][0]) < STEPS
    assert sum(note.startswith("Left out") for note in data["notes"]) == 2
    (going / "job.json").write_text('{"status": "failed", "reason": "no memory"}')
    failed = reading.read(going, "going")
    assert (failed.state, failed.reason) == ("failed", "no memory")


def test_names_and_settings_cannot_break_the_page(tmp_path):
    evil = "</script><script>alert(1)</script><!-- /* page.js */"
    runs = [fake(evil, {"style.image": evil, "x": 1}, style_loss=[1]), fake("b", {"x": 2}, style_loss=[2])]
    text = page.write(tmp_path / "a.html", runs).read_text()
    assert text.count("</script>") == 2 and "<script>alert" not in text
    assert of_page(tmp_path / "a.html")["runs"][0]["name"] == evil


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere does not exist"),
        (["runs/x=1"], "runs/x=1 does not exist"),
        (["."], "no run in ."),
        (["file.txt"], "is a file"),
        ([".", "outptu=a.html"], "there is no setting 'outptu', did you mean 'output'?"),
        ([".", "--out"], "there is no option '--out'"),
        (["output=a.html"], "name a folder"),
        ([".", "output="], "output= needs a value"),
        ([".", "output=a.pdf"], "name an .html file"),
        ([".", "output=folder.html"], "is a folder"),
        ([".", "output=mine.html"], "is no comparison of runs"),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.txt").write_text("")
    (tmp_path / "mine.html").write_text("<p>mine")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        command.main(words)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "mine.html").read_text() == "<p>mine"


def test_the_program_says_how_and_loads_no_torch():
    code = "import sys; from fst.compare import __main__, page; __main__.main(['--help']); "
    code += "assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "output=" in done.stdout
    done = subprocess.run([sys.executable, "-m", "fst.compare", "nowhere"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "error: nowhere does not exist\n")

"""Studies: every arm's config, training that resumes and survives failures, judging by known numbers, the report."""

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from photos import make_photos
from PIL import Image

from fst import stylefile
from fst.config import groups
from fst.config.checks import check
from fst.errors import UserError

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "experiments"))
import study as program  # noqa: E402
from studies import definition, reporting, training  # noqa: E402

# Stands in for train.py: notes what it was called with, and does as the content of `behave` beside it says.
FAKE = """
import signal, sys, time
from pathlib import Path
here = Path(__file__).parent
words = dict(word.split("=", 1) for word in sys.argv[1:])
folder = Path(words.get("resume") or words["hydra.run.dir"])
behave = (here / "behave").read_text()
with (here / "calls").open("a") as calls:
    print(" ".join(sys.argv[1:]), file=calls)
if "fail " + folder.name in behave:
    sys.exit("error: no weights to be had")
if "wait" in behave:
    def stop(number, frame):
        (folder / "saved").write_text("x")
        sys.exit(130)
    signal.signal(signal.SIGINT, stop)
    (folder / "ready").write_text("x")
    time.sleep(30)
print("step 2/4  loss 1.5")
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose train.py is the fake one."""
    (tmp_path / "train.py").write_text(FAKE)
    (tmp_path / "behave").write_text("")
    monkeypatch.setattr(groups, "ROOT", tmp_path)
    return tmp_path


def leave(arm: definition.Arm, runs: Path, steps: int, *, checkpoint: bool = True, **changes: object) -> Path:
    """A run's folder as train.py leaves it after so many steps."""
    from fst.networks import build

    folder = arm.folder(runs)
    config = definition.config_of(arm)
    for key, value in changes.items():
        OmegaConf.update(config, key.replace("__", "."), value)
    network = {"name": "realtime", "widths": [4, 8], "depths": [0, 1]}
    settings = {key: value for key, value in network.items() if key != "name"}
    info = stylefile.StyleInfo("gogh", network["name"], settings, training={"steps": steps})
    stylefile.save(folder / "style.safetensors", build(**network), info)
    plain = {**OmegaConf.to_container(config, resolve=True), "resolved": {"precision": "32-true"}}
    OmegaConf.save(OmegaConf.create(plain), folder / "config.yaml")
    if checkpoint:
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints" / "last.ckpt").write_bytes(b"x")
    return folder


@pytest.mark.parametrize("name", definition.names())
def test_every_arm_is_a_config_that_train_py_takes(name: str) -> None:
    study = definition.load(name)
    assert study.file.reference in study.arms
    seen, styles = [], set()
    for arm in study.arms.values():
        config = definition.config_of(arm)
        config.style.image = None  # a file that comes with fst
        check(config)
        seen.append((arm.overrides, arm.as_long_as))
        styles.add(config.style.name)
    assert len(set(map(str, seen))) == len(seen), "two arms are the same"
    for style in styles:
        judged = definition.judge_config(study, style)
        assert judged.loss.architecture == "vgg16" and list(judged.loss.style_scales) == [1.0, 0.5]
        assert judged.style.name == style and judged.style.image is None
    assert reporting.BEGIN.format(f"{name} report") in (study.folder / "README.md").read_text(encoding="utf-8")


def test_a_shared_arm_is_the_other_studys_run() -> None:
    owner, shared = definition.load("style_weight").arms["gogh-1e5"], definition.load("steps").arms["300"]
    assert shared.folder() == owner.folder() == Path("runs/studies/style_weight/gogh-1e5")
    assert shared.arguments() == owner.arguments() and shared.name == "300"


def test_mistakes_in_a_study_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "EXPERIMENTS", tmp_path)
    texts = {
        "a": "question: x\nreference: one\narms: {two: {}}",
        "b": "question: x\nreference: one\narms: {one: {override: []}}",
        "c": "question: x\nreference: one\narms: {one: {as_long_as: one}}",
    }
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "study.yaml").write_text(text)
    for name, words in {"a": "an arm 'one'", "b": "override", "c": "go together", "d": "no study is called"}.items():
        with pytest.raises(UserError, match=words) as caught:
            definition.load(name)
        assert "\n" not in str(caught.value)


def test_mistakes_on_the_command_line_are_one_line() -> None:
    for words, said in {
        "norm reprot": "'reprot' is nothing to do with a study, did you mean 'report'",
        "nrom": "no study is called 'nrom', did you mean 'norm'",
        "norm run arms=bach": "norm has no arm 'bach', did you mean 'batch'",
        "norm run seed=3": "seed=3 would change every arm of norm",
    }.items():
        with pytest.raises(UserError, match=said) as caught:
            program.main(words.split())
        assert "\n" not in str(caught.value)


def test_training_takes_up_what_is_missing_and_nothing_else(fake: Path, capfd) -> None:
    study = definition.load("style_size")
    runs = fake / "runs"
    leave(study.arms["512"], runs, 300)
    leave(study.arms["256"], runs, 200)
    assert training.train(study, list(study.arms.values()), runs) == []
    calls = (fake / "calls").read_text().splitlines()
    assert calls[0] == f"resume={runs}/style_size/256"
    assert calls[1].startswith("experiment=style_size style.size=1024 ") and len(calls) == 2
    assert f"hydra.run.dir={runs}/style_size/1024" in calls[1]
    output = capfd.readouterr().out
    assert "finished before" in output and "step 2/4  loss 1.5" in output


def test_a_run_of_another_config_is_left_alone(fake: Path, capfd) -> None:
    study = definition.load("style_size")
    leave(study.arms["256"], fake, 300, loss__style_weight=7.0, trainer__val_check_interval=3, seed=0)
    assert training.train(study, [study.arms["256"]], fake) == ["256"]
    assert "was trained with loss.style_weight=7.0 instead of 100000.0: move it away" in capfd.readouterr().out
    assert not (fake / "calls").exists()


def test_an_arm_that_fails_does_not_end_the_study(fake: Path, capfd) -> None:
    (fake / "behave").write_text("fail 256")
    study = definition.load("style_size")
    assert training.train(study, study.chosen(["256", "1024"]), fake / "runs") == ["256"]
    assert "failed: no weights to be had (status 1;" in capfd.readouterr().out
    assert len((fake / "calls").read_text().splitlines()) == 2


def test_ctrl_c_lets_the_arm_save_and_another_process_leaves_it_alone(fake: Path, capfd) -> None:
    (fake / "behave").write_text("wait")
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'experiments')!r})\nimport study\nfrom pathlib import Path\n"
        f"from fst import groups; groups.ROOT = Path({str(fake)!r})\n"
        "with study.one_line_errors(): study.main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, "style_size", "run", f"runs={fake}/runs"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=fake)
    folder = fake / "runs" / "style_size" / "256"
    while not (folder / "ready").exists():
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    study = definition.load("style_size")
    assert training.train(study, study.chosen(["256"]), fake / "runs") == []
    assert "another process is training it" in capfd.readouterr().out
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130 and "interrupted" in output and "Traceback" not in output
    assert (folder / "saved").exists() and len((fake / "calls").read_text().splitlines()) == 1


def test_equal_time_is_steps_at_the_others_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = definition.load("zero_download")
    arm = study.arms["student-equal-time"]
    with pytest.raises(UserError, match="time is that of vgg-photos, which is not finished"):
        training.complete(study, arm, tmp_path)
    for name in ("vgg-photos", "student-photos"):
        leave(study.arms[name], tmp_path, 300)
    monkeypatch.setattr(training, "step_seconds", lambda run: {"vgg-photos": 0.9, "student-photos": 0.2}[run.name])
    made = training.complete(study, arm, tmp_path)
    assert made.arguments()[-1] == "trainer.max_steps=1350"  # 300 steps of 0.9 s are 1350 of 0.2 s
    assert definition.config_of(made).trainer.max_steps == 1350


def test_costs_are_the_known_ones() -> None:
    import torch
    from studies.judging import cost

    from fst.networks import build

    johnson, layer = cost(build("johnson").eval()), cost(torch.nn.Conv2d(3, 8, 5, stride=2, padding=2))
    assert johnson["kmac_per_pixel"] == pytest.approx(153.8, abs=0.1) and johnson["parameters"] == 1_679_235
    assert layer == {"kmac_per_pixel": 3 * 8 * 25 / 4 / 1000, "parameters": 3 * 8 * 25 + 8}


@pytest.fixture
def small_store(tmp_path: Path, tiny_vgg: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with all that a study of gogh asks for, small and random."""
    home = tmp_path / "store"
    make_photos(home / "photos", 3, size=(60, 80))
    make_photos(home / "imagenet-sample" / "train", 12)
    (home / "weights").mkdir()
    shutil.copy(tiny_vgg, home / "weights" / "vgg16_tiny.safetensors")
    (home / "styles").mkdir()
    levels = np.random.default_rng(5).integers(0, 255, (8, 10, 3)).astype(np.uint8)
    Image.fromarray(levels).resize((200, 160)).save(home / "styles" / "starry_night_google.jpg")
    monkeypatch.setenv("FST_HOME", str(home))
    return home


def test_a_network_that_changes_nothing_has_the_photos_own_losses(small_store: Path) -> None:
    import torch
    from studies.criterion import Judge
    from studies.judging import unseen

    judged = Judge(definition.judge_config(definition.load("norm"), "gogh"), unseen(None, 2), ["relu3_3"])
    same = judged.losses(torch.nn.Identity())
    assert same["style_ratio"] == pytest.approx(1) and same["content_loss"] == same["content_relu3_3"] == 0
    assert same["total"] == pytest.approx(1e5 * same["style_loss"], rel=1e-5)
    white = judged.losses(lambda photo: torch.full_like(photo, 3.0))
    assert white == judged.losses(torch.ones_like), "pictures are clipped to [0, 1]"
    assert white["content_loss"] > 0 and white["content_relu3_3"] > 0


def test_a_study_from_command_to_table(small_store: Path, tmp_path: Path, capfd) -> None:
    """Train an arm for real, judge and report it; what is done is not done again."""
    settings = ["trainer.max_steps=2", "data.size=32", "network.widths=[4,8]", "network.depths=[0,1]", "style.size=64"]
    settings += ["data.workers=0", "trainer.val_check_interval=1", "trainer.log_every_n_steps=1", "data.val_images=1"]
    words = ["norm", f"runs={tmp_path}/runs", *settings]
    program.main([*words, "run", "arms=batch"])
    program.main([*words, "run", "judge", "report", "arms=batch"])
    output = capfd.readouterr().out
    assert output.count("python train.py") == 1 and output.count("finished before") == 1
    assert "instance                 not judged: absent" in output
    out = tmp_path / "runs" / "norm"
    results = json.loads((out / "results.json").read_text())
    assert results["photos"] == ["photo000", "photo002", "photo001"]
    assert str(tmp_path) not in (out / "results.json").read_text() and results["criterion"]["gogh"]["side"] == 256
    arm = results["arms"]["batch"]
    assert arm["steps"] == 2 and arm["seconds"] == pytest.approx(2 * arm["step_seconds"]) and arm["total"] > 0
    assert [step for step, _ in arm["curves"]["val/style_ratio"]] == [1, 2]
    assert f"| batch | {arm['style_ratio']:.4f} | {arm['content_loss']:.2f} |" in output
    for name, suffix in (("figure", "jpg"), ("plot", "png")):
        with Image.open(out / f"{name}.{suffix}") as picture:
            assert min(picture.size) > 300 and (out / f"{name}.{suffix}").stat().st_size <= 500_000


def made_up(study: definition.Study) -> dict:
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
    criterion = OmegaConf.to_container(definition.judge_config(study, "gogh").loss) | {"side": 256}
    return {
        "arms": arms,
        "criterion": {"gogh": criterion},
        "photos": ["a", "b"],
        "git": {"commit": "0123456789", "dirty": False},
        "machine": {"cpu": "a CPU", "threads": 2},
        "date": "2026-01-02",
    }


def test_report_tells_the_best_the_differences_and_the_goals(tmp_path: Path, capsys) -> None:
    study = definition.load("style_size")
    goals = [
        definition.GoalEntry("smaller is better", "256", "512", -10),
        definition.GoalEntry("at least so", "512", "256", 20),
        definition.GoalEntry("and large", "1024", "512", 0),
    ]
    study = dataclasses.replace(study, file=dataclasses.replace(study.file, goals=goals))
    with pytest.raises(UserError, match=r"results.json does not exist: .* style_size judge"):
        reporting.report(study, tmp_path)
    (tmp_path / "results.json").write_text(json.dumps(made_up(study)))
    begin, end = reporting.BEGIN.format("style_size report"), reporting.END
    (tmp_path / "README.md").write_text(f"# Title\n\n{begin}\nold\n{end}\nConclusion.\n")
    reporting.report(study, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert "| 256 | **0.5000** (+0 %) | **10.00** (-20 %) | **20.00** (-20 %) | **60** (+0 %) |" in lines
    assert "| 1024 | **0.5000** (+0 %) | – | – | **60** (+0 %) |" in lines
    assert "- smaller is better: **met**, -20.0 % (objective, 256 against 512)" in lines
    assert "- at least so: **missed** by 5.0 points, +25.0 % (objective, 512 against 256)" in lines
    assert "- and large: not measured yet" in lines
    assert "VGG16 to relu3_3, content at relu2_2, scales 1 and 0.5, style weight 100000." in lines[-2]
    readme = (tmp_path / "README.md").read_text()
    assert readme.startswith("# Title\n") and readme.endswith(f"{end}\nConclusion.\n")
    assert "| 256 |" in readme and "old" not in readme
    (tmp_path / "README.md").write_text("# Title\n")
    with pytest.raises(UserError, match="has no place for the table"):
        reporting.report(study, tmp_path)


def test_equivalence_counts_iterations_and_keeps_curves(tmp_path: Path) -> None:
    from studies import judging

    study = definition.load("steps")
    entry = definition.EquivalenceEntry(photos=2, iterations=3)
    study = dataclasses.replace(study, file=dataclasses.replace(study.file, equivalence=entry))
    folder = leave(study.arms["100"], tmp_path, 100)

    asked = []

    class Judged:
        photos = ("a", "b", "c")

        def criterion_facts(self) -> dict:
            return {"style_weight": 1.0}

        def lbfgs(self, photo: str, iterations: int) -> list[float]:
            asked.append(photo)
            return [9.0, 6.0, 4.0, 3.0]

        def total(self, network: object, photo: str) -> float:
            return {"a": 5.0, "b": 1.0}[photo]

    arms: dict[str, dict] = {"100": {}}
    curves = judging.equivalences(study, {"100": folder}, {"gogh": Judged()}, arms, {})
    assert arms["100"] == {"equivalence": 3.0, "equivalence_range": [2, 4]}, "2 iterations, and more than 3"
    assert asked == ["a", "b"]
    earlier = {"criterion": {"gogh": {"style_weight": 1.0}}, "lbfgs": curves}
    assert judging.equivalences(study, {"100": folder}, {"gogh": Judged()}, arms, earlier) == curves
    assert asked == ["a", "b"], "nothing was optimised again"
    judging.equivalences(study, {"100": folder}, {"gogh": Judged()}, arms, {**earlier, "criterion": {}})
    assert asked == ["a", "b"] * 2

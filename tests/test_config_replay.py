"""resume= and rerun=: the config of then with every `auto` decided, and what is given now on top; damage in a line."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from test_gatys_runs import arguments as gatys_arguments
from test_gatys_runs import pictures  # noqa: F401  a fixture
from training import run_here, tiny_arguments, train_here, weights

from fst.config import commandline, replay
from fst.config.compose import composed
from fst.config.schema import check
from fst.errors import UserError
from fst.launch import launch
from fst.methods.run import run
from fst.runfolder import CHECKPOINT, CONFIG, RUN, read_metrics


def config(*arguments: str) -> DictConfig:
    """What `train.py resume=...` or `rerun=...` is composed to."""
    given = replay.located(commandline.arranged(list(arguments))[1])
    found = composed([*replay.earlier(given), *given])
    if found.resume:
        replay.check_fit(found)
    return found


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory, tiny_vgg: Path) -> Path:
    """A finished run, `auto` left to choose data, precision and compilation."""
    folder = tmp_path_factory.mktemp("earlier")
    changes = {"trainer__max_steps": 3, "trainer__val_check_interval": 3, "trainer__log_every_n_steps": 1, "seed": 7}
    changes |= {"loss__style_weight": 2e4, "method__schedule": "cosine", "loss__style_layers": "[relu1_2,relu3_3]"}
    arguments = [*tiny_arguments(folder, tiny_vgg, **changes), "logger.notes=it's a 'test', {x}"]
    arguments = [a for a in arguments if not a.startswith(("trainer.precision", "compile"))]
    return run_here(folder / "run", arguments)


def test_the_same_losses_to_the_last_bit(earlier: Path, tmp_path: Path) -> None:
    new = tmp_path / "run"
    run(check(config(f"rerun={earlier}")), new)
    then, now = (read_metrics(folder) for folder in (earlier, new))
    losses = [key for key in then if "loss" in key or "gradient" in key]
    assert len(losses) >= 12 and "val/style_ratio" in then
    assert {key: then[key] for key in losses} == {key: now[key] for key in losses}
    expected, found = weights(earlier), weights(new)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    settings = [OmegaConf.load(run / "config.yaml") for run in (earlier, new)]
    assert settings[1].pop("rerun") == str(earlier) and settings[0].pop("rerun") is None
    assert "auto" not in (settings[0].trainer.precision, settings[0].compile, settings[0].data.name)
    assert settings[0] == settings[1]


def test_from_the_command_line_in_a_new_folder_with_a_warning(earlier: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(earlier, old)
    facts = json.loads((old / "run.json").read_text())
    facts["packages"]["torch"], facts["git"] = "1.0", {"commit": "0123456789abcdef", "dirty": True}
    (old / "run.json").write_text(json.dumps(facts))
    more = ("loss.style_weight=3e4", "trainer.max_steps=1", "logger=none")
    status, _, errors = train_here(tmp_path, "rerun=old", *more)
    assert status == 0, errors
    warned = [line for line in errors.splitlines() if line.startswith("rerun: ")]
    assert any(line.startswith("rerun: torch was 1.0, is ") for line in warned), errors
    assert any("commit was 0123456789, is " in line for line in warned) == bool(_commit())
    assert any("old/changes.patch" in line for line in warned)
    [new] = (tmp_path / "runs").iterdir()
    made = OmegaConf.load(new / "config.yaml")
    assert (made.loss.style_weight, made.trainer.max_steps, made.logger.name, made.rerun) == (3e4, 1, "none", "old")
    assert made.seed == 7 and made.network.widths == [4, 8] and made.logger.notes == "it's a 'test', {x}"


def test_a_gatys_run_too(pictures: Path, tiny_vgg: Path, tmp_path: Path) -> None:  # noqa: F811
    old = run_here(tmp_path / "old", gatys_arguments(pictures, tiny_vgg, "method.init=noise", "method.iterations=3"))
    new = tmp_path / "new"
    run(check(config(f"rerun={old}", "logger=none")), new)
    then, now = (read_metrics(run) for run in (old, new))
    losses = [key for key in then if "loss" in key]
    assert losses and {key: then[key] for key in losses} == {key: now[key] for key in losses}
    names = [run / "photo-art.png" for run in (old, new)]
    assert names[0].read_bytes() == names[1].read_bytes()


def test_what_is_given_wins(earlier: Path) -> None:
    found = config(f"rerun={earlier}", "network=johnson", "loss=vgg16_relu3", "seed=3")
    assert found.network.name == "johnson" and found.network.depth == 5
    assert list(found.loss.style_layers) == ["relu1_2", "relu2_2", "relu3_3"] and found.loss.style_weight == 2e4
    assert found.seed == 3 and found.data.batch_size == 2 and found.method.schedule == "cosine"
    assert config(f"rerun={earlier}", "style=gogh").style.size == 512


def test_a_choice_leaves_nothing_of_what_it_replaces(earlier: Path, tmp_path: Path) -> None:
    folder = _copy(earlier, tmp_path)
    saved = OmegaConf.load(folder / "config.yaml")
    saved.loss.architecture, saved.loss.weights = "vgg16_small", "BUNDLED"
    OmegaConf.save(saved, folder / "config.yaml")
    for loss in ("vgg16", "vgg16_relu3"):
        found = config(f"rerun={folder}", f"loss={loss}").loss
        assert (found.architecture, found.weights) == ("vgg16", "IMAGENET1K_FEATURES")
    found, fresh = config(f"rerun={folder}", "method=adapt"), config("method=adapt")
    assert (found.method, found.network, found.loss.style_weight) == (fresh.method, fresh.network, "auto")
    assert (found.loss.checkerboard_weight, found.trainer.max_steps) == (3000, 250)
    assert found.data.batch_size == 2  # of which method=adapt says nothing


def test_an_earlier_run_is_swept_over(earlier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    seen = []

    def task(job: DictConfig, *, reference: bool) -> dict[str, float]:
        seen.append((job.style.name, job.style.size, job.loss.style_weight, job.seed))
        return {}

    launch(task, ["-m", f"rerun={earlier}", "loss.style_weight=1e4,1e5", "style=gogh,munch"])
    assert seen == [("gogh", 512, 1e4, 7), ("munch", 512, 1e4, 7), ("gogh", 512, 1e5, 7), ("munch", 512, 1e5, 7)]


def test_the_defaults_of_then_count(earlier: Path, tmp_path: Path) -> None:
    """As if fst's default learning rate and paths had been others when it was run."""
    folder = _copy(earlier, tmp_path)
    saved = OmegaConf.load(folder / "config.yaml")
    saved.method.learning_rate, saved.data.flip, saved.style.image = 5e-4, False, "painting.png"
    saved.style.name, saved.data.name = "a-style-of-mine", "procedural"
    OmegaConf.save(saved, folder / "config.yaml")
    del saved.loss.stability_weight  # a term that was not there
    OmegaConf.save(saved, folder / "config.yaml")
    facts = json.loads((folder / "run.json").read_text())
    facts["folder"] = str(earlier.parent)
    (folder / "run.json").write_text(json.dumps(facts))
    found = config(f"rerun={folder}")
    assert found.loss.stability_weight == 0
    assert config(f"rerun={folder}", "loss.stability_weight=3").loss.stability_weight == 3
    assert (found.method.learning_rate, found.data.flip, found.data.name) == (5e-4, False, "procedural")
    assert (found.style.name, found.style.image) == ("a-style-of-mine", str(earlier.parent / "painting.png"))


def test_last_is_the_run_of_the_newest_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for age, name in enumerate(("a", "b,c", "d")):
        file = Path("runs", name) / CHECKPOINT
        file.parent.mkdir(parents=True)
        file.touch()
        os.utime(file, (1e9, 1e9 + age % 2))
    assert replay.located(["seed=1", "resume=last"]) == ["seed=1", "resume='runs/b,c'"]
    assert replay.located(["seed=1"]) == ["seed=1"]


@pytest.mark.parametrize(
    ("damage", "arguments", "said"),
    [
        ("rm run.json", "", "is no run folder: one holds config.yaml and run.json"),
        ("rm .", "", "is no run folder"),
        ("config.yaml={", "", "config.yaml is damaged: "),
        ("config.yaml=", "", "config.yaml is damaged: it holds no settings"),
        ("config.yaml=[1]", "", "config.yaml is damaged: "),
        pytest.param(f"config.yaml=[{'7, ' * 50_000}]", "", "it has 150002 bytes", id="a config of 150 kB"),
        ("config.yaml=style: 3", "", "config.yaml is damaged: it is no config of a run"),
        ("network=null", "", "config.yaml is damaged: it is no config of a run"),
        ("run.json=\x00\xff", "", "run.json is damaged: "),
        pytest.param(f"run.json={'[' * 100_000}", "", "run.json is damaged: ", id="a deep run.json"),
        ("loss.gamma=2", "", "config.yaml does not fit this version of fst: there is no setting 'loss.gamma'"),
        ("speed=2", "", "config.yaml does not fit this version of fst: there is no setting 'speed'"),
        ("network.name=vast", "", "the earlier run had network=vast, which no longer exists"),
        ("loss.tv_weight=heavy", "", "loss.tv_weight is 'heavy', but it must be a number"),
        ("", "resume=last", "rerun= starts a run anew"),
        ("", "experiment=quickstart", "leave it out"),
        ("", "rerun=/nowhere", "/nowhere is no run folder"),
    ],
)
def test_damage_is_a_line(earlier: Path, tmp_path: Path, damage: str, arguments: str, said: str) -> None:
    folder = _copy(earlier, tmp_path)
    what, _, content = damage.partition("=")
    if damage == "rm .":
        shutil.rmtree(folder)
    elif damage.startswith("rm "):
        (folder / damage[3:]).unlink()
    elif what in (CONFIG, RUN):
        (folder / what).write_text(content, encoding="latin-1")
    elif damage:
        saved = OmegaConf.load(folder / "config.yaml")
        OmegaConf.update(saved, what, content)
        OmegaConf.save(saved, folder / "config.yaml")
    with pytest.raises(UserError) as error:
        config(f"rerun={folder}", *arguments.split())
    assert said in str(error.value) and "\n" not in str(error.value)


def test_every_auto_stays_decided_when_a_run_goes_on(earlier: Path, tmp_path: Path) -> None:
    """As if another machine, another store and another version had decided in the earlier run."""
    folder = _with_checkpoint(_copy(earlier, tmp_path))
    saved = OmegaConf.load(folder / CONFIG)
    saved.trainer.precision, saved.compile, saved.data.name = "bf16-mixed", True, "procedural"
    saved.loss.style_weight, saved.style.image = 12345.0, str(earlier.parent / "painting.png")  # of auto, of a swatch
    saved.logger.run_name = "the first"
    OmegaConf.save(saved, folder / CONFIG)
    for word in (f"resume={folder}", f"rerun={folder}", f"resume={folder / CHECKPOINT}"):
        found = config(word, "trainer.max_steps=9")
        assert (found.trainer.precision, found.compile, found.data.name) == ("bf16-mixed", True, "procedural")
        assert (found.loss.style_weight, found.style.image) == (12345.0, str(earlier.parent / "painting.png"))
        assert (found.trainer.max_steps, found.trainer.accelerator) == (9, "cpu")
        assert found.logger.run_name == (None if word.startswith("rerun") else "the first")
    assert config(f"resume={folder}", "compile=false").compile is False


def test_a_run_goes_on_from_another_folder_with_its_relative_files(tmp_path: Path, tiny_vgg: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir(), here.mkdir()
    arguments = tiny_arguments(there, tiny_vgg, style__image="painting.png", data__root="photos", trainer__max_steps=2)
    arguments += ["hydra.run.dir=mine", "content=photos/000.jpg", f"logger.preview_images=[{_photo(there)}]"]
    arguments = [a.replace("photos/000.jpg", _photo(there)) for a in arguments]
    assert train_here(there, *[a for a in arguments if not a.startswith(("trainer.precision", "compile"))])[0] == 0
    then = OmegaConf.load(there / "mine" / CONFIG)
    for steps in (3, 4):  # twice: the second finds what the first has written
        status, _, errors = train_here(here, "resume=../there/mine", f"trainer.max_steps={steps}")
        assert status == 0, errors
        assert torch.load(there / "mine" / CHECKPOINT, weights_only=False)["global_step"] == steps
    now = OmegaConf.load(there / "mine" / CONFIG)
    assert now.style.image == str(there / "painting.png") and now.data.root == str(there / "photos")
    assert "auto" != now.trainer.precision == then.trainer.precision and now.compile == then.compile
    assert not (here / "runs").exists()


@pytest.mark.parametrize(
    "given",
    [
        "network=johnson",
        "network.norm=batch",
        "method=gatys content=x",
        "method.schedule=constant",
        "method.learning_rate=1",
        "method.optimizer=adam",
    ],
)
def test_what_does_not_fit_the_checkpoint_is_refused_before_anything_is_touched(
    earlier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    folder = _with_checkpoint(_copy(earlier, tmp_path))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    given = given.replace("content=x", f"content={earlier.parent / 'painting.png'}")
    with pytest.raises(UserError) as error:
        launch(lambda config: pytest.fail("it ran"), [f"resume={folder}", *given.split()])
    key = given.partition("=")[0]
    assert re.search(
        rf"the checkpoint in .* was made with {key}=.* and does not fit {re.escape(given.split()[0])}", str(error.value)
    )
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("given", ["warmup_steps=9", "margin=0", "noise=1", "init_from=null"])
def test_what_a_checkpoint_holds_nothing_of_may_change(earlier: Path, tmp_path: Path, given: str) -> None:
    folder = _with_checkpoint(_copy(earlier, tmp_path))
    config(f"resume={folder}", f"method.{given}")


def test_of_a_gatys_run_how_long_and_what_is_shown_may_change(
    pictures: Path,  # noqa: F811
    tiny_vgg: Path,
    tmp_path: Path,
) -> None:
    run = run_here(tmp_path / "run", gatys_arguments(pictures, tiny_vgg, "method.iterations=2"))
    config(f"resume={run}", "method.iterations=3", "method.init=noise", "method.animation=[gif]")
    for refused in ("history=5", "coarsest=32", "learning_rate=0.5", "optimizer=adam", "size=40", "colors=match"):
        with pytest.raises(UserError, match=f"does not fit method.{refused}: leave"):
            config(f"resume={run}", f"method.{refused}")


def test_another_photo_is_another_run_of_the_baseline_alone(
    earlier: Path,
    pictures: Path,  # noqa: F811
    tiny_vgg: Path,
    tmp_path: Path,
) -> None:
    """A sweep that goes on would else take one photo's picture for another's."""
    other = str(pictures / "painting.png")
    words = gatys_arguments(pictures, tiny_vgg, "method.iterations=1")
    run = run_here(tmp_path / "run", words)
    assert replay.difference(run, config(*words)) is None
    assert "content=" in replay.difference(run, config(*words, f"content={other}"))
    assert replay.difference(earlier, config(f"rerun={earlier}", f"content={other}")) is None


def test_a_folder_keeps_its_run(earlier: Path, tmp_path: Path) -> None:
    """A run that begins there would write over it; one that goes on has its own."""
    folder = _with_checkpoint(_copy(earlier, tmp_path))
    for words, said in (
        (f"hydra.run.dir={folder}", f"{folder} holds a run: go on with it by resume="),
        ("hydra.run.dir=", "hydra.run.dir= is empty"),
        (f"resume={folder} hydra.run.dir={tmp_path / 'other'}", "in its own folder: leave out hydra.run.dir"),
    ):
        with pytest.raises(UserError, match=said):
            launch(lambda config: pytest.fail("it ran"), words.split())


def test_two_runs_that_start_in_one_second_have_a_folder_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = []
    monkeypatch.setattr("fst.launch.Path", lambda path: Path(path).with_name("now"))
    for _ in range(2):
        launch(lambda config: made.append(HydraConfig.get().runtime.output_dir), [])
    assert [Path(folder).name for folder in made] == ["now_gogh_1e5", "now_gogh_1e5-2"]


def test_differences_are_named(earlier: Path) -> None:
    now = json.loads((earlier / "run.json").read_text())
    now["git"] = then_git = {"commit": "a" * 40, "branch": "main", "dirty": False}
    run = earlier.parent / "same"
    run.mkdir()
    shutil.copy(earlier / "config.yaml", run)
    (run / "run.json").write_text(json.dumps(now))
    assert replay.differences(run, now) == []
    (run / "run.json").write_text(
        json.dumps(now | {"gpus": [{"name": "H200", "bytes": 8}]})
    )  # as runs were written before
    assert replay.differences(run, now | {"gpus": ["H200"]}) == []
    (run / "run.json").write_text(json.dumps(now))
    other = json.loads(json.dumps(now))
    other["git"] = {**then_git, "commit": "b" * 40, "dirty": True}
    other["packages"]["numpy"], other["threads"], other["python"] = "9.9", 77, "4.0"
    other["cpu"]["model"], other["gpus"] = "an abacus", ["H200"]
    lines = replay.differences(run, other)
    assert lines[0] == "commit was aaaaaaaaaa, is bbbbbbbbbb" and "the checkout has uncommitted changes" in lines
    text = "\n".join(lines)
    for words in ("python was 3.", "is 4.0", "numpy was", "is an abacus", "is 77", "GPUs was [], is ['H200']"):
        assert words in text
    assert len(lines) == 7


@pytest.mark.parametrize("wrong", [{"packages": 3}, {"git": "x"}, {"cpu": [1]}, {"gpus": [{}]}, {"threads": {}}])
def test_a_record_of_wrong_types_is_compared(earlier: Path, tmp_path: Path, wrong: dict) -> None:
    folder = _copy(earlier, tmp_path)
    now = json.loads((folder / RUN).read_text())
    (folder / RUN).write_text(json.dumps(now | wrong))
    assert len(replay.differences(folder, now)) < 12


def _copy(earlier: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in (CONFIG, RUN):
        shutil.copy(earlier / name, folder)
    return folder


def _with_checkpoint(folder: Path) -> Path:
    (folder / CHECKPOINT).parent.mkdir()
    (folder / CHECKPOINT).touch()
    return folder


def _photo(folder: Path) -> str:
    return str(sorted((folder / "photos").rglob("*.*"))[0].relative_to(folder))


def _commit() -> str | None:
    from fst.tracking.metadata import git_state

    return (git_state() or {}).get("commit")

"""Sweeps: one group, readable names, failures in a line, a summary; parallel jobs, a cluster's jobs, Optuna."""

import contextlib
import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
import sweep_program
import torch
import yaml
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, OmegaConf
from photos import make_photos
from test_tracking import inspect, of_type
from training import here, run_here, tiny_arguments, train_here

from fst.config import groups
from fst.config.compose import compose, composed
from fst.config.schema import check
from fst.errors import UserError
from fst.launch import launch
from fst.runfolder import CHECKPOINT, CONFIG, METRICS, read_metrics
from fst.sweep import job, search, summary
from fst.sweep import run as sweep_run

PROGRAM = Path(__file__).with_name("sweep_program.py")
TRAIN = Path(__file__).resolve().parents[1] / "train.py"


def sweep(folder: Path, *arguments: str, program: Path = PROGRAM, timeout: float = 280) -> tuple[int, str, str]:
    """Exit status, output and errors of a multirun in a folder, on the CPU."""
    given = [sys.executable, str(program), "-m", "trainer=cpu", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(groups.ROOT)}
    ran = subprocess.run(given, cwd=folder, capture_output=True, text=True, timeout=timeout, env=environment)
    assert "Traceback" not in ran.stdout + ran.stderr and "HYDRA_FULL_ERROR" not in ran.stdout + ran.stderr
    return ran.returncode, ran.stdout, ran.stderr


def sweep_here(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """The same in this process."""
    return here(folder, sweep_program.main, "-m", "trainer=cpu", *arguments)


def rows(folder: Path) -> list[dict[str, str]]:
    [file] = folder.glob("runs/*_sweep/summary.csv")
    with file.open() as lines:
        return list(csv.DictReader(lines))


def test_real_jobs_are_one_group_and_each_is_as_if_alone(tmp_path: Path, tiny_vgg: Path) -> None:
    changes = {
        "trainer__max_steps": 4,
        "trainer__val_check_interval": 2,
        "trainer__log_every_n_steps": 1,
        "logger": "wandb",
    }
    arguments = [*tiny_arguments(tmp_path, tiny_vgg, **changes), "logger.mode=offline", "logger.preview_count=0"]
    status, said, errors = sweep(tmp_path, *arguments, "method.learning_rate=1e30,2e-3", program=TRAIN)
    assert status == 1
    found = rows(tmp_path)
    assert [row["status"] for row in found] == ["failed", "done"]
    assert [row["method.learning_rate"] for row in found] == ["1e+30", "0.002"]
    assert "is not finite" in found[0]["reason"] and not found[1]["reason"]
    assert [line[:14] for line in errors.splitlines()] == ["job 1 failed: "]
    [folder] = (tmp_path / "runs").glob("*_sweep")
    assert f"1 of 2 jobs done; summary  runs/{folder.name}/summary.csv" in said
    described = [of_type(inspect(file), "run")[0] for file in sorted(folder.glob("*/wandb/*run-*/*.wandb"))]
    assert [run["display_name"] for run in described] == ["learning_rate=1e30", "learning_rate=0.002"]
    assert {run["run_group"] for run in described} == {folder.name}

    alone = run_here(tmp_path / "alone", [*arguments, "method.learning_rate=2e-3"])
    metrics = read_metrics(alone)
    for key in ("train/loss", "val/content_loss", "val/style_loss", "train/gradient_norm"):
        assert float(found[1][key]) == pytest.approx(metrics[key], rel=1e-6), key


def test_every_way_to_fail_is_a_line_and_the_rest_goes_on(tmp_path: Path) -> None:
    status, said, errors = sweep_here(tmp_path, "seed=1,13,14,2", "logger.group=mine")
    assert status == 1
    user_mistake, bug = errors.splitlines()
    assert user_mistake == "job 2 failed: seed 13 is unlucky: choose another"
    assert re.fullmatch(r"job 3 failed: RuntimeError: a bug   \(runs/\S+/traceback\.txt\)", bug)
    assert [row["status"] for row in rows(tmp_path)] == ["done", "failed", "failed", "done"]
    [trace] = tmp_path.rglob("traceback.txt")
    assert trace.parent.name.startswith("3_") and "with details" in trace.read_text()
    assert "job 4 of 4: seed=2" in said and "2 of 4 jobs done" in said


def test_a_killed_sweep_goes_on_and_does_nothing_twice(tmp_path: Path, tiny_vgg: Path) -> None:
    changes = {"trainer__max_steps": 3000, "trainer__val_check_interval": 3000, "trainer__checkpoint_every_n_steps": 2}
    arguments = [*tiny_arguments(tmp_path, tiny_vgg, **changes), "logger.preview_count=0", "hydra.sweep.dir=mine"]
    begun = tmp_path / "mine/2_painting_2e5"
    running = subprocess.Popen(
        [sys.executable, str(TRAIN), "-m", *arguments, "trainer.max_steps=2,3000", "loss.style_weight=2e5"],
        cwd=tmp_path, stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    _wait_for(lambda: (begun / CHECKPOINT).is_file(), running)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait(60)
    first = (tmp_path / "mine/1_painting_2e5" / METRICS).read_bytes()
    step = torch.load(begun / CHECKPOINT, weights_only=False)["global_step"]
    config = OmegaConf.load(begun / CONFIG)
    config.trainer.max_steps = step + 2  # or the test would take its time
    OmegaConf.save(config, begun / CONFIG)
    refused = train_here(tmp_path, "resume=mine", "seed=3")
    assert refused == (1, "", "error: resume=mine goes on with a sweep as it was: leave out seed=3\n")
    command = json.loads((tmp_path / "mine/sweep.json").read_text())
    inside = train_here(tmp_path / "mine", "style=gogh", "trainer.max_steps=0")  # where sweep.json lies
    assert inside == (1, "", "error: trainer.max_steps is 0, but it must be at least 1\n")
    command["overrides"] = [o.replace("2,3000", f"2,{step + 2}") for o in command["overrides"]]
    (tmp_path / "mine/sweep.json").write_text(json.dumps(command))
    status, said, errors = train_here(tmp_path, "resume=mine")
    assert status == 0, said + errors
    assert "job 1 of 2 is done: mine/1_painting_2e5" in said and "2 of 2 jobs done" in said
    assert (tmp_path / "mine/1_painting_2e5" / METRICS).read_bytes() == first
    assert torch.load(begun / CHECKPOINT, weights_only=False)["global_step"] == step + 2


def test_begun_and_new_jobs_are_started_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a parallel sweep which goes on runs both side by side."""
    monkeypatch.chdir(tmp_path)
    begun = Path("mine/1_gogh_1e5")
    (begun / CHECKPOINT).parent.mkdir(parents=True)
    (begun / CHECKPOINT).touch()
    (begun / "run.json").write_text('{"folder": "."}')
    (begun / "job.json").write_text('{"job": 1, "overrides": ["seed=1"], "status": "stopped", "seconds": 60}')
    OmegaConf.save(compose(["seed=1", "loss.tv_weight=2"]), begun / CONFIG)
    launchers, seen, made = [], [], Plugins.instantiate_launcher

    def counted(plugins: Plugins, **how: object) -> object:
        launchers.append(made(plugins, **how))
        return launchers[-1]

    def task(config: DictConfig, **_: bool) -> dict[str, float]:
        seen.append((config.resume, config.seed, config.loss.tv_weight, config.logger.run_name))
        return {}

    monkeypatch.setattr(Plugins, "instantiate_launcher", counted)
    Path("mine/.stop").touch()  # of a sweep that was stopped, and then killed
    launch(task, ["-m", "seed=1,2", "loss.tv_weight=2", "hydra.sweep.dir=mine"])
    assert len(launchers) == 1 and seen == [(str(begun), 1, 2, None), (None, 2, 2, "seed=2")]
    ended = json.loads((begun / "job.json").read_text())
    assert ended["overrides"] == ["seed=1"] and ended["seconds"] >= 60, "the time of both starts"


def test_a_studys_arms_are_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, said, errors = sweep_here(tmp_path, "experiment=norm", "seed=1,2")
    assert status == 0 and not errors and "4 of 4 jobs done" in said
    places = ["instance_seed=1", "instance_seed=2", "batch_seed=1", "batch_seed=2"]
    jobs = [json.loads((tmp_path / "runs/studies/norm" / place / "job.json").read_text()) for place in places]
    assert [job["overrides"] for job in jobs[2:]] == [["arm=batch", "seed=1"], ["arm=batch", "seed=2"]]
    assert (tmp_path / "runs/studies/norm/summary.csv").is_file()
    sweep_here(tmp_path, "experiment=norm", "hydra.sweep.dir=my/own")
    assert sorted(path.name for path in (tmp_path / "my/own").iterdir() if path.is_dir()) == ["batch", "instance"]
    assert not (tmp_path / "my/norm").exists()
    _, said, _ = sweep_here(tmp_path, "experiment=norm", "seed=1,2,3", "arm=batch")
    assert said.count("is done: runs/studies/norm/batch_seed=") == 2 and "job 3 of 3: arm=batch seed=3" in said

    monkeypatch.chdir(tmp_path)
    seen: list[tuple[str, str]] = []
    launch(lambda config: seen.append((config.arm, config.network.norm)), ["experiment=norm", "arm=batch"])
    assert seen == [("batch", "batch")]
    folder = tmp_path / "runs/studies/norm/batch_seed=9"
    folder.mkdir()
    (folder / "run.json").write_text('{"folder": "."}')
    OmegaConf.save(compose(["experiment=norm", "arm=batch", "network.norm=instance", "seed=9"]), folder / "config.yaml")
    with pytest.raises(UserError, match=r"trained with network\.norm=instance instead of batch: move it away"):
        launch(lambda config: None, ["-m", "experiment=norm", "arm=batch", "seed=9,10"])
    for arguments, words in {"arm=bach": "no arm 'bach', did you mean 'batch'", "arm=batch,instance": "add -m"}.items():
        with pytest.raises(UserError, match=words):
            launch(lambda config: None, ["experiment=norm", arguments])


def test_one_program_works_on_a_sweep_and_ctrl_c_keeps_what_it_has_done(tmp_path: Path) -> None:
    command = [sys.executable, str(PROGRAM), "-m", "trainer=cpu", "seed=1,16,2"]
    environment = {**os.environ, "PYTHONPATH": str(groups.ROOT)}
    with _default_interrupt():
        running = subprocess.Popen(
            command, cwd=tmp_path, text=True, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    _wait_for(lambda: list(tmp_path.rglob("waiting")), running)
    [file] = tmp_path.rglob("waiting")
    status, _, errors = sweep_here(tmp_path, "seed=1,16,2", f"hydra.sweep.dir={file.parents[1]}")
    assert (status, errors.count("\n")) == (1, 1) and "another process trains in" in errors
    assert json.loads(file.with_name("job.json").read_text())["status"] == "running"
    running.send_signal(signal.SIGINT)
    said, errors = running.communicate(timeout=60)
    assert running.returncode == 130 and not errors
    assert [row["status"] for row in rows(tmp_path)] == ["done", "stopped"]
    assert "1 of 3 jobs done" in said
    assert said.endswith(f"go on with:  python train.py resume={file.parents[1].relative_to(tmp_path)}\n")


def test_parallel_jobs_share_the_machine_and_write_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # which the tests' own workers have
    status, said, errors = sweep(tmp_path, "hydra/launcher=joblib", "seed=1,13,3,4")
    assert status == 1 and errors == "job 2 failed: seed 13 is unlucky: choose another\n"
    found = rows(tmp_path)
    assert [row["status"] for row in found] == ["done", "failed", "done", "done"]
    assert 1 <= len({row["process"] for row in found if row["process"]}) <= 2
    cores = len(os.sched_getaffinity(0))
    assert {row["workers"] for row in found if row["workers"]} == {str(float(max(1, cores // 4)))}
    assert {float(row["threads"]) for row in found if row["threads"]} == {max(1, cores // 2)}
    assert "the job's own line" not in said and "job 3 done" in said
    assert len([file for file in tmp_path.rglob("output.txt") if "own line" in file.read_text()]) == 3


def test_ctrl_c_waits_for_parallel_jobs(tmp_path: Path) -> None:
    command = [sys.executable, str(PROGRAM), "-m", "trainer=cpu", "hydra/launcher=joblib", "seed=16,range(17,40)"]
    command[-1] = "seed=16,17,18,16,19,20,21,22"
    environment = {**os.environ, "PYTHONPATH": str(groups.ROOT)}
    with _default_interrupt():
        running = subprocess.Popen(
            command,
            cwd=tmp_path,
            text=True,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    _wait_for(lambda: len(list(tmp_path.rglob("waiting"))) == 2, running)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does it
    said, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    assert [row["status"] for row in rows(tmp_path)] == ["stopped", "done", "done", "stopped"]
    assert "no more jobs" in said and "2 of 8 jobs done" in said and "Traceback" not in errors


def test_a_job_whose_process_dies_is_in_the_summary(tmp_path: Path) -> None:
    status, said, errors = sweep(tmp_path, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=1,15")
    assert status == 1 and "error: the sweep ended early: TerminatedWorkerError" in errors
    statuses = [row["status"] for row in rows(tmp_path)]
    # The other job, whichever it is, may have ended before its pool did.
    assert sorted(statuses) in (["done", "lost"], ["lost"], ["lost", "lost"])
    assert f"{statuses.count('done')} of 2 jobs done" in said


def test_a_clusters_jobs_by_submitits_local_executor(tmp_path: Path) -> None:
    status, said, errors = sweep(tmp_path, "hydra/launcher=submitit_local", "hydra.launcher.timeout_min=2", "seed=1,13")
    assert status == 1 and [row["status"] for row in rows(tmp_path)] == ["done", "failed"]
    assert "seed 13 is unlucky" in said and not errors
    logs = "".join(file.read_text() for file in tmp_path.rglob("*_log.out"))
    assert "the job's own line" in logs


def test_optuna_finds_the_front_and_goes_on_from_its_study(tmp_path: Path) -> None:
    space = ["hydra/sweeper=optuna", "loss.style_weight=tag(log,interval(1e3,1e7))", "seed=choice(1,2,13)"]
    space += ["loss.content_layers=choice([relu2_2],[relu3_3])", "hydra.sweeper.study_name=mine"]
    first = ["hydra.sweeper.n_trials=3", "hydra.sweep.dir=runs/a_sweep", *space]
    _, said, errors = sweep(tmp_path, *first)
    assert not re.search("warn|Warning", errors, re.I), errors
    study = optuna.load_study(study_name="mine", storage=f"sqlite:///{tmp_path}/runs/search.db")
    complete = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    assert len(study.trials) == 3 and study.directions == [optuna.study.StudyDirection.MINIMIZE] * 2
    for trial in complete:
        weight = trial.params["loss.style_weight"]
        assert trial.values == pytest.approx([0.1 * weight, 1 / weight])
        assert trial.params["loss.content_layers"] in ("[relu2_2]", "[relu3_3]")
    assert ("* no other job is better in both losses" in said) == bool(complete)
    assert ("reference/style_loss" in (tmp_path / "runs/a_sweep/summary.csv").read_text()) == bool(complete)

    goal = len(complete) + 2
    _, said, errors = sweep_here(tmp_path, f"hydra.sweeper.n_trials={goal}", "hydra.sweep.dir=runs/b_sweep", *space)
    assert (f"study mine: {len(complete)} of {goal} trials are done" in said) == bool(complete)
    assert len(study.get_trials()) == 5
    _, _, errors = sweep_here(tmp_path, "hydra.sweeper.n_trials=1", "trainer.max_steps=7", *space)
    if len([trial for trial in study.get_trials() if trial.state == optuna.trial.TrialState.COMPLETE]):
        assert errors.startswith("error: the study") and len(errors.splitlines()) == 1


def test_the_example_search_is_one_short_line(tmp_path: Path) -> None:
    hydra = compose_hydra("experiment=search", "style=hokusai")
    assert hydra.sweeper.study_name == "search_hokusai" and hydra.sweeper.storage == "sqlite:///runs/search.db"
    assert set(hydra.sweeper.params) > {"loss.style_weight", "loss.content_layers", "method.learning_rate"}
    with pytest.raises(UserError, match="add -m"):
        launch(lambda config: None, ["experiment=search"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("hydra/launcher=jobib", "no hydra/launcher is called 'jobib', did you mean 'joblib'"),
        ("seed=1,2 trainer=ddp", "a multirun's jobs share one process"),
        ("seed=1,2 trainer.devices=2", "a multirun's jobs share one process"),
        ("seed=1,2 resume=RUN", "resume= goes on in one run's folder"),
        ("seed=1,-2", "seed is -2"),
        ("loss=glob(nothing*)", "'loss=glob(nothing*)' matches no choice"),
        ("loss.style_weight=interval(1e4,1e5)", "has no end of values: list some"),
        ("hydra/sweeper=optuna", "a search wants values to search"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, said: str
) -> None:
    run = tmp_path / "earlier"
    (run / "checkpoints").mkdir(parents=True)
    (run / ".hydra").mkdir()
    (run / "checkpoints/last.ckpt").touch()
    (run / ".hydra/overrides.yaml").write_text("[]")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        launch(lambda config: None, ["-m", *arguments.replace("RUN", str(run)).split()])
    assert said in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "runs").exists()


def test_a_launcher_that_starts_nothing_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def none(*_: object, **__: object) -> None:
        raise RuntimeError("no cluster here")

    monkeypatch.setattr(Plugins, "instantiate_launcher", none)
    with pytest.raises(UserError, match="no job could be started: RuntimeError: no cluster here"):
        launch(lambda config: None, ["-m", "seed=1,2"])


def test_files_that_are_swept_over_are_named_without_quotes(tmp_path: Path) -> None:
    photos = [str(make_photos(tmp_path / name, 1) / "a/photo000.png") for name in ("one", "two (here)")]
    status, said, _ = sweep_here(tmp_path, "experiment=norm", "arm=batch", f"content={','.join(photos)}")
    assert status == 0 and f"arm=batch content={photos[0]}" in said
    with (tmp_path / "runs/studies/norm/summary.csv").open() as lines:
        assert [row["content"] for row in csv.DictReader(lines)] == photos
    folders = {path.name for path in (tmp_path / "runs/studies/norm").iterdir() if path.is_dir()}
    assert folders == {f"batch_content={photo.replace('/', '_')}" for photo in photos}


def test_a_job_gets_its_share(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torch

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(16))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    four = job.Sweep(tmp_path / "abc_sweep", frozenset(), parallel=4)

    def shared(changed: list[str], *given: str) -> tuple:
        config = compose(list(given))
        job.name_run(config, changed, four)
        with job.share_machine(config, 3, four):
            pass
        return config.data.workers, config.trainer.devices, config.logger.group, config.logger.run_name

    assert shared(["loss.style_weight=100000.0", "style=gogh"]) == (2, [0], "abc_sweep", "style_weight=1e5 style=gogh")
    own = ("data.workers=5", "trainer.devices=[1]", "logger.group=g", "logger.run_name=n")
    assert shared(["seed=2"], *own) == (5, [1], "g", "n seed=2")


def test_a_job_gets_the_gpu_that_another_has_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    sweep = job.Sweep(tmp_path, frozenset(), parallel=3)
    configs = [compose([]) for _ in range(4)]
    with job.share_machine(configs[0], 0, sweep):
        with job.share_machine(configs[1], 1, sweep), job.share_machine(configs[2], 2, sweep):
            pass
        with job.share_machine(configs[3], 3, sweep):
            pass
    assert [config.trainer.devices for config in configs] == [[0], [1], [0], [1]]  # the third shares: both are taken


def test_what_a_sweep_measures_by_the_reference_and_how_many_jobs_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    same = ("seed", "network.widths", "loss.style_weight", "loss.content_weight", "loss.stability_weight")
    assert not any(map(sweep_run.redefines, same))
    assert all(map(sweep_run.redefines, ("loss", "loss.pooling", "loss.style_layers")))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8))
    for target, jobs, expected in (("joblib", 3, 3), ("joblib", -1, 8), ("joblib", -2, 7), ("basic", 3, 1)):
        launcher = {"_target_": f"hydra_plugins.{target}.Launcher", "n_jobs": jobs}
        assert sweep_run.at_once(OmegaConf.create({"launcher": launcher})) == expected


def test_the_objective_does_not_depend_on_the_weights_that_are_searched() -> None:
    metrics = {"reference/content_loss": 2.0, "reference/style_loss": 3e-5, "train/style_loss": 9.0, "val/loss": 7.0}
    assert job.objective(metrics, 2) == [2.0, 3e-5]
    assert job.objective(metrics, 1) == pytest.approx(2 + 1e5 * 3e-5)
    assert job.objective(metrics, 0) is None
    with pytest.raises(UserError, match="no losses"):
        job.objective({}, 2)


def test_the_front_is_what_nothing_else_beats() -> None:
    points = [(1, 4), (2, 2), (4, 1), (3, 3), (2, 2), (1, 5)]
    found = [
        {"job": n, "metrics": {"reference/content_loss": c, "reference/style_loss": s}}
        for n, (c, s) in enumerate(points)
    ]
    assert summary.front([*found, {"job": 9, "metrics": {}}]) == {0, 1, 2, 4}


def test_the_reference_is_the_same_for_any_loss(tmp_path: Path, tiny_vgg: Path) -> None:
    from training import run_here

    from fst.evaluate.judge import reference_losses

    arguments = [*tiny_arguments(tmp_path, tiny_vgg, trainer__max_steps=2), "loss.style_scales=[1]"]
    run = run_here(tmp_path / "run", arguments)
    found = reference_losses(check(compose(arguments)), run)
    val = read_metrics(run)  # of the last step, and the defaults are the reference's definition
    for name in ("content_loss", "style_loss"):
        assert found[f"reference/{name}"] == pytest.approx(val[f"val/{name}"], rel=0.1)  # of unclipped pictures
    other = ["loss.style_layers=[relu3_3]", "loss.content_layers=[relu3_3]", "loss.pooling=avg"]
    assert reference_losses(check(compose([*arguments, *other])), run) == found
    assert reference_losses(check(compose(arguments)), tmp_path) == {}  # as the baseline's folder: there is no network


def test_more_objectives_than_there_are_losses_are_refused_before_anything_runs() -> None:
    three = "hydra.sweeper.direction=[minimize,minimize,minimize]"
    with pytest.raises(UserError, match="one or two"):
        search.go_on(compose_hydra("hydra/sweeper=optuna", three), [], [])


def test_a_study_older_than_a_setting_of_its_rerun_goes_on(tmp_path: Path) -> None:
    study = optuna.create_study(storage=f"sqlite:///{tmp_path}/trials.db", study_name="mine")
    trial = study.ask()
    for key, value in {"seed": "1", "rerun": "runs/a"}.items():
        trial.set_user_attr(key, value)
    study.tell(trial, 3.0)
    study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)  # which does not count
    own = [f"hydra.sweeper.storage='sqlite:///{tmp_path}/trials.db'", "hydra.sweeper.study_name=mine"]
    hydra = compose_hydra("hydra/sweeper=optuna", "hydra.sweeper.n_trials=5", *own)
    assert search.go_on(hydra, ["rerun=runs/a", "seed=1"], ["method.new=3"]) == ["hydra.sweeper.n_trials=4"]
    with pytest.raises(UserError, match="made with seed=1, but this command has seed=2"):
        search.go_on(hydra, ["rerun=runs/a", "seed=2"], ["method.new=3"])
    hydra = compose_hydra("hydra/sweeper=optuna", "hydra.sweeper.n_trials=1", *own)
    with pytest.raises(UserError, match=r"has its 1 trials: hydra\.sweeper\.n_trials=2 adds"):
        search.go_on(hydra, ["rerun=runs/a", "seed=1"], ["method.new=3"])


def test_an_old_optuna_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optuna, "__version__", "2.10.1")
    with pytest.raises(UserError, match=r"pip install 'optuna>=4\.9"):
        search.go_on(compose_hydra("hydra/sweeper=optuna"), [], [])


@pytest.mark.parametrize("file", sorted(groups.EXPERIMENTS.glob("*/sweep.yaml")), ids=lambda file: file.parent.name)
def test_sweep_files_name_real_settings_and_metrics(file: Path) -> None:
    """As the agent passes them: each value of each parameter as key=value, read by PyYAML as W&B does."""
    found = yaml.safe_load(file.read_text())
    assert found["program"] == "train.py" and found["method"] in ("grid", "random", "bayes")
    assert found["metric"]["name"].startswith("val/") and found["metric"]["goal"] == "minimize"
    start, python, program, *rest, last = found["command"]
    assert (start, python, program, last) == ("${env}", "python", "${program}", "${args_no_hyphens}")
    for key, given in found["parameters"].items():
        for value in given["values"]:
            assert not isinstance(value, str) or not re.fullmatch(r"[\d.]+e[+-]?\d+", value), "PyYAML read a text"
            config = compose([*rest, f"{key}={value}"])
            arrived = OmegaConf.select(config, key) if key not in groups.groups() else config[key].name
            assert arrived == value, key


def compose_hydra(*overrides: str) -> DictConfig:
    return composed(list(overrides), with_hydra=True).hydra


@contextlib.contextmanager
def _default_interrupt():
    """Children inherit an ignored SIGINT from a shell's background job; with a handler here they get the default."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _wait_for(there, process: subprocess.Popen) -> None:
    for _ in range(4800):
        if there():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("nothing in four minutes")

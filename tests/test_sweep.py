"""Sweeps: one group, readable names, failures in a line, a summary; parallel jobs, a cluster's jobs, Optuna."""

import contextlib
import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
import yaml
from omegaconf import OmegaConf
from test_tracking import inspect, of_type
from training import run_here, tiny_arguments

from fst.config import groups
from fst.config.checks import check
from fst.config.compose import compose
from fst.errors import UserError
from fst.launch import check_jobs, launch
from fst.runfolder import read_metrics
from fst.sweep import job, search, summary

PROGRAM = Path(__file__).with_name("sweep_program.py")
TRAIN = Path(__file__).resolve().parents[1] / "train.py"


def sweep(folder: Path, *arguments: str, program: Path = PROGRAM, timeout: float = 280) -> tuple[int, str, str]:
    """Exit status, output and errors of a multirun in a folder, on the CPU."""
    given = [sys.executable, str(program), "-m", "trainer=cpu", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(groups.ROOT)}
    ran = subprocess.run(given, cwd=folder, capture_output=True, text=True, timeout=timeout, env=environment)
    assert "Traceback" not in ran.stdout + ran.stderr and "HYDRA_FULL_ERROR" not in ran.stdout + ran.stderr
    return ran.returncode, ran.stdout, ran.stderr


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
    assert [line[:14] for line in errors.splitlines()] == ["job 0 failed: "]
    [folder] = (tmp_path / "runs").glob("*_sweep")
    assert f"1 of 2 jobs done; summary  runs/{folder.name}/summary.csv" in said
    described = [of_type(inspect(file), "run")[0] for file in sorted(folder.glob("*/wandb/*run-*/*.wandb"))]
    assert [run["display_name"] for run in described] == ["learning_rate=1e+30", "learning_rate=0.002"]
    assert {run["run_group"] for run in described} == {folder.name}

    alone = run_here(tmp_path / "alone", [*arguments, "method.learning_rate=2e-3"])
    metrics = read_metrics(alone)
    for key in ("train/loss", "val/content_loss", "val/style_loss", "train/gradient_norm"):
        assert float(found[1][key]) == pytest.approx(metrics[key], rel=1e-6), key


def test_every_way_to_fail_is_a_line_and_the_rest_goes_on(tmp_path: Path) -> None:
    status, said, errors = sweep(tmp_path, "seed=1,13,14,2", "logger.group=mine")
    assert status == 1
    user_mistake, bug = errors.splitlines()
    assert user_mistake == "job 1 failed: seed 13 is unlucky: choose another"
    assert re.fullmatch(r"job 2 failed: RuntimeError: a bug   \(runs/\S+/traceback\.txt\)", bug)
    assert [row["status"] for row in rows(tmp_path)] == ["done", "failed", "failed", "done"]
    [trace] = tmp_path.rglob("traceback.txt")
    assert trace.parent.name.startswith("2_") and "with details" in trace.read_text()
    assert "job 3 of 4: seed=2" in said and "2 of 4 jobs done" in said


def test_ctrl_c_keeps_what_was_done(tmp_path: Path) -> None:
    command = [sys.executable, str(PROGRAM), "-m", "trainer=cpu", "seed=1,16,2"]
    environment = {**os.environ, "PYTHONPATH": str(groups.ROOT)}
    with _default_interrupt():
        running = subprocess.Popen(
            command, cwd=tmp_path, text=True, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    _wait_for(lambda: list(tmp_path.rglob("waiting")), running)
    running.send_signal(signal.SIGINT)
    said, errors = running.communicate(timeout=60)
    assert running.returncode == 130 and not errors
    assert [row["status"] for row in rows(tmp_path)] == ["done", "stopped"]
    assert "1 of 3 jobs done" in said


def test_parallel_jobs_share_the_machine_and_write_apart(tmp_path: Path) -> None:
    status, said, errors = sweep(tmp_path, "hydra/launcher=joblib", "seed=1,13,3,4")
    assert status == 1 and errors == "job 1 failed: seed 13 is unlucky: choose another\n"
    found = rows(tmp_path)
    assert [row["status"] for row in found] == ["done", "failed", "done", "done"]
    assert 1 <= len({row["process"] for row in found if row["process"]}) <= 2
    cores = len(os.sched_getaffinity(0))
    assert {row["workers"] for row in found if row["workers"]} == {str(float(max(1, cores // 4)))}
    if "OMP_NUM_THREADS" not in os.environ:
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


def test_slurms_job_script(tmp_path: Path) -> None:
    from submitit.slurm.slurm import _make_sbatch_string

    launcher = compose_hydra("hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu").launcher
    given = OmegaConf.to_container(launcher)
    for key in ("_target_", "submitit_folder", "tasks_per_node", "timeout_min", "name", "max_num_timeout"):
        given.pop(key)
    given["mem"] = f"{given.pop('mem_gb')}GB"
    given["job_name"], given["ntasks_per_node"], given["time"] = launcher.name, 1, launcher.timeout_min
    array = {"map_count": 20, "array_parallelism": given.pop("array_parallelism")}
    script = _make_sbatch_string("python job.py", tmp_path / "%j", **given, **array)
    for line in ("job-name=fst", "time=720", "cpus-per-task=8", "gpus-per-node=1", "mem=32GB", "array=0-19%16"):
        assert f"#SBATCH --{line}\n" in script, script
    assert "#SBATCH --partition=gpu\n" in script and "python job.py" in script.splitlines()[-1]


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
    _, said, errors = sweep(tmp_path, f"hydra.sweeper.n_trials={goal}", "hydra.sweep.dir=runs/b_sweep", *space)
    assert (f"study mine: {len(complete)} of {goal} trials are done" in said) == bool(complete)
    assert len(study.get_trials()) == 5
    _, _, errors = sweep(tmp_path, "hydra.sweeper.n_trials=1", "trainer.max_steps=7", *space)
    if len([trial for trial in study.get_trials() if trial.state == optuna.trial.TrialState.COMPLETE]):
        assert errors.startswith("error: the study") and len(errors.splitlines()) == 1


def test_the_example_search_is_one_short_line(tmp_path: Path) -> None:
    hydra = compose_hydra("experiment=search", "style=hokusai")
    assert hydra.sweeper.study_name == "search_hokusai" and hydra.sweeper.storage == "sqlite:///runs/search.db"
    assert set(hydra.sweeper.params) > {"loss.style_weight", "loss.content_layers", "method.learning_rate"}
    with pytest.raises(UserError, match="add -m"):
        check_jobs(["experiment=search"], multirun=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("hydra/launcher=jobib", "no hydra/launcher is called 'jobib', did you mean 'joblib'"),
        ("seed=1,2 trainer=ddp", "a multirun's jobs share one process"),
        ("seed=1,2 trainer.devices=2", "a multirun's jobs share one process"),
        ("seed=1,2 resume=RUN", "resume= goes on in one run's folder"),
        ("seed=1,-2", "seed is -2"),
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


def test_a_job_gets_its_share(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torch

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(16))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    four = job.Sweep(tmp_path / "abc_sweep", frozenset(), False, parallel=4)
    config = compose([])
    job._fit_in(config, 3, ["loss.style_weight=100000.0", "style=gogh"], four)
    assert (config.data.workers, config.trainer.devices) == (2, [1])
    assert (config.logger.group, config.logger.run_name) == ("abc_sweep", "style_weight=100000 style=gogh")
    config = compose(["data.workers=5", "trainer.devices=[0]", "logger.group=g", "logger.run_name=n"])
    job._fit_in(config, 3, ["seed=2"], four)
    assert (config.data.workers, list(config.trainer.devices)) == (5, [0])
    assert (config.logger.group, config.logger.run_name) == ("g", "n seed=2")


def test_the_objective_does_not_depend_on_the_weights_that_are_searched() -> None:
    metrics = {"reference/content_loss": 2.0, "reference/style_loss": 3e-5, "train/style_loss": 9.0, "val/loss": 7.0}
    assert job.objective(metrics, 2) == [2.0, 3e-5]
    assert job.objective(metrics, 1) == pytest.approx(2 + 1e5 * 3e-5)
    assert job.objective(metrics, 0) is None
    with pytest.raises(UserError, match="one or two"):
        job.objective(metrics, 3)
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
    from test_training import run_here

    from fst.evaluate.judge import reference_losses

    arguments = [*tiny_arguments(tmp_path, tiny_vgg, trainer__max_steps=2), "loss.style_scales=[1]"]
    run = run_here(tmp_path / "run", arguments)
    found = reference_losses(check(compose(arguments)), run)
    val = read_metrics(run)  # of the last step, and the defaults are the reference's definition
    for name in ("content_loss", "style_loss"):
        assert found[f"reference/{name}"] == pytest.approx(val[f"val/{name}"], rel=0.1)  # of unclipped pictures
    other = ["loss.style_layers=[relu3_3]", "loss.content_layers=[relu3_3]", "loss.pooling=avg"]
    assert reference_losses(check(compose([*arguments, *other])), run) == found


def test_an_old_optuna_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optuna, "__version__", "2.10.1")
    with pytest.raises(UserError, match=r"pip install 'optuna>=4\.9"):
        search.go_on(compose_hydra("hydra/sweeper=optuna"), [])


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


def compose_hydra(*overrides: str):
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    from fst.config.compose import register

    register()
    with initialize_config_dir(version_base="1.3", config_dir=str(groups.CONF)):
        return hydra_compose(overrides=list(overrides), return_hydra_config=True).hydra


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

"""The W&B workspace's specification, built without a server; and its script without a key."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from training import run_here, tiny_arguments

from fst.config.compose import compose, keys

SCRIPT = Path(__file__).resolve().parents[1] / "experiments" / "workspace.py"


@pytest.fixture(scope="module")
def panels() -> dict[str, dict]:
    """Every panel of the workspace as W&B's server would be given it, by title."""
    pytest.importorskip("wandb_workspaces", reason="needs wandb-workspaces, which is optional")
    code = (
        f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r}); import workspace\n"
        "space = workspace.workspace('me', 'fst', 'x', ['preview/bridge'])\n"
        "print(space._to_model().model_dump_json(by_alias=True, exclude_none=True))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    sections = json.loads(done.stdout)["spec"]["section"]["panelBankConfig"]["sections"]
    found = [panel for section in sections for panel in section["panels"]]
    return {panel["config"].get("chartTitle", panel["viewType"]): panel for panel in found}


def test_its_panels_show_what_runs_log(panels, tmp_path, tiny_vgg):
    import csv

    run = run_here(tmp_path / "run", tiny_arguments(tmp_path, tiny_vgg, trainer__log_every_n_steps=1))
    logged = set(next(csv.reader((run / "metrics.csv").open())))
    lines = [panel["config"] for panel in panels.values() if panel["viewType"] == "Run History Line Plot"]
    assert len(lines) == 7
    assert all(line["xAxis"] == "trainer/global_step" for line in lines)
    assert {metric for line in lines for metric in line["metrics"]} <= logged
    axes = [column["accessor"] for column in panels["which weights"]["config"]["columns"]]
    settings = {axis.removeprefix("config:").replace(".value", "") for axis in axes if axis.startswith("config:")}
    assert settings and settings <= set(keys(compose([])))
    results = {axis.removeprefix("summary:") for axis in axes if axis.startswith("summary:")}
    assert {"val/content_loss", "val/style_loss"} <= results <= logged
    assert panels["preview/bridge"]["config"]["mediaKeys"] == ["preview/bridge"]
    assert panels["Run Comparer"]["config"]["diffOnly"]


def test_without_a_key_it_is_one_line(tmp_path):
    pytest.importorskip("wandb_workspaces", reason="needs wandb-workspaces, which is optional")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    environment |= {"HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc"), "WANDB_BASE_URL": "http://127.0.0.1:9"}
    for words, said in (([], "no W&B key"), (["projct=x"], "did you mean 'project'?")):
        command = [sys.executable, str(SCRIPT), *words]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("error: ") and said in done.stderr and done.stderr.count("\n") == 1

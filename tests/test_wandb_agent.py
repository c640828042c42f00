"""A study's sweep file, uploaded by the real `wandb sweep` and run by the real `wandb agent`, against a stub server."""

import os
import subprocess
import sys
from pathlib import Path

from omegaconf import OmegaConf
from test_tracking import inspect, of_type
from training import tiny_arguments
from wandb_stub import serving

from fst.config import groups
from fst.runfolder import read_metrics


def test_the_agent_runs_a_studys_sweep_file(tmp_path: Path, tiny_vgg: Path) -> None:
    changes = {"logger": "wandb", "trainer__max_steps": 2, "trainer__val_check_interval": 2, "logger__preview_count": 0}
    tiny = dict(argument.split("=", 1) for argument in tiny_arguments(tmp_path, tiny_vgg, **changes))
    tiny |= {"logger.mode": "offline", "hydra.run.dir": str(tmp_path / "run"), "loss.style_scales": [1]}
    swept = {"loss.style_weight": 30000.0, "loss.style_layers": ["relu1_2", "relu3_3"]}
    with serving([{**tiny, **swept}]) as server:
        address = "http://{}:{}".format(*server.server_address)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
        environment |= {"WANDB_BASE_URL": address, "WANDB_API_KEY": "0" * 40, "WANDB_DIR": str(tmp_path)}
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"

        def wandb(*arguments: str) -> str:
            command = [sys.executable, "-m", "wandb", *arguments]
            ran = subprocess.run(command, cwd=groups.ROOT, env=environment, capture_output=True, text=True, timeout=250)
            assert ran.returncode == 0, ran.stdout + ran.stderr
            return ran.stdout + ran.stderr

        said = wandb("sweep", "--project", "fst", "--entity", "someone", "experiments/style_weight/sweep.yaml")
        assert "wandb agent someone/fst/abc123" in said
        assert server.config["parameters"]["loss.style_weight"]["values"][0] == 10000.0
        said = wandb("agent", "--count", "1", "someone/fst/abc123")

    assert "experiment=style_weight" in said and "loss.style_weight=30000.0" in said, said
    assert "error:" not in said and server.given == 1, said
    [file] = (tmp_path / "run").rglob("*.wandb")
    run = of_type(inspect(file), "run")[0]
    config = OmegaConf.load(tmp_path / "run" / "config.yaml")
    assert (run["run_id"], run["sweep_id"]) == ("run1", "abc123")
    assert config.loss.style_weight == 3e4 and list(config.loss.style_layers) == ["relu1_2", "relu3_3"]
    assert config.trainer.max_steps == 2 and config.method.schedule == "cosine"  # the study's own
    assert read_metrics(tmp_path / "run")["val/style_ratio"] > 0

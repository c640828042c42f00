"""A program as train.py whose jobs train nothing, so that tests are quick: `seed` decides what happens."""

import os
import signal
import sys
import time
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fst.errors import UserError, one_line_errors
from fst.launch import launch


def job(config: DictConfig, *, reference: bool = False) -> dict[str, float]:
    """Losses that follow from the weight; seeds 13 to 16 fail, break, die and wait."""
    if config.seed == 13:
        raise UserError("seed 13 is unlucky: choose another")
    if config.seed == 14:
        raise RuntimeError("a bug\nwith details")
    if config.seed == 15:
        os.kill(os.getpid(), signal.SIGKILL)
    if config.seed == 16:
        Path(HydraConfig.get().runtime.output_dir, "waiting").touch()
        time.sleep(120)
    print("the job's own line")
    weight = config.loss.style_weight
    losses = {"content_loss": 0.1 * weight, "style_loss": 1 / weight}
    found = {f"{kind}/{key}": value for kind in ("val", "train") for key, value in losses.items()}
    if reference:
        found |= {f"reference/{key}": value for key, value in losses.items()}
    workers = {"workers": float(config.data.workers or 0), "threads": float(os.environ.get("OMP_NUM_THREADS", 0))}
    return {**found, **workers, "train/images_per_second": 3.5, "process": float(os.getpid())}


def main() -> None:
    with one_line_errors():
        launch(job, sys.argv[1:])


if __name__ == "__main__":
    main()

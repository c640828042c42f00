"""Tracking: a run's own numbers and pictures in its folder, its logger, its speed, and what it was."""

from pathlib import Path

from pytorch_lightning import Callback

from fst.config.schema import LoggerConfig
from fst.tracking.measures import GradientNorm, Throughput
from fst.tracking.metrics import RunRecord
from fst.tracking.previews import Previews
from fst.tracking.progress import ProgressLine


def callbacks(config: LoggerConfig, run_dir: Path) -> list[Callback]:
    """The standard set, in order: speed is taken before previews and the progress line spend time of their own.

    It keeps metrics.csv and the run's state, and shows progress: give the Trainer `enable_progress_bar=False`.
    """
    previews = [Previews(run_dir)] if config.preview_count or config.preview_images else []
    return [Throughput(), GradientNorm(), RunRecord(run_dir), *previews, ProgressLine()]

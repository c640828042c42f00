"""Tracking: a run's own numbers and pictures in its folder, its logger, its speed, and what it was.

logger = build_logger(config.logger, run_dir, name=..., settings=...)
trainer = Trainer(logger=logger or False, callbacks=[*callbacks(config.logger, run_dir), ...], max_steps=...,
                  enable_progress_bar=False)
...
finish(logger)
"""

from pathlib import Path

from pytorch_lightning import Callback

from fst.config.schema import LoggerConfig
from fst.tracking.loggers import build_logger, finish
from fst.tracking.measures import GradientNorm, Throughput
from fst.tracking.metadata import run_metadata, write_run
from fst.tracking.metrics import RunRecord
from fst.tracking.previews import Preview, Previews
from fst.tracking.progress import ProgressLine
from fst.tracking.records import log_images, log_painting, log_style_file, log_table

__all__ = [
    "GradientNorm",
    "Preview",
    "Previews",
    "ProgressLine",
    "RunRecord",
    "Throughput",
    "build_logger",
    "callbacks",
    "finish",
    "log_images",
    "log_painting",
    "log_style_file",
    "log_table",
    "run_metadata",
    "write_run",
]


def callbacks(config: LoggerConfig, run_dir: Path) -> list[Callback]:
    """The standard set, in order: speed is taken before previews and the progress line spend time of their own.

    A run keeps metrics.csv and its state in its folder by this set, so every Trainer gets it, whatever its logger.

    The set holds the progress bar: give the Trainer `enable_progress_bar=False`.
    """
    previews = [Previews(run_dir)] if config.preview_count or config.preview_images else []
    return [Throughput(), GradientNorm(), RunRecord(run_dir), *previews, ProgressLine()]

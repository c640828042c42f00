"""What a run writes of itself into its own folder, whatever its logger: metrics.csv, and in run.json how it ended."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from fst import runfolder
from fst.files import write_text
from fst.runfolder import METRICS, Row
from fst.tracking.measures import is_last, is_logged


class MetricsFile(Logger):
    """RUN/metrics.csv: a whole line each time that metrics are logged, in full as soon as it was logged.

    The columns are step (optimiser steps done), seconds (of work, all starts of the run together) and the metrics'
    names, those with a "/". A metric that is new gives the file a new column.
    """

    def __init__(self, run_dir: Path) -> None:
        super().__init__()
        self._folder = run_dir
        self._names: list[str] = []
        self._before = 0.0
        self._began = perf_counter()

    @property
    def name(self) -> str:
        return "metrics"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Nothing: config.yaml has them."""

    @rank_zero_only
    def begin(self, step: int) -> None:
        """Start the clock at a step; rows of later steps, which a resumed run makes again, are dropped."""
        rows = [row for row in runfolder.read_rows(self._folder) if row.step <= step]
        self._before = max((row.seconds for row in rows), default=0.0)
        self._began = perf_counter()
        self._names = list(dict.fromkeys(name for row in rows for name in row.metrics))
        self._write(rows, anew=True)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        values = {name: float(value) for name, value in metrics.items() if "/" in name}
        if not values or step is None:
            return
        row = Row(step, self._before + perf_counter() - self._began, values)
        new = [name for name in values if name not in self._names]
        self._names += new
        self._write([*runfolder.read_rows(self._folder), row] if new else [row], anew=bool(new))

    def _write(self, rows: list[Row], *, anew: bool) -> None:
        """Rows that take the file's place, or are added to it."""
        text = io.StringIO()
        writer = csv.DictWriter(text, ["step", "seconds", *self._names], lineterminator="\n")
        if anew:
            writer.writeheader()
        for row in rows:
            values = {name: f"{value:.9g}" for name, value in row.metrics.items()}
            writer.writerow({"step": row.step, "seconds": f"{row.seconds:.3f}", **values})
        if anew:
            write_text(self._folder / METRICS, text.getvalue())
        else:
            with (self._folder / METRICS).open("a", encoding="utf-8", newline="") as file:
                file.write(text.getvalue())


class RunRecord(Callback):
    """Give the trainer a `MetricsFile` beside its logger, and note in run.json whether the run came to its end.

    Every metric stands at the trainer's global step, the number of optimiser steps done: Lightning logs at its own
    batch counter, which is one less during training and equal in validation, unless there is a metric named `step`.
    The last step is logged and validated whatever the intervals are.
    """

    def __init__(self, run_dir: Path) -> None:
        self._folder = run_dir
        self._file = MetricsFile(run_dir)

    def setup(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        if self._file not in trainer.loggers:
            trainer.loggers = [*trainer.loggers, self._file]

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._file.begin(trainer.global_step)

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *_: Any) -> None:
        if is_last(trainer, trainer.global_step):
            trainer.should_stop = True  # Lightning then logs and validates this step
        if is_logged(trainer, trainer.global_step):
            module.log("step", float(trainer.global_step), rank_zero_only=True)

    def on_validation_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        module.log("step", float(trainer.global_step), sync_dist=True)  # the same everywhere: Lightning wants it said

    @rank_zero_only
    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        complete = is_last(trainer, trainer.global_step)
        runfolder.write_state(self._folder, runfolder.FINISHED if complete else runfolder.STOPPED)

"""The method contract, and the registry of methods.

A method is one file in this folder (or in a folder of it) with one registered class. The signature of its constructor,
or the fields of a dataclass, are its config schema, read without importing torch (`fst.config.signatures`); the first
line of its docstring is its help; it checks its own values. `fst.methods.run` trains any of them:

    method = build(config.method)
    method.check(config)                  # before anything is loaded: what spans several groups of settings
    method.prepare(config, run_dir)       # every `auto` is decided; module and data are made
    Trainer(..., **method.trainer_settings()).fit(method.module, method.data)
    method.write_result()                 # at every checkpoint and at the end

`resume=` refuses another value of any setting but those that the class names in `changeable`, also read without torch.
A method's file imports torch and Lightning inside its functions, so that its settings are checked at once.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from fst.config.signatures import registered
from fst.values import Registry

if TYPE_CHECKING:
    import numpy as np
    import pytorch_lightning as pl
    from pytorch_lightning.loggers import Logger

    from fst.config.schema import TrainConfig

METHODS = Registry()
register = METHODS.register


class Method:
    """What is trained, on what, and what it leaves behind: attributes from `prepare` on."""

    config: TrainConfig  # the run's, with every `auto` decided: what the run folder's config.yaml says
    module: pl.LightningModule  # has `previews() -> list[Preview]` (`fst.tracking.previews`)
    data: Any  # a LightningDataModule, or anything that Trainer.fit takes
    result: Path  # the file that `write_result` writes
    paintings: Sequence[tuple[str | None, np.ndarray]] = ()  # title and uint8 (H, W, 3), as the run sees each
    callbacks: Sequence[pl.Callback] = ()  # of its own, besides tracking and checkpoints
    # Settings with which a run may go on otherwise: a checkpoint holds nothing of them. All others stay as they were.
    changeable: ClassVar[tuple[str, ...]] = ()

    def check(self, config: TrainConfig) -> None:
        """Raise UserError for settings of a run that make no sense, or do not go with this method."""

    def unused(self) -> tuple[str, ...]:
        """Settings, or whole groups, that change nothing with this method; whoever gives one is told."""
        return ()

    def prepare(self, config: TrainConfig, run_dir: Path) -> None:
        """Decide every `auto`, read what the run needs, and make `module` and `data`; UserError where that fails."""
        raise NotImplementedError

    def trainer_settings(self) -> dict[str, Any]:
        """Arguments of Lightning's Trainer that this method needs otherwise than the config has them."""
        return {}

    def run_name(self) -> str:
        """The run's name in its logger."""
        return f"{self.config.style.name} {self.config.method.name}"

    def finish(self) -> None:
        """Measure, once training is complete, what the result file reports."""

    def write_result(self) -> None:
        """Write what the run has made so far to `result`, whole or not at all."""
        raise NotImplementedError

    def log_result(self, logger: Logger) -> None:
        """Hand what the run has made to its logger, at the end."""

    def epilogue(self) -> dict[str, str]:
        """What the end of a run says on screen: a word, and where that is."""
        return {}


def build(config: Any) -> Method:
    """The method of a config group, by its `name` and settings; UserError for a value that it refuses."""
    signature = registered("methods")[config.name]
    importlib.import_module(signature.module)  # this one's file alone
    settings = {key: getattr(config, key) for key in signature.arguments}
    return METHODS[config.name](**settings)

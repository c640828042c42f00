"""How sweeps are searched and where their jobs run, with defaults that suit training instead of the plugins' own."""

import contextlib
from typing import Any

from omegaconf import OmegaConf

DEFAULTS: dict[str, dict[str, Any]] = {
    # Two jobs at a time, each with half of the cores; one a core, the plugin's default, would be out of memory.
    "hydra/launcher/joblib": {"n_jobs": 2, "pre_dispatch": "n_jobs", "batch_size": "1"},
    "hydra/launcher/submitit_local": {"name": "fst", "timeout_min": 720},
    "hydra/launcher/submitit_slurm": {
        "name": "fst",
        "timeout_min": 720,
        "cpus_per_task": 8,
        "gpus_per_node": 1,
        "mem_gb": 32,
        "stderr_to_stdout": True,
        "array_parallelism": 16,
    },
    "hydra/sweeper/optuna": {
        "direction": ["minimize", "minimize"],  # content and style loss: see fst.sweep.job.objective
        "storage": "sqlite:///runs/search.db",
        "study_name": "${style.name}",
        "n_trials": 20,  # of the study in all: see fst.sweep.search.go_on
        "n_jobs": 1,
        "max_failure_rate": 1.0,  # a failed trial is reported, and the search goes on
    },
    # With a fixed seed, a search that goes on would try its first values again.
    "hydra/sweeper/sampler/tpe": {"seed": None},
}
CHOICES = {path.rpartition("/")[2] for path in DEFAULTS} | {"cmaes", "grid", "motpe", "nsgaii", "random"}


def register() -> None:
    """Put the defaults into what the plugins, where they are installed, have told Hydra."""
    from hydra.core.config_store import ConfigLoadError, ConfigStore
    from hydra.core.plugins import Plugins

    Plugins.instance()
    store = ConfigStore.instance()
    for path, changes in DEFAULTS.items():
        group, _, name = path.rpartition("/")
        with contextlib.suppress(ConfigLoadError):  # the plugin is not installed
            node = OmegaConf.merge(store.load(f"{path}.yaml").node, changes)
            store.store(group=group, name=name, node=node, provider="fst")

"""Train a style: python train.py style=gogh loss.style_weight=1e5. `python train.py --help` lists the choices."""

import sys
from pathlib import Path

from omegaconf import DictConfig

from fst import config as configuration
from fst import help as screens
from fst.checks import check
from fst.errors import one_line_errors


def main() -> None:
    with one_line_errors():
        arguments = sys.argv[1:]
        if {"-h", "--help"} & set(arguments):
            print(screens.training())
        else:
            configuration.run_hydra(train, "train", arguments)


def train(config: DictConfig) -> None:
    """One run of a composed config, in the folder Hydra made for it."""
    from hydra.core.hydra_config import HydraConfig

    check(config)
    # Torch and Lightning, which take seconds, are imported from here on: a mistake in the config has been answered.
    from fst.methods import runs

    run_dir = Path(HydraConfig.get().runtime.output_dir)
    if config.method.name == "gatys":
        from fst.methods import runs_gatys

        runs_gatys.gatys(config, run_dir)
    else:
        runs.feedforward(config, run_dir)


if __name__ == "__main__":
    main()

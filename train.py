"""Train a style: python train.py style=gogh loss.style_weight=1e5. `python train.py --help` lists the choices."""

import sys
from pathlib import Path

from fst.errors import one_line_errors

with one_line_errors():  # importing takes a second, in which Ctrl-C is a line too
    from omegaconf import DictConfig

    from fst import __version__
    from fst.config import help as screens
    from fst.config.schema import check
    from fst.launch import launch
    from fst.runfolder import read_metrics


def main() -> None:
    with one_line_errors():
        arguments = sys.argv[1:]
        if {"-h", "--help"} & set(arguments):
            print(screens.training())
        elif "--version" in arguments:
            print(f"fst {__version__}")
        else:
            launch(train, arguments)


def train(config: DictConfig, *, reference: bool = False) -> dict[str, float]:
    """One run of a composed config, in the folder Hydra made for it; the last value of every metric.

    With `reference`, the network is measured by losses that are the same for any `loss` (`fst.evaluate.judge`), too.
    """
    from hydra.core.hydra_config import HydraConfig

    typed, run_dir = check(config), Path(HydraConfig.get().runtime.output_dir)
    # Lightning, which takes seconds, is imported from here on: a mistake in the config has been answered.
    from fst.methods.run import run

    run(typed, run_dir)
    metrics = read_metrics(run_dir)
    if reference:
        from fst.evaluate.judge import reference_losses

        metrics |= reference_losses(typed, run_dir)
    return metrics


if __name__ == "__main__":
    main()

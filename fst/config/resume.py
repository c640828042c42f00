"""`resume=last|RUN|CHECKPOINT`: the command line that started a run, to go on in its folder."""

from pathlib import Path

from omegaconf import OmegaConf

from fst.errors import UserError
from fst.runfolder import CHECKPOINT

RUNS = Path("runs")


def earlier_overrides(arguments: list[str]) -> list[str]:
    """The overrides of the run that `resume=` among the arguments names, and its folder as Hydra's; else nothing.

    What is given now comes after them and wins, so `resume=last trainer.max_steps=2000` lengthens a run.

    Raises:
        UserError: there is no such run, or it has no checkpoint yet.
    """
    wanted = [value for key, _, value in (argument.partition("=") for argument in arguments) if key == "resume"]
    if not wanted or wanted[-1] in ("", "null"):
        return []
    run = _run_folder(wanted[-1])
    saved = run / ".hydra" / "overrides.yaml"
    if not (run / CHECKPOINT).is_file() or not saved.is_file():
        raise UserError(f"{run} holds no checkpoint to go on from ({CHECKPOINT} and .hydra/overrides.yaml)")
    kept = [str(override) for override in OmegaConf.load(saved) if not str(override).startswith("resume=")]
    escaped = str(run.resolve()).replace("\\", "\\\\").replace("'", "\\'")
    return [*kept, f"hydra.run.dir='{escaped}'"]


def _run_folder(wanted: str) -> Path:
    if wanted == "last":
        found = sorted(RUNS.rglob(str(CHECKPOINT)), key=lambda path: path.stat().st_mtime)
        if not found:
            raise UserError(f"resume=last finds no checkpoint under {RUNS.resolve()}; give the run folder instead")
        return found[-1].parents[1]
    path = Path(wanted).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        return path.resolve().parents[1]
    raise UserError(f"resume={wanted}: there is no such run folder or checkpoint")

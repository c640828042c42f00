"""The config groups on disk, one folder a choice to make, and the choices in each."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"
EXPERIMENTS = ROOT / "experiments"


def groups() -> list[str]:
    """style, method, network, ...: the folders of conf/, and experiments."""
    return [*sorted(folder.name for folder in CONF.iterdir() if any(folder.glob("*.yaml"))), "experiment"]


def files(group: str) -> dict[str, Path]:
    """The choices of a group by name, each with its file."""
    if group == "experiment":
        return {file.parent.name: file for file in sorted(EXPERIMENTS.glob("*/config.yaml"))}
    return {file.stem: file for file in sorted((CONF / group).glob("*.yaml"))}

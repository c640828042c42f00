"""The config groups, one a choice to make, and the choices in each: files of conf/, or registered classes."""

from pathlib import Path

from fst.config import schema

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"
EXPERIMENTS = ROOT / "experiments"


def groups() -> list[str]:
    """style, method, network, ...: the folders of conf/, the groups of registered classes, and experiment."""
    folders = {folder.name for folder in CONF.iterdir() if any(folder.glob("*.yaml"))}
    return [*sorted(folders | set(schema.REGISTERED)), "experiment"]


def choices(group: str) -> list[str]:
    """The names of a group's choices."""
    return sorted({*files(group), *schema.choices(group)})


def files(group: str) -> dict[str, Path]:
    """The choices of a group that are files, by name."""
    if group == "experiment":
        return {file.parent.name: file for file in sorted(EXPERIMENTS.glob("*/config.yaml"))}
    return {file.stem: file for file in sorted((CONF / group).glob("*.yaml"))}

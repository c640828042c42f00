"""Set up a W&B workspace in which fst's runs are compared: python experiments/workspace.py project=fst

Loss curves, previews over steps, parallel coordinates of settings and results, and what differs between runs, for
feed-forward and Gatys runs alike. Needs a W&B key and the package wandb-workspaces.
"""

from __future__ import annotations

import importlib.util
import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout's fst

from fst.errors import UserError, near, one_line_errors

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Workspace

KEYS = {"project": "fst", "entity": None, "name": "Styles compared"}
STEP = "trainer/global_step"
LOSSES = ("loss", "content_loss", "style_loss")
SPEED = ("train/images_per_second", "train/step_seconds", "train/data_wait", "train/gradient_norm")
SETTINGS = ("loss.style_weight", "loss.content_weight", "method.learning_rate", "data.size", "trainer.max_steps")
RESULTS = ("val/content_loss", "val/style_loss", "val/style_ratio")


def main(words: list[str]) -> None:
    """Save the workspace and print its address.

    Raises:
        UserError: an unknown setting, no package, no key, or a server that does not take it.
    """
    given = KEYS | parsed(words)
    if importlib.util.find_spec("wandb_workspaces") is None:
        raise UserError("this needs wandb-workspaces, which is not installed: pip install 'wandb-workspaces>=0.4,<0.5'")
    import wandb

    try:
        if not wandb.login(prompt=False):
            raise UserError(
                "no W&B key (`wandb login` stores one); python -m fst.compare runs/ does without an account"
            )
        entity = given["entity"] or wandb.Api().default_entity
        pictures = previews(entity, given["project"])
        print(workspace(entity, given["project"], given["name"], pictures).save().url)
    except UserError:
        raise
    except Exception as error:  # of wandb, its HTTP library and the package: a key, a name or a connection
        raise UserError(f"W&B does not take the workspace: {str(error).strip().splitlines()[0]}") from None


def parsed(words: list[str]) -> dict[str, str]:
    """Values by key of a command line.

    Raises:
        UserError: no key=value, or an unknown key.
    """
    for word in words:
        key, equals, _ = word.partition("=")
        if not equals or key not in KEYS:
            raise UserError(f"there is no setting '{key}'{near(key, list(KEYS))}")
    return dict(word.split("=", 1) for word in words)


def previews(entity: str, project: str) -> list[str]:
    """The preview keys that the project's newest 20 runs have."""
    import wandb

    runs = itertools.islice(wandb.Api().runs(f"{entity}/{project}", order="-created_at"), 20)
    return sorted({key for run in runs for key in run.summary.keys() if key.startswith("preview/")})  # noqa: SIM118


def workspace(entity: str, project: str, name: str, pictures: list[str]) -> Workspace:
    """The workspace, not saved yet.

    Args:
        entity: the user or team.
        project: with the runs.
        name: of the workspace, as W&B's menu shows it.
        pictures: preview keys, as preview/bridge.
    """
    import wandb_workspaces.reports.v2 as panels
    import wandb_workspaces.workspaces as spaces

    lines = [panels.LinePlot(title=loss, x=STEP, y=[f"train/{loss}", f"val/{loss}"], log_y=True) for loss in LOSSES]
    speed = [panels.LinePlot(title=metric.partition("/")[2], x=STEP, y=[metric]) for metric in SPEED]
    media = [panels.MediaBrowser(title=key, media_keys=[key], mode="gallery", gallery_axis="step") for key in pictures]
    axes = [panels.ParallelCoordinatesPlotColumn(panels.Config(key), log="weight" in key) for key in SETTINGS]
    axes += [panels.ParallelCoordinatesPlotColumn(panels.SummaryMetric(key)) for key in RESULTS]
    weights = panels.ScatterPlot(
        title="content against style",
        x=panels.SummaryMetric("val/content_loss"),
        y=panels.SummaryMetric("val/style_loss"),
        z=panels.Config("loss.style_weight"),
        log_y=True,
    )
    chosen = [
        panels.ParallelCoordinatesPlot(axes, title="which weights"),
        weights,
        panels.RunComparer(diff_only="split"),
    ]
    sections = {"Losses": lines, "Pictures": media, "Settings and results": chosen, "Speed": speed}
    return spaces.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[
            spaces.Section(title, panels=found, is_open=title != "Speed") for title, found in sections.items() if found
        ],
        settings=spaces.WorkspaceSettings(x_axis=STEP, smoothing_weight=0),
    )


if __name__ == "__main__":
    with one_line_errors():
        main(sys.argv[1:])

"""One yardstick for networks that were trained by different losses.

Losses of two runs compare only when the same layers, scales and features define them. Here content is relu2_2 and
style relu1_2 + relu2_2 + relu3_3 at full size, by the run's own loss network, painting and held-out photos: layers that
every loss network of fst has.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from fst import data as photo_data
from fst import stylefile
from fst.config.schema import TrainConfig
from fst.data.paintings import painting
from fst.losses.terms import TERMS
from fst.methods import parts
from fst.runfolder import STYLE

DEFINITION = {
    "content_layers": ["relu2_2"],
    "style_layers": ["relu1_2", "relu2_2", "relu3_3"],
    "style_layer_weights": None,
    "style_scales": [1.0],
    "pooling": "max",
}


@torch.inference_mode()
def reference_losses(config: TrainConfig, run_dir: Path) -> dict[str, float]:
    """`reference/content_loss` and `reference/style_loss`: means over the held-out photos, unweighted, in fp32.

    Args:
        config: of a feed-forward run.
        run_dir: its folder, with the style file to measure.

    Raises:
        UserError: weights, painting or photos that are no longer there.
    """
    device = "cuda" if config.trainer.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available() else "cpu"
    others = {f"{name}_weight": 0.0 for name in TERMS} | {"content_weight": 1.0, "style_weight": 1.0}
    criterion = parts.criterion(dataclasses.replace(config.loss, **DEFINITION, **others))
    style = parts.style_target(criterion, [painting(config.style)]).to(device)
    criterion.to(device)
    network = stylefile.load(run_dir / STYLE)[0].to(device)
    photos = photo_data.build(config.data, seed=config.seed).preview_photos(config.data.val_images)
    sums = {"content": 0.0, "style": 0.0}
    for _, photo in photos:
        batch = photo[None].to(device)
        losses = criterion(network(batch), criterion.content_target(batch), style)
        sums = {name: total + losses.values[name].item() for name, total in sums.items()}
    return {f"reference/{name}_loss": total / len(photos) for name, total in sums.items()}

"""Train with numbers beyond all sense: python -m experiments.reliability.extremes [--times 200]

Weights from 1e-30 to 1e30, learning rates up to 1e6, black, white and constant paintings and photos, both methods and
the precisions of a CPU. A run trains, or it stops with one line that names what is not finite; a style file, a
checkpoint or a picture that holds something that is not a finite number is never written.
"""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from experiments.reliability import common
from experiments.reliability.common import Program, gatys, tiny
from fst.runfolder import CHECKPOINT, STYLE

NAMED = r"error: .*(precision|loss|weight|gradient|network|rate|style|painting|photo|finite)"
COMMON = {
    "loss.style_weight": ("1e-30", "1e-10", "1e15", "1e25", "1e30", "1e38", "0", "auto"),
    "loss.content_weight": ("1e-10", "1e15", "1e30", "0"),
    "loss.tv_weight": ("1e-10", "1e10", "1e30"),
}
OF_TRAINING = {
    "method.learning_rate": ("1e-30", "1", "100", "1e6", "1e30"),
    "method.muon_learning_rate": ("1e-30", "1", "100", "1e6", "1e30"),
    "method.optimizer": ("adam",),
    "method.noise": ("1e6", "1e30"),
    "loss.stability_weight": ("1e15", "1e30"),
    "trainer.precision": ("bf16-mixed", "16-mixed"),
    "trainer.gradient_clip_val": ("1", "1e-30"),
    "network.norm": ("batch",),
}
OF_GATYS = {"method.optimizer": ("adam",), "method.learning_rate": ("100", "1e30"), "method.init": ("noise",)}
PICTURES = ("black", "white", "grey", "line", "painting")


def attempt(at: Path, sources: Path, chance: random.Random) -> str | None:
    """What went wrong in a run with one to three such numbers, or None."""
    painting, photos = sources / f"{chance.choice(PICTURES)}.png", sources / chance.choice(["photos", "black", "grey"])
    optimised = chance.random() < 0.25
    wild = {**COMMON, **(OF_GATYS if optimised else OF_TRAINING)}
    words = [f"{key}={chance.choice(wild[key])}" for key in chance.sample(sorted(wild), chance.randint(1, 3))]
    if optimised:
        content = next(photos.iterdir())
        command = gatys(sources, style__image=painting, content=content, method__iterations=8)
    else:
        command = tiny(sources, style__image=painting, data__root=photos, trainer__checkpoint_every_n_steps=1)
    run = at / "run"
    end = Program("train", [*command, *words, f"hydra.run.dir={run}"], at).wait()
    said = f" ({painting.stem}, {photos.name}, {'gatys ' if optimised else ''}{' '.join(words)})"
    if end.fault:
        return end.fault + said
    if end.status and not re.search(NAMED, end.text):
        return f"{end.text.strip().splitlines()[-1]}{said}"
    return f"{bad} is not finite{said}" if (bad := not_finite(run)) else None


def not_finite(run: Path) -> str | None:
    """The first tensor in a run's style file and checkpoint that is not finite."""
    files = {STYLE: load_file, str(CHECKPOINT): lambda path: torch.load(path, weights_only=True)["state_dict"]}
    for name, read in files.items():
        if (run / name).is_file():
            for key, tensor in read(run / name).items():
                if not torch.isfinite(tensor).all():
                    return f"{name}: {key}"
    return None


def main() -> None:
    options = common.arguments(__doc__.splitlines()[0], 200, first=0)
    common.ready()
    with common.workplace() as folder:
        for name, level in {"black": 0, "white": 255, "grey": 119}.items():
            picture = Image.fromarray(np.full((48, 64, 3), level, np.uint8))
            picture.save(folder / f"{name}.png")
            (folder / name).mkdir()
            for number in range(12):
                picture.save(folder / name / f"{number}.png")
        line = np.zeros((48, 64, 3), np.uint8)
        line[:, 30] = 255
        Image.fromarray(line).save(folder / "line.png")

        def one(number: int, chance: random.Random) -> str | None:
            fault = attempt(folder / "at", folder, chance)
            shutil.rmtree(folder / "at")
            return fault

        faults = common.tried(options, one)
    common.report(
        "extremes",
        "weights from 1e-30 to 1e38, learning rates to 1e30, constant paintings and photos",
        "trains, or stops with one line that names the term; nothing that is not finite is written",
        options,
        faults,
    )


if __name__ == "__main__":
    main()

"""Paintings that the network of many styles never saw: its prediction, a minute from there, and minutes from nothing.

python experiments/adapt/run.py [--arms adapt nothing-60s ...] [--paintings NAME ...] [settings of train.py]

Runs go to runs/adapt/ARM/PAINTING; one that is there already is not made again. Prints README's table of those there.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from omegaconf import OmegaConf  # noqa: E402
from torch import Tensor  # noqa: E402

from fst import images, store, stylefile  # noqa: E402
from fst.config.compose import compose  # noqa: E402
from fst.errors import UserError, one_line_errors  # noqa: E402
from fst.evaluate import judge  # noqa: E402
from fst.evaluate.figures import write_jpeg  # noqa: E402
from fst.files import write_json  # noqa: E402
from fst.methods.parts import automatic_style_weight, init_from  # noqa: E402
from fst.networks import Network, build  # noqa: E402
from fst.runfolder import STYLE  # noqa: E402
from fst.tracking.previews import side_by_side  # noqa: E402

RUNS = Path("runs", "adapt")
PAINTINGS = {  # of the store's paintings/, all held out by name from the network's training
    "souza": "Amadeo_de_Souza_Cardoso__i_fp004.jpg",
    "seurat": "Georges_Seurat__chahut.jpg",
    "vignal": "Pierre_Vignal__ill_004.jpg",
    "beardsley": "Aubrey_Beardsley__PORTRAIT_OF_MANTEGNA_From_The_Yellow_Book_Vol_II.jpg",
    "kobori": "Kobori_Tomoto__emperor_arriving_in_tokyo_by_kobori_tomoto_jpg.jpg",
}
NOTHING = ["method.init_from=null", "method.muon_learning_rate=0.008", "method.learning_rate=0.01"]
NOTHING += ["method.warmup_steps=50", "data.size=176"]  # the usual recipe
ARMS = {  # steps as many as two idle cores make in the time, start and end taken off
    "prediction": None,
    "adapt": [],
    "nothing-60s": [*NOTHING, "trainer.max_steps=400"],
    "nothing-5min": [*NOTHING, "trainer.max_steps=2600"],
    "nothing-20min": [*NOTHING, "trainer.max_steps=10400"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--paintings", nargs="+", default=list(PAINTINGS), choices=list(PAINTINGS))
    given = parser.parse_intermixed_args()
    with one_line_errors():
        for arm in given.arms:
            for name in given.paintings:
                if ARMS[arm] is not None:
                    train(name, arm, [*ARMS[arm], *given.settings])
        report(given.settings)


def train(name: str, arm: str, overrides: list[str]) -> None:
    """One run of train.py, unless its folder has a finished one."""
    folder = RUNS / arm / name
    if (folder / STYLE).is_file():
        return
    painting = ["style=custom", f"style.image={file(name)}", "logger=none", f"hydra.run.dir={folder}"]
    command = [sys.executable, str(ROOT / "train.py"), "method=adapt", *painting, *overrides]
    if subprocess.run(command).returncode:
        raise UserError(f"the run in {folder} did not finish")


def file(name: str) -> Path:
    """A painting's file in the store."""
    return store.home() / "paintings" / PAINTINGS[name]


def report(settings: list[str]) -> None:
    """The table, results.json, and a picture: painting, photo, and what the arms that all paintings have make of it."""
    photos = judge.read_photos(None)
    results, rows = {}, []
    shown = [
        arm for arm in ARMS if ARMS[arm] is None or all((RUNS / arm / name / STYLE).is_file() for name in PAINTINGS)
    ]
    for name in PAINTINGS:
        one, weight = judged(name, photos)
        photo = list(photos.values())[len(rows) % len(photos)]
        row = [images.square(judge.read_painting(str(file(name))), judge.SIDE), images.to_pixels(photo)]
        for arm in ARMS:
            made = network(name, arm, settings)
            if made is None:
                continue
            found = one.losses(judge.as_used(made))
            objective = found["content_loss"] + weight * found["style_loss"]
            results.setdefault(name, {"style_weight": weight})[arm] = {**found, "objective": objective}
            if arm in shown:
                row.append(images.to_pixels(judge.as_used(made)(photo)))
        rows.append(side_by_side(row))
    write_json(HERE / "results.json", results)
    write_jpeg(HERE / "figure.jpg", side_by_side([row.transpose(1, 0, 2) for row in rows]).transpose(1, 0, 2).copy())
    print("\n".join(_lines(results)))


def judged(name: str, photos: Mapping[str, Tensor]) -> tuple[judge.Judge, float]:
    """What tells content and style loss of a painting, and the painting's own style weight."""
    one = judge.judges(photos, style_weight=1.0)(str(file(name)))
    return one, automatic_style_weight(one.style.energy(one.criterion.style.layer_weights))


def _lines(results: dict[str, dict]) -> list[str]:
    lines = [f"| painting | style weight | {' | '.join(ARMS)} |", f"|---|{'---:|' * (1 + len(ARMS))}"]
    for name, found in results.items():
        cells = [f"{found[arm]['objective']:.1f}" if arm in found else "" for arm in ARMS]
        lines.append(f"| {name} | {found['style_weight']:.2g} | {' | '.join(cells)} |")
    shared = {arm: [found[arm]["objective"] for found in results.values() if arm in found] for arm in ARMS}
    cells = [f"{statistics.median(values):.1f}" if len(values) == len(results) else "" for values in shared.values()]
    return [*lines, f"| median | | {' | '.join(cells)} |"]


def network(name: str, arm: str, overrides: list[str]) -> Network | None:
    """What an arm has made, in evaluation mode; None: it was not trained here."""
    if ARMS[arm] is not None:
        path = RUNS / arm / name / STYLE
        return stylefile.load(path)[0] if path.is_file() else None
    config = compose(["method=adapt", "style=custom", f"style.image={file(name)}", *overrides])
    settings = {key: value for key, value in OmegaConf.to_container(config.network).items() if key != "name"}
    made = build(config.network.name, **settings)
    init_from(made, config.method.init_from, config.network.name, judge.read_painting(str(file(name))))
    return made.eval().requires_grad_(False)


if __name__ == "__main__":
    main()

"""The hour when a GPU is there: python -m experiments.gpu.run PART ... --out FOLDER

Parts, in the order that they are best run in: tests, bench, networks, box, johnson, many. Each writes into FOLDER what
it made, and a table or a log; a part that is broken off is run again by its name.
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
import time
from pathlib import Path

import torch

from experiments.gpu import bench, pictures, styles, trunk
from experiments.gpu.captured import run_together
from experiments.gpu.paintings import BOX, MANY, MORE
from experiments.gpu.styles import How
from fst.errors import one_line_errors

ROOT = Path(__file__).parent.parent.parent
NETWORKS = {  # of `networks`: what the default is chosen from
    "default": {},
    "shallow": {"depths": [0, 1, 2]},
    "w96": {"widths": [16, 32, 96]},
    "w128": {"widths": [16, 32, 128]},
    "wide": {"widths": [16, 48, 96]},
    "deep": {"depths": [0, 1, 6]},
}


def main(arguments: list[str]) -> None:
    """Run the parts named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=["tests", "bench", "networks", "box", "more", "johnson", "many"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=10_000, help="of each network of one style")
    parser.add_argument("--many-steps", type=int, default=60_000)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--many-batch", type=int, default=16, help="half of it is predicted")
    parser.add_argument("--crops-each", type=int, default=8, help="of each painting that is predicted")
    parser.add_argument("--together", type=int, default=3, help="networks that are trained at once")
    parser.add_argument("--settings", default="", help="of the network, as widths=16,32,96 depths=0,1,4")
    parser.add_argument("--only", default="", help="styles, separated by commas")
    parser.add_argument("--crop", type=int, default=styles.CROP, help="edge of what the losses see")
    parser.add_argument("--start", type=Path, help="a folder of style files that are trained further, as fst/styles")
    parser.add_argument("--rate", type=float, default=1.0, help="all learning rates are multiplied by it")
    parser.add_argument("--style-weight", type=float, help="of every painting, instead of its own")
    parser.add_argument("--checkerboard", type=float, default=0.0, help="weight of that term, which sees skies too")
    parser.add_argument("--evenness", type=float, default=0.0, help="weight of that term, for calm skies")
    parser.add_argument("--compile", action="store_true", help="network and losses")
    parser.add_argument("--tiny", action="store_true", help="a few steps of everything, on any machine")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    if "tests" in options.parts:
        command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "tests/test_cuda.py"]
        subprocess.run(command, cwd=ROOT, check=False)
    if set(options.parts) - {"tests"}:
        _train(options)


def _train(options: argparse.Namespace) -> None:
    began = time.perf_counter()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    bank, _ = pictures.photos(device)
    studio = styles.Studio(device, bank)
    print(f"{len(bank.pixels)} photos in memory after {time.perf_counter() - began:.0f} s", flush=True)
    if "bench" in options.parts:
        _measure(options, studio)
    jobs = []
    for part, make in _makers(options, studio).items():
        if part in options.parts:
            jobs += make()
    run_together(jobs, 1 if options.tiny else options.together, every=2 if options.tiny else 1000)


def _measure(options: argparse.Namespace, studio: styles.Studio) -> None:
    """Writes OUT/bench.md, row by row."""
    tiny = options.tiny
    networks = ["realtime"] if tiny else ["realtime", "johnson"]
    how = How(10**6, crop=64 if tiny else options.crop)
    batches, steps = ([1], 1) if tiny else ([4, 16, 64], 10)
    sizes = {"64×64": (64, 64)} if tiny else bench.SIZES
    rows = bench.training(studio, options.out, how, batches, networks, steps)
    rows += ["", *bench.painting(studio.device, networks, sizes, 1 if tiny else 9)]
    (options.out / "bench.md").write_text("\n".join(rows) + "\n", encoding="utf-8")


def _makers(options: argparse.Namespace, studio: styles.Studio) -> dict:
    given = dict(pair.split("=") for pair in options.settings.split())
    settings = {key: [int(number) for number in value.split(",")] for key, value in given.items()}
    only = options.only.split(",") if options.only else list(MANY)
    shared = {
        "checkerboard": options.checkerboard,
        "evenness": options.evenness,
        "rate": options.rate,
        "start": options.start,
        "crop": options.crop,
        "fused": options.compile,
    }
    how = How(options.steps, options.batch, **shared)
    of_many = How(options.many_steps, options.many_batch, **shared)
    if options.tiny:
        how, of_many = (dataclasses.replace(one, steps=2, batch=2, crop=64) for one in (how, of_many))

    def one(name: str, style: str, network: str = "realtime", of: dict | None = None) -> object:
        chosen, painting = settings if of is None else of, MANY[style]
        if options.style_weight:
            painting = dataclasses.replace(painting, style_weight=options.style_weight)
        return styles.job(studio, name, painting, options.out, how, network=network, settings=chosen)

    return {
        "many": lambda: [
            trunk.job(
                studio,
                {name: MANY[name] for name in MANY if name in only or options.start},
                options.out,
                of_many,
                predicted=of_many.batch // 2,
                crops_each=1 if options.tiny else options.crops_each,
                most=4 if options.tiny else None,
                settings=settings,
            )
        ],
        "networks": lambda: [one(f"gogh-{name}", "gogh", of=of) for name, of in NETWORKS.items()],
        "box": lambda: [one(name, name) for name in BOX if name in only],
        "more": lambda: [one(name, name) for name in MORE if name in only],
        "johnson": lambda: [one(f"{name}-johnson", name, "johnson", {}) for name in BOX if name in only],
    }


if __name__ == "__main__":
    with one_line_errors():
        main(sys.argv[1:])

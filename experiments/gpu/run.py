"""The hour when a GPU is there: python -m experiments.gpu.run PART ... --out FOLDER

Parts, in the order that they are best run in: tests, bench, networks, box, johnson, many. Each writes into FOLDER what
it made, and a table or a log; a part that is broken off is run again by its name.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import torch

from experiments.gpu import bench, pictures, styles, trunk
from experiments.gpu.captured import run_together
from experiments.gpu.paintings import BOX, MANY, MORE
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
    parser.add_argument("--together", type=int, default=3, help="networks that are trained at once")
    parser.add_argument("--settings", default="", help="of the network, as widths=16,32,96 depths=0,1,4")
    parser.add_argument("--only", default="", help="styles, separated by commas")
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
    tiny = options.tiny
    if "bench" in options.parts:
        rows = bench.training(
            studio,
            options.out,
            [1] if tiny else [4, 8, 16, 64],
            ["realtime"] if tiny else ["realtime", "johnson"],
            64 if tiny else styles.CROP,
            1 if tiny else 10,
        )
        sizes = {"64×64": (64, 64)} if tiny else bench.SIZES
        rows += ["", *bench.painting(device, ["realtime", "johnson"], sizes, 1 if tiny else 9)]
        (options.out / "bench.md").write_text("\n".join(rows) + "\n", encoding="utf-8")
    jobs = []
    crop = 64 if tiny else styles.CROP
    for part, make in _makers(options, studio, crop).items():
        if part in options.parts:
            jobs += make()
    run_together(jobs, options.together, every=2 if tiny else 1000)


def _makers(options: argparse.Namespace, studio: styles.Studio, crop: int) -> dict:
    given = dict(pair.split("=") for pair in options.settings.split())
    settings = {key: [int(number) for number in value.split(",")] for key, value in given.items()}
    steps, batch = (2, 1) if options.tiny else (options.steps, options.batch)
    only = options.only.split(",") if options.only else list(MANY)

    def one(name: str, style: str, network: str = "realtime", of: dict | None = None) -> object:
        how = {"steps": steps, "batch": batch, "network": network, "crop": crop}
        return styles.job(studio, name, MANY[style], options.out, settings=settings if of is None else of, **how)

    return {
        "many": lambda: [
            trunk.job(
                studio,
                {name: MANY[name] for name in MANY if name in only},
                options.out,
                steps=2 if options.tiny else options.many_steps,
                batch=2 if options.tiny else 16,
                predicted=1 if options.tiny else 10,
                crops_each=1 if options.tiny else 8,
                crop=crop,
                most=4 if options.tiny else None,
                settings=settings,
            )
        ],
        "networks": lambda: [one(f"gogh-{name}", "gogh", of=of) for name, of in NETWORKS.items()],
        "box": lambda: [one(name, name) for name in BOX if name in only],
        "more": lambda: [one(name, name) for name in MORE if name in only],
        "johnson": lambda: [
            one(f"{name}-johnson", name, "johnson", {}) for name in ("gogh", "hokusai") if name in only
        ],
    }


if __name__ == "__main__":
    with one_line_errors():
        main(sys.argv[1:])

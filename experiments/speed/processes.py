"""Two processes against one: python experiments/speed/processes.py [--steps 20] [--size 256] [--batch 4]

Trains the real-time network with the small loss network on drawn images, once in one process and once in two with half
of each batch (DDP; gloo on CPUs, NCCL where there are two GPUs), and prints medians of images a second, and the last
loss of each, which must agree. Both runs are `train.py` as users call it.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
SETTINGS = (
    "style=gogh network=realtime loss=vgg16_small compile=false data=procedural data.val_images=2 logger=csv "
    "trainer.log_every=1"
)


def train(folder: Path, processes: int, chosen: argparse.Namespace) -> list[dict[str, str]]:
    """The rows of metrics.csv of a run of so many processes."""
    changes = {
        "data.size": chosen.size,
        "data.batch_size": chosen.batch // processes,  # of each process
        "data.scale": "[1.0,1.0]",
        "trainer": "ddp",
        "trainer.devices": processes,
        "trainer.max_steps": chosen.steps,
        "trainer.val_every": chosen.steps,
        "hydra.run.dir": folder / str(processes),
    }
    words = [*SETTINGS.split(), *(f"{key}={value}" for key, value in changes.items())]
    subprocess.run([sys.executable, str(ROOT / "train.py"), *words], check=True, stdout=subprocess.DEVNULL)
    with next((folder / str(processes)).rglob("metrics.csv")).open() as file:
        return list(csv.DictReader(file))


def column(rows: list[dict[str, str]], name: str) -> list[float]:
    return [float(row[name]) for row in rows if row.get(name)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=4)
    chosen = parser.parse_args()
    print(f"global batch {chosen.batch} at {chosen.size}², {chosen.steps} steps, network=realtime, loss=vgg16_small")
    print("| processes | images/s | times one | last loss |")
    print("|---:|---:|---:|---:|")
    alone = None
    with tempfile.TemporaryDirectory() as folder:
        for processes in (1, 2):
            rows = train(Path(folder), processes, chosen)
            rate = statistics.median(column(rows, "train/images_per_second")[2:])
            alone = alone or rate
            print(
                f"| {processes} | {rate:.2f} | {rate / alone:.2f} | {column(rows, 'train/loss')[-1]:.4g} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

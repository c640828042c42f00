"""Two processes against one: python experiments/speed/processes.py [--steps 20] [--size 256] [--batch 4]

Trains the real-time network with the small loss network on drawn images, once in one process and once in two with half
of each batch (DDP; gloo on CPUs, NCCL where there are two GPUs), and prints medians of images a second, and the last
loss of each, which must agree. Both runs are `train.py` as users call it.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from fst.compare import reading

ROOT = Path(__file__).parents[2]
SETTINGS = (
    "style=gogh network=realtime loss=vgg16_small compile=false data=procedural data.val_images=2 logger=none "
    "trainer.log_every_n_steps=1"
)


def train(folder: Path, processes: int, chosen: argparse.Namespace) -> dict[str, list[float]]:
    """The metrics of a run of so many processes, step by step."""
    changes = {
        "data.size": chosen.size,
        "data.batch_size": chosen.batch // processes,  # of each process
        "data.scale": "[1.0,1.0]",
        "trainer": "ddp",
        "trainer.devices": processes,
        "trainer.max_steps": chosen.steps,
        "trainer.val_check_interval": chosen.steps,
        "hydra.run.dir": folder / str(processes),
    }
    words = [*SETTINGS.split(), *(f"{key}={value}" for key, value in changes.items())]
    subprocess.run([sys.executable, str(ROOT / "train.py"), *words], check=True, stdout=subprocess.DEVNULL)
    series = reading.read(folder / str(processes), str(processes)).series
    return {metric: [value for _, value in points] for metric, points in series.items()}


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
            metrics = train(Path(folder), processes, chosen)
            rate = statistics.median(metrics["train/images_per_second"][2:])
            alone = alone or rate
            print(
                f"| {processes} | {rate:.2f} | {rate / alone:.2f} | {metrics['train/loss'][-1]:.4g} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

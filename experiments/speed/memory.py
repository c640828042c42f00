"""What painting a photo takes, whole and in strips: python experiments/speed/memory.py [STYLE...] [--pixels WxH]

Each row is a process of its own: the memory that painting took beyond what it began with, by the photo's pixels, and
seconds. `fst.stylize` has these figures as `bytes_per_pixel`, by which a photo is painted whole or in strips.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from measures import peak_memory

WAYS = (("openvino", "int8"), ("openvino", "f32"), ("torch", "f32"), ("strips", "f32"))


def painted(style: str, way: str, precision: str, width: int, height: int) -> dict[str, float]:
    """Bytes a pixel and seconds of one photo."""
    from fst.stylize import Stylizer, framing

    framing.WHOLE = 0 if way == "strips" else float("inf")
    stylizer = Stylizer.load(style, backend="torch" if way == "strips" else way, precision=precision)
    photo = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    stylizer(photo[:256, :256])
    before, began = peak_memory(), time.perf_counter()
    stylizer(photo)
    seconds = time.perf_counter() - began
    return {"bytes": (peak_memory() - before) / (width * height), "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("styles", nargs="*", default=["gogh", "gogh-johnson"])
    parser.add_argument("--pixels", default="2000x1500")
    chosen = parser.parse_args()
    size = [int(side) for side in chosen.pixels.split("x")]
    print(f"| style, {chosen.pixels} | by | precision | bytes a pixel | s |\n|---|---|---|---:|---:|", flush=True)
    for style, (way, precision) in itertools.product(chosen.styles, WAYS):
        words = json.dumps([style, way, precision, *size])
        done = subprocess.run([sys.executable, Path(__file__), words], stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout)
        print(f"| {style} | {way} | {precision} | {found['bytes']:.0f} | {found['seconds']:.1f} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].startswith("["):
        print(json.dumps(painted(*json.loads(sys.argv[1]))))
    else:
        main()

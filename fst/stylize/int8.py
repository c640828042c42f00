"""A graph with its convolutions in 8 bits: post-training quantisation by NNCF, calibrated on pictures.

Convolutions alone are quantised. Instance normalisation and the sums of residual blocks stay in 32 bits, where they
cost little and where 8 bits would be seen: sums in 8 bits take 7 dB off Johnson's network (35.5 instead of 42.7 dB).
Made pictures do as calibration what photos do (43.5 and 42.9 dB on photos of a realtime style; plain noise, 37.8).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
from pathlib import Path

import cv2
import numpy as np
import openvino as ov

from fst import images
from fst.errors import require

PICTURES = 32  # few are enough: normalised layers have about the same range in every picture
SIDE = 256
SHAPES = 60  # in a made picture
IN_FLOAT = ["MVN", "Add", "Multiply", "Subtract", "Divide"]


def calibration_key(folder: str | None) -> str:
    """What a cache of graphs calibrated on a folder's photos depends on.

    Raises:
        UserError: the folder is missing or holds no image.
    """
    if folder is None:
        return ""
    stamps = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in _photos(folder)]
    return hashlib.sha256(repr(stamps).encode()).hexdigest()


def quantise(core: ov.Core, graph: Path, target: Path, folder: str | None) -> None:
    """Write a graph of uint8 frames again with its convolutions in 8 bits.

    Args:
        core: reads the graph.
        graph: the .xml file of a graph whose input is (1, H, W, 3).
        target: the .xml file to write.
        folder: photos to calibrate on; None: made pictures.

    Raises:
        UserError: NNCF is not installed, or the folder holds no photo that can be read.
    """
    require("nncf", "precision=int8", otherwise="precision=auto")
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # which NNCF imports, and misses CUDA
    import nncf

    nncf.set_log_level(logging.ERROR)
    pictures = [_square(images.read(path)) for path in _photos(folder)] if folder is not None else _made_pictures()
    with contextlib.redirect_stdout(io.StringIO()):  # its progress bar; standard output may be a picture's
        model = nncf.quantize(
            core.read_model(graph),
            nncf.Dataset([picture[None] for picture in pictures]),
            subset_size=len(pictures),
            ignored_scope=nncf.IgnoredScope(types=IN_FLOAT, validate=False),
        )
    ov.save_model(model, target, compress_to_fp16=False)


def _photos(folder: str) -> list[Path]:
    found = images.files(Path(folder).expanduser())
    return found[:: max(1, len(found) // PICTURES)][:PICTURES]


def _square(pixels: np.ndarray) -> np.ndarray:
    """The middle of a picture, its short side at SIDE pixels."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    return images.resize(pixels, (SIDE, SIDE), box=((height - side) / 2, (width - side) / 2, side, side))


def _made_pictures() -> list[np.ndarray]:
    """What photos have in common: flat shapes that occlude each other (Lee, Mumford and Huang 2001), over 1/f noise."""
    random = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])
    frequency[0, 0] = 1 / SIDE
    pictures = []
    for _ in range(PICTURES):
        spectrum = np.fft.rfft2(random.normal(size=(3, SIDE, SIDE))) / frequency ** random.uniform(0.8, 1.4)
        noise = np.fft.irfft2(spectrum, s=(SIDE, SIDE))
        noise = 0.6 * noise + 1.5 * noise.mean(axis=0)  # colours go together, as in photos
        levels = noise / noise.std() * random.uniform(20, 60) + random.uniform(60, 195, (3, 1, 1))
        picture = np.ascontiguousarray(levels.clip(0, 255).astype(np.uint8).transpose(1, 2, 0))
        pictures.append(_with_shapes(picture, random))
    return pictures


def _with_shapes(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Ellipses, many small and few large, each in one colour of any brightness; some of the noise shines through."""
    shapes = picture.copy()
    for _ in range(SHAPES):
        axes = np.minimum(4 / random.uniform(0.04, 1, 2), SIDE / 2).astype(int).tolist()
        centre = random.integers(0, SIDE, 2).tolist()
        colour = (random.uniform(0, 255) + random.normal(0, 35, 3)).clip(0, 255).tolist()
        cv2.ellipse(shapes, centre, axes, random.uniform(0, 180), 0, 360, colour, cv2.FILLED, cv2.LINE_AA)
    return cv2.addWeighted(shapes, 0.85, picture, 0.15, 0)

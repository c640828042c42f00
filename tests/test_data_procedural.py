from itertools import pairwise

import cv2
import numpy as np
import torch

from fst.config.schema import DataConfig
from fst.data.materials import blurred
from fst.data.order import DRAWING, generator
from fst.data.photo_data import PhotoData
from fst.data.procedural import DrawnImages, draw, held_out_drawings


def test_a_drawing_depends_on_seed_and_index_alone():
    one, other = DrawnImages(64, seed=1), DrawnImages(64, seed=2)
    first = [one[i] for i in range(6)]
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    assert all(torch.equal(one[i], first[i]) for i in (5, 2, 0))
    cv2.setNumThreads(threads)
    assert len({image.numpy().tobytes() for image in [*first, *(other[i] for i in range(6))]}) == 12
    assert first[0].shape == (3, 64, 64) and first[0].dtype == torch.uint8


def test_any_size():
    for size in (16, 33, 200):
        assert draw(size, generator(0, DRAWING, 7)).shape == (size, size, 3)


def test_held_out_drawings_are_never_trained_on():
    data = PhotoData(DataConfig(name="procedural", size=32, val_images=5, workers=0), seed=0)
    names = [name for name, _ in data.preview_photos(5)]
    assert names == [f"{i:02d}_procedural" for i in range(5)] and data.skipped == 0
    held = {image.numpy().tobytes() for _, image in held_out_drawings(5, 32)}
    drawn = DrawnImages(32, seed=0)
    assert len(held) == 5 and not held & {drawn[i].numpy().tobytes() for i in range(20)}
    other = PhotoData(DataConfig(name="procedural", size=32, val_images=5, workers=0), seed=9)
    assert torch.equal(other.preview_photos(1)[0][1], data.preview_photos(1)[0][1]), "the same for every seed"


def test_a_wide_blur_is_as_wide_as_it_says():
    edge = np.zeros((96, 128), np.float32)
    edge[:, 64:] = 255
    for sigma in (1.5, 10.0):  # the second at a fifth of the resolution
        assert np.abs(blurred(edge, sigma) - cv2.GaussianBlur(edge, (0, 0), sigma)).max() < 10


def test_statistics_are_those_of_photographs():
    """Amplitude falls as 1/f (photographs: exponents of 0.8 to 1.5), brightness varies, colour varies less."""
    images = np.stack([draw(128, generator(0, DRAWING, i)) for i in range(40)]).astype(np.float64)
    grey = images.mean(axis=-1)
    assert 80 < grey.mean() < 150 and 35 < grey.std(axis=(1, 2)).mean() < 75
    assert images.std(axis=-1).mean() < grey.std(axis=(1, 2)).mean()
    assert np.mean((images <= 0) | (images >= 255)) < 0.15
    jumps = np.abs(np.diff(images, axis=2)).max(-1)
    assert np.mean(jumps > 200) < 0.002, "what is too bright is white, not black"
    window = np.hanning(128)[:, None] * np.hanning(128)
    power = (np.abs(np.fft.fft2((grey - grey.mean(axis=(1, 2), keepdims=True)) * window)) ** 2).mean(axis=0)
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128)))
    bands = np.geomspace(3 / 128, 0.4, 8)
    levels = [power[(radius >= low) & (radius < high)].mean() for low, high in pairwise(bands)]
    slope = np.polyfit(np.log(np.sqrt(bands[1:] * bands[:-1])), np.log(levels) / 2, 1)[0]
    assert -1.6 < slope < -0.8

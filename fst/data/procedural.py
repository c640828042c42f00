"""Images drawn on the fly, endless and seeded: for training where there are no photos.

A dead-leaves model: shapes whose sizes follow a power law occlude each other, which gives images the scale
invariance, edges and 1/f spectrum of photographs (Lee, Mumford, Huang 2001, "Occlusion models for natural images").
The shapes are of some material, cast shadows, lie out of focus at times, and are lit unevenly.
"""

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from fst.data.materials import Materials, blurred, strokes
from fst.data.order import DRAWING, HELD_OUT, generator
from fst.data.training_photos import Held, as_tensor

HELD_OUT_SEED = 0  # held-out images do not depend on the run's seed, as held-out photos do not


class DrawnImages(Dataset):
    """Sample i is a pure function of (seed, i): uint8 (3, size, size)."""

    def __init__(self, size: int, *, seed: int) -> None:
        self.size, self.seed = size, seed

    def __getitem__(self, index: int) -> torch.Tensor:
        return as_tensor(draw(self.size, generator(self.seed, DRAWING, index)))


def held_out_drawings(count: int, size: int) -> Held:
    """Images from a stream that training never draws from."""
    numbered = ((i, draw(size, generator(HELD_OUT_SEED, HELD_OUT, i))) for i in range(count))
    return [(f"{i:02d}_procedural", as_tensor(image)) for i, image in numbered]


def draw(size: int, rng: np.random.Generator) -> np.ndarray:
    """One image, uint8 (size, size, 3) RGB."""
    materials = Materials(size, rng)
    canvas = _background(size, materials)
    for _ in range(rng.integers(1, 4)):
        if rng.random() < 0.5:  # what lies behind is out of focus
            canvas = blurred(canvas, size * 10 ** rng.uniform(-2.8, -1.6))
        _scatter_shapes(canvas, materials)
        if rng.random() < 0.4:
            _scatter_lines(canvas, materials)
    return _developed(canvas, rng).transpose(1, 2, 0)


def _background(size: int, materials: Materials) -> np.ndarray:
    canvas = materials.surface(size, size)
    if materials.rng.random() < 0.5:  # ground below a horizon
        top = int(size * materials.rng.uniform(0.3, 0.8))
        canvas[:, top:] = materials.surface(size - top, size)
    return np.clip(canvas, 0, 255)


def _scatter_shapes(canvas: np.ndarray, materials: Materials) -> None:
    """Shapes with radii of density r^-3 between two bounds, the larger ones mostly behind the smaller."""
    size, rng = canvas.shape[1], materials.rng
    least, count = 10 ** rng.uniform(-1.9, -1.0), int(rng.integers(4, 36))
    radii = np.minimum(least / np.sqrt(rng.uniform(0.002, 1, count)), 0.5)
    for radius in size * radii[np.argsort(-radii * rng.uniform(0.3, 1, count))]:
        _paste_shape(canvas, radius, materials)


def _paste_shape(canvas: np.ndarray, radius: float, materials: Materials) -> None:
    rng, size = materials.rng, canvas.shape[1]
    outline = _outline(radius, rng) + rng.uniform(0, size, 2)
    margin = 2 + radius * 0.3
    left, top = np.maximum(np.floor(outline.min(axis=0) - margin), 0).astype(int)
    right, bottom = np.minimum(np.ceil(outline.max(axis=0) + margin), size).astype(int)
    if right - left < 3 or bottom - top < 3:
        return
    region = canvas[:, top:bottom, left:right]
    mask = np.zeros(region.shape[1:], np.uint8)
    cv2.fillPoly(mask, [np.round((outline - (left, top)) * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    cover = mask * np.float32(1 / 255)

    shading = rng.random()
    if shading < 0.3:  # a shadow on what lies behind
        shadow = blurred(_shifted(cover, rng.uniform(-0.25, 0.25, 2) * radius), max(1.0, radius * 0.12))
        region *= 1 - np.float32(rng.uniform(0.2, 0.7)) * shadow
    filled = materials.surface(*mask.shape)
    if shading > 0.6:  # round: darker away from the light
        light = blurred(_shifted(cover, rng.uniform(-0.5, 0.5, 2) * radius), max(1.0, radius * 0.3))
        filled *= np.float32(rng.uniform(0.2, 0.7)) + light
    region += cover * (np.clip(filled, 0, 255) - region)


def _outline(radius: float, rng: np.random.Generator) -> np.ndarray:
    """Points (N, 2) around the origin: an ellipse, a polygon, a bar or a blob."""
    kind = rng.random()
    if kind < 0.45:
        corners = 32 if kind < 0.15 else int(rng.integers(3, 8))
        angles = np.arange(corners) * (2 * np.pi / corners)
        reach = np.ones(corners) if kind < 0.3 else rng.uniform(0.5, 1.2, corners)
        flat = rng.uniform(0.5, 1)
    elif kind < 0.65:
        angles, reach = np.pi / 4 * np.array([1, 3, 5, 7]), np.full(4, 1.2)
        flat = rng.uniform(0.4, 1) if kind < 0.55 else rng.uniform(0.05, 0.3)
    else:
        angles, waves = np.arange(48) * (2 * np.pi / 48), np.arange(2, 8)
        reach = 1 + np.cos(angles[:, None] * waves + rng.uniform(0, 2 * np.pi, 6)) @ (rng.normal(0, 0.35, 6) / waves)
        flat = rng.uniform(0.4, 1)
    points = radius * reach[:, None] * np.stack([np.cos(angles) * flat**-0.5, np.sin(angles) * flat**0.5], axis=1)
    turn = rng.uniform(0, 2 * np.pi) if rng.random() < 0.7 else 0  # much in the world stands upright
    cos, sin = np.cos(turn), np.sin(turn)
    return points @ np.array([[cos, sin], [-sin, cos]])


def _scatter_lines(canvas: np.ndarray, materials: Materials) -> None:
    """Bundles of bent lines: twigs, wires, hair, cracks."""
    size, rng = canvas.shape[1], materials.rng
    for _ in range(rng.integers(1, 4)):
        count, wander = int(rng.integers(1, 12)), rng.uniform(0, 0.5)
        headings = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, wander, (count, 12)), axis=1)
        steps = size * rng.uniform(0.02, 0.12) * np.stack([np.cos(headings), np.sin(headings)], axis=2)
        starts = rng.uniform(0, size, 2) + rng.normal(0, size * 0.08, (count, 1, 2))
        width = max(1, round(size * 10 ** rng.uniform(-2.8, -1.7)))
        cover = strokes(starts + np.cumsum(steps, axis=1), (size, size), width)
        canvas += np.float32(rng.uniform(0.5, 1)) * cover * (np.clip(materials.colour(), 0, 255) - canvas)


def _shifted(cover: np.ndarray, offset: np.ndarray) -> np.ndarray:
    move = np.array([[1, 0, offset[0]], [0, 1, offset[1]]], np.float32)
    return cv2.warpAffine(cover, move, cover.shape[::-1])


def _developed(canvas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What light and camera do: uneven light, softness, contrast, grain."""
    size = canvas.shape[1]
    if rng.random() < 0.7:
        light = np.exp(rng.normal(0, 0.3, (3, 3))).astype(np.float32)
        canvas = canvas * cv2.resize(light, (size, size), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.3:
        canvas = blurred(canvas, size * 10 ** rng.uniform(-2.7, -2.0))
    contrast = min(rng.uniform(42, 72) / max(canvas.std(), 8), 2.0)
    canvas = (canvas - canvas.mean()) * np.float32(contrast) + np.float32(rng.uniform(85, 145))
    if rng.random() < 0.5:
        canvas += rng.standard_normal((size, size), dtype=np.float32) * np.float32(rng.uniform(1, 7))
    return np.clip(canvas, 0, 255).astype(np.uint8)

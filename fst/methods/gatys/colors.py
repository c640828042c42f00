"""Whose colours the picture has: the painting's, the photo's, or the painting's after matching them to the photo.

Gatys, Bethge, Hertzmann, Shechtman 2016, "Preserving Color in Neural Artistic Style Transfer".
"""

import cv2
import numpy as np


def match_colors(painting: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """The painting with the photo's mean colour and covariance, by a linear map of its colours (section 4.1).

    The map is Σ_photo^½ Σ_painting^-½, of the linear maps that do so the one without a rotation of its own.
    Both are uint8 (H, W, 3) RGB; so is the result, clipped.
    """
    colours = painting.reshape(-1, 3).astype(np.float64)
    wanted = photo.reshape(-1, 3).astype(np.float64)
    change = _root(np.cov(wanted.T), 0.5) @ _root(np.cov(colours.T), -0.5)
    changed = (colours - colours.mean(0)) @ change.T + wanted.mean(0)
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8).reshape(painting.shape)


def match_luminance(painting: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """The painting in grey, its luminance with the photo's mean and standard deviation (section 4.2)."""
    grey, wanted = luminance(painting)[..., 0].astype(np.float64), luminance(photo)[..., 0].astype(np.float64)
    changed = (grey - grey.mean()) * (wanted.std() / max(grey.std(), 1e-6)) + wanted.mean()
    return np.repeat(np.clip(np.rint(changed), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def luminance(pixels: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) in grey: Rec. 601 luma in each channel."""
    return np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


def _root(covariance: np.ndarray, power: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.maximum(values, 1e-3) ** power) @ vectors.T  # 1e-3: of levels 0..255, for one-coloured images

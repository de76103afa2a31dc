"""Landmarks: annotated pixels against estimates, both as fractions of what the network was shown.

A landmark is (visibility, x, y), its visibility as `fashion.domain` has it.
"""

import numpy as np

from fashion.domain import NO_SUCH, UNUSED, VISIBLE


def as_fractions(points_N83: np.ndarray, parts_N4: np.ndarray) -> np.ndarray:
    """(visibility, x, y) in pixels -> x and y as fractions of the parts; visibility as it is."""
    return _moved(points_N83, parts_N4[:, None, :2], parts_N4[:, None, 2:] - parts_N4[:, None, :2])


def in_picture(points_N83: np.ndarray, parts_N4: np.ndarray, sizes_N2: np.ndarray) -> np.ndarray:
    """(visibility, x, y) as fractions of the parts -> as fractions of the whole pictures; sizes are width, height."""
    sizes_N12, corner_N12 = sizes_N2[:, None], parts_N4[:, None, :2]
    scale_N12 = sizes_N12 / (parts_N4[:, None, 2:] - corner_N12)
    return _moved(points_N83, -corner_N12 * scale_N12 / sizes_N12, scale_N12)


def estimated(landmarks_N82: np.ndarray, visibility_N84: np.ndarray) -> np.ndarray:
    """(N, 8, 3) float64 of the network's positions and its most likely visibility."""
    kind_N8 = visibility_N84.argmax(2)
    return np.concatenate([np.where(kind_N8 == NO_SUCH, UNUSED, kind_N8)[..., None], landmarks_N82], axis=2)


def errors(estimated_N83: np.ndarray, true_N83: np.ndarray) -> np.ndarray:
    """(N, 8) normalised errors of the landmarks annotated as visible, nan for the others: the distance between estimate
    and annotation, x in widths and y in heights (Liu et al., ECCV 2016)."""
    error_N8 = np.hypot(*np.moveaxis(estimated_N83[..., 1:] - true_N83[..., 1:], 2, 0))
    return np.where(true_N83[..., 0] == VISIBLE, error_N8, np.nan)


def _moved(points_N83: np.ndarray, origin: np.ndarray, scale: np.ndarray) -> np.ndarray:
    points_N83 = np.array(points_N83, np.float64)
    points_N83[..., 1:] = (points_N83[..., 1:] - origin) / scale
    return points_N83

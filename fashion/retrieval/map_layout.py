"""Where the report's map of embeddings places its points and pictures."""

import numpy as np


def pca_2d(embeddings_ND: np.ndarray) -> np.ndarray:
    """Coordinates (N, 2) of the embeddings on their two main axes, in float64, centred at the origin.

    An axis points the way its largest component is positive, so the map does not flip from run to run. Axes that do not
    exist (fewer than two dimensions, or photos that are all alike) are zero.
    """
    centred_ND = np.asarray(embeddings_ND, dtype=np.float64)
    if centred_ND.ndim != 2:
        raise ValueError(f"embeddings of shape {centred_ND.shape}: expected (N, D)")
    count, size = centred_ND.shape
    coordinates_N2 = np.zeros((count, 2))
    if count == 0 or size == 0:
        return coordinates_N2
    centred_ND = centred_ND - centred_ND.mean(axis=0)
    axes_AD = np.linalg.svd(centred_ND, full_matrices=False)[2][:2]
    peaks_A = axes_AD[np.arange(len(axes_AD)), np.abs(axes_AD).argmax(axis=1)]
    coordinates_N2[:, : len(axes_AD)] = centred_ND @ (axes_AD.T * np.where(peaks_A < 0, -1.0, 1.0))
    return coordinates_N2


def fill_unit_square(points_N2: np.ndarray, margin: float = 0.04) -> np.ndarray:
    """Points (N, 2) moved and stretched, each axis by itself, into [margin, 1 - margin]; a flat axis goes to 0.5."""
    points_N2 = np.asarray(points_N2, dtype=np.float64).reshape(-1, 2)
    if not len(points_N2):
        return points_N2
    low_2, high_2 = points_N2.min(axis=0), points_N2.max(axis=0)
    span_2 = high_2 - low_2
    unit_N2 = np.where(span_2 > 0, (points_N2 - low_2) / np.where(span_2 > 0, span_2, 1.0), 0.5)
    return margin + unit_N2 * (1 - 2 * margin)


def thumbnails_that_fit(points_N2: np.ndarray, width: float, height: float) -> list[bool]:
    """Which points can carry a picture of width x height (in the points' units, centred on them) with no two
    overlapping: first come, first served."""
    placed: list[tuple[float, float]] = []
    fits = []
    for x, y in np.asarray(points_N2, dtype=np.float64).reshape(-1, 2).tolist():
        free = all(abs(x - px) >= width or abs(y - py) >= height for px, py in placed)
        fits.append(free)
        if free:
            placed.append((x, y))
    return fits

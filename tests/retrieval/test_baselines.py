"""The colour histogram against a plain count with the standard library's colour conversion."""

import colorsys

import numpy as np
import torch

from fashion.retrieval.baselines import BINS, HISTOGRAM, colour_histogram


def test_histogram_equals_counting_pixels_one_by_one():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 3, 9, 7), dtype=np.uint8)
    images[0] = 77  # a grey picture has no hue and no saturation
    found = colour_histogram(torch.from_numpy(images)).numpy()
    for image, histogram in zip(images, found, strict=True):
        counts = np.zeros(HISTOGRAM)
        for pixel in image.reshape(3, -1).T / 255:
            h, s, v = colorsys.rgb_to_hsv(*pixel)
            code = [min(int(x * bins + 1e-6), bins - 1) for x, bins in zip((h, s, v), BINS, strict=True)]
            counts[(code[0] * BINS[1] + code[1]) * BINS[2] + code[2]] += 1
        expected = np.sqrt(counts / counts.sum())
        # A pixel on a bin's edge may fall either way in float32.
        assert np.abs(expected**2 - histogram**2).sum() <= 2.1 / image[0].size
        assert abs(np.linalg.norm(histogram) - 1) < 1e-6


def test_similarity_is_the_bhattacharyya_coefficient():
    rng = np.random.default_rng(1)
    a, b = colour_histogram(torch.from_numpy(rng.integers(0, 256, (2, 3, 8, 8), dtype=np.uint8)))
    assert abs(float(a @ b) - float((a.square() * b.square()).sqrt().sum())) < 1e-6

"""The losses by name, the settings each of them has, and their usual values (see the README for which to use when).

A setting that a loss does not list has no meaning for it, so giving one is an error rather than ignored.
"""

from typing import Literal, get_args

LossName = Literal[
    "tuplet",
    "triplet",
    "soft-triplet",
    "improved-triplet",
    "quadruplet",
    "centroid-triplet",
    "margin",
    "infonce",
    "multi-similarity",
    "supervised-contrastive",
    "proxy-anchor",
    "normalised-softmax",
]

USUAL: dict[str, dict[str, float | str]] = {
    "tuplet": {"distance": "cosine", "margin": 0.2, "temperature": 0.1},
    "triplet": {"distance": "squared-euclidean", "mining": "semi-hard", "margin": 0.2, "reduction": "active"},
    "soft-triplet": {
        "distance": "euclidean",
        "mining": "all",
        "margin": 0.0,
        "temperature": 1.0,
        "reduction": "active",
    },
    "improved-triplet": {
        "distance": "squared-euclidean",
        "mining": "all",
        "margin": 0.1,
        "bound": 0.05,
        "weight": 1.0,
        "reduction": "active",
    },
    "quadruplet": {
        "distance": "squared-euclidean",
        "mining": "all",
        "margin": 1.0,
        "second_margin": 0.5,
        "weight": 1.0,
        "reduction": "active",
    },
    "centroid-triplet": {"distance": "euclidean", "mining": "hard", "margin": 0.5, "reduction": "active"},
    "margin": {
        "distance": "euclidean",
        "mining": "distance-weighted",
        "margin": 0.2,
        "boundary": 1.2,
        "reduction": "active",
    },
    "infonce": {"distance": "cosine", "temperature": 0.1},
    "multi-similarity": {"positive_scale": 2.0, "negative_scale": 50.0, "threshold": 0.5},
    "supervised-contrastive": {"temperature": 0.1},
    "proxy-anchor": {"margin": 0.1, "temperature": 1 / 32},
    "normalised-softmax": {"temperature": 0.05},
}
assert set(USUAL) == set(get_args(LossName))

# Losses that compare with one learned vector a class instead of with other images.
PROXY_LOSSES = ("proxy-anchor", "normalised-softmax")

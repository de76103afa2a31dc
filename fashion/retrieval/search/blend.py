"""Search by embedding and predicted category at once: both are unit vectors, so their join is one to search exactly."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Blend:
    """The inner product of two blended vectors is (s + w a) / (1 + w): s the cosine of the embeddings, w the weight, a
    the agreement of the categories: the inner product of their scores, from 0 to 1, or of their best category alone."""

    weight: float
    best_only: bool = False

    def __call__(self, z_ND: np.ndarray, c_NC: np.ndarray) -> np.ndarray:
        """(N, D + C) float32 of length 1, from unit embeddings and unit scores; each row depends on nothing but itself."""
        if self.best_only:
            c_NC = np.eye(c_NC.shape[1], dtype=np.float32)[c_NC.argmax(1)]  # of equal scores the first
        whole = 1 + self.weight
        parts = np.sqrt(1 / whole), np.sqrt(self.weight / whole)
        return np.concatenate(
            [part.astype(np.float32) * x for part, x in zip(parts, (z_ND, c_NC), strict=True)], axis=1
        )


# s is from -1 to 1: with weight 4 the least score of the same category, 3 / 5, is above the greatest of another, 1 / 5.
RESTRICT = Blend(weight=4.0, best_only=True)

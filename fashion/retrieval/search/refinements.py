"""What may be done beside plain ranking: a blend with the predicted category, query expansion, k-reciprocal re-ranking.

Pure mathematics; `refine` applies it to a gallery in parts.
"""

from dataclasses import dataclass

import numpy as np

from fashion.retrieval.products.score import exact_scores, lengths, unit_rows


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


@dataclass(frozen=True, kw_only=True)
class Expansion:
    """The alpha-QE of Radenovic et al. (TPAMI 2019); power 0 is the average query expansion of Chum et al. (ICCV 2007)."""

    columns: int  # best ones that are averaged
    power: float  # of a column's score, its weight


def expand(queries_QD: np.ndarray, found_QnD: np.ndarray, scores_Qn: np.ndarray, power: float) -> np.ndarray:
    """(Q, D) float32 of unit length: each query, weight 1, plus its found columns, weight score ** power; scores below
    zero count as zero, and -inf marks a column that is not there."""
    weights_Qn = np.maximum(scores_Qn, 0).astype(np.float64) ** power
    weights_Qn[np.isneginf(scores_Qn)] = 0
    weights_Qn = weights_Qn.astype(np.float32)  # powers differ in their last bits from machine to machine
    total_QD = queries_QD.astype(np.float64)
    for n in range(found_QnD.shape[1]):
        total_QD += weights_Qn[:, n, None].astype(np.float64) * found_QnD[:, n]
    return unit_rows(total_QD)


@dataclass(frozen=True, kw_only=True)
class Reranking:
    """k-reciprocal re-ranking (Zhong, Zheng, Cao and Li, CVPR 2017); its numbers are named as in the paper."""

    columns: int  # best ones that are put in a new order
    k1: int
    k2: int
    weight: float  # lambda, of the original distance


def rerank(query_D: np.ndarray, found_nD: np.ndarray, settings: Reranking) -> np.ndarray:
    """(n,) float64 distances of the found columns from the query: Jaccard's of their k-reciprocal neighbours, mixed with
    the original one.

    Neighbours are looked for among the query and its own list, and not in the whole gallery, so that memory and time depend
    on the length of the list alone.
    """
    d = _distances(np.concatenate([query_D[None], found_nD]))
    order = np.argsort(d, axis=1, kind="stable")
    near, nearer = (_reciprocal(order, k) for k in (settings.k1, round(settings.k1 / 2)))
    # A neighbour's own neighbours join where two thirds of them are the query's already.
    shared = near.astype(np.float32) @ nearer.T.astype(np.float32)
    joining = near & (shared > 2 / 3 * nearer.sum(1))
    near = near | (joining.astype(np.float32) @ nearer.astype(np.float32) > 0)
    weights = np.where(near, np.exp(-d), 0.0)
    weights /= weights.sum(1, keepdims=True)
    if settings.k2 > 1:
        weights = weights[order[:, : settings.k2]].mean(1)
    overlap = np.minimum(weights[0], weights[1:]).sum(1)
    jaccard = 1 - overlap / (2 - overlap)
    return (1 - settings.weight) * jaccard + settings.weight * d[0, 1:]


def _distances(x_ND: np.ndarray) -> np.ndarray:
    """(N, N) float64 squared Euclidean distances, each row divided by its greatest."""
    N = len(x_ND)
    a, b = np.triu_indices(N)
    scores = np.empty((N, N))
    scores[a, b] = scores[b, a] = exact_scores(x_ND, x_ND, a, b, float(lengths(x_ND).max()) ** 2)
    squares = scores.diagonal()
    d = np.maximum(squares[:, None] + squares - 2 * scores, 0.0)
    d[np.arange(N), np.arange(N)] = 0.0
    return d / np.maximum(d.max(1, keepdims=True), 1e-12)


def _reciprocal(order_NN: np.ndarray, k: int) -> np.ndarray:
    """(N, N) whether j is among the k nearest of i, itself beside, and i among those of j."""
    N = len(order_NN)
    forward = np.zeros((N, N), bool)
    forward[np.arange(N)[:, None], order_NN[:, : k + 1]] = True
    return forward & forward.T

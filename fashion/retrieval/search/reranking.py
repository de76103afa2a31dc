"""k-reciprocal re-ranking of the best columns of each query (Zhong, Zheng, Cao and Li, CVPR 2017).

Neighbours are looked for among the query and its own list, and not in the whole gallery, so that memory and time depend on
the length of the list alone.
"""

from dataclasses import dataclass

import numpy as np

from fashion.retrieval.search.exact import exact_scores, lengths


@dataclass(frozen=True, kw_only=True)
class Reranking:
    """The method's numbers, named as in the paper."""

    columns: int  # best ones that are put in a new order
    k1: int
    k2: int
    weight: float  # lambda, of the original distance


def rerank(query_D: np.ndarray, found_nD: np.ndarray, settings: Reranking) -> np.ndarray:
    """(n,) float64 distances of the found columns from the query: Jaccard's of their k-reciprocal neighbours, mixed with
    the original one."""
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

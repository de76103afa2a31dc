"""Query expansion: a query moves towards the columns that it found first."""

from dataclasses import dataclass

import numpy as np

from fashion.retrieval.search.exact import unit_rows


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

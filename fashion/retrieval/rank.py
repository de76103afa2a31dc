"""Exact ranking of a gallery for every query, block by block: the best k columns and the ranks of all matches.

Scores are inner products (cosine for normalised embeddings) in float32. A match's score is taken from the same matrix
product as the scores it is compared with, and ties fall to the lower column: give the gallery in ascending image id.
"""

from dataclasses import dataclass

import numpy as np
import torch

from fashion.retrieval.protocol import Relevance

BLOCK_SCORES = 32_000_000  # scores held at a time: 128 MB
FEW = 32  # matches a query up to which counting is quicker than sorting


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Rankings of Q queries; ranks count from 1."""

    top: np.ndarray  # (Q, k) int64 gallery columns, best first; -1 where the gallery is smaller than k
    scores: np.ndarray  # (Q, k) float32, -inf where there is no column
    ranks: np.ndarray  # (M,) int64, rank of each match, ascending within a query
    at: np.ndarray  # (Q + 1,) where each query's ranks begin

    def first(self) -> np.ndarray:
        """(Q,) rank of the best match, 0 where there is none."""
        best = np.zeros(len(self.at) - 1, np.int64)
        some = np.diff(self.at) > 0
        best[some] = self.ranks[self.at[:-1][some]]
        return best


def rank(
    queries_QD: np.ndarray, gallery_GD: np.ndarray, relevance: Relevance, k: int, groups: np.ndarray | None = None
) -> Ranking:
    """Rank all gallery columns for every query.

    With `groups` (G,), ascending group numbers 0..C-1 of the gallery's rows, the columns are the C groups instead, each
    scored by its best row; `relevance` then speaks of groups. Left-out columns take no rank.
    """
    queries, gallery = (torch.from_numpy(np.ascontiguousarray(x, np.float32)) for x in (queries_QD, gallery_GD))
    columns = len(gallery) if groups is None else int(groups[-1]) + 1
    block = max(1, BLOCK_SCORES // max(1, len(gallery)))
    top, scores, ranks = [], [], []
    for start in range(0, len(queries), block):
        rows = slice(start, min(start + block, len(queries)))
        S = queries[rows] @ gallery.T
        if groups is not None:
            index = torch.from_numpy(groups).expand(len(S), -1)
            S = torch.full((len(S), columns), -torch.inf).scatter_reduce_(1, index, S, "amax")
        _leave_out(S, relevance, rows)
        best, at = _top_k(S, min(k, columns))
        top.append(at.numpy())
        scores.append(best.numpy())
        ranks += _match_ranks(S.numpy(), relevance, rows)
    pad = ((0, 0), (0, max(0, k - columns)))
    scores = np.concatenate(scores) if scores else np.empty((0, min(k, columns)), np.float32)
    top = np.concatenate(top) if top else np.empty((0, min(k, columns)), np.int64)
    top = np.where(np.isneginf(scores), -1, top)
    return Ranking(
        top=np.pad(top, pad, constant_values=-1),
        scores=np.pad(scores, pad, constant_values=-np.inf),
        ranks=np.concatenate(ranks) if ranks else np.empty(0, np.int64),
        at=relevance.match_at,
    )


def _leave_out(S: torch.Tensor, relevance: Relevance, rows: slice) -> None:
    at = relevance.ignore_at[rows.start : rows.stop + 1]
    if at[-1] > at[0]:
        row = np.repeat(np.arange(len(S)), np.diff(at))
        S[torch.from_numpy(row), torch.from_numpy(relevance.ignore[at[0] : at[-1]])] = -torch.inf


def _top_k(S: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The k best scores of each row and their columns; equal scores by ascending column."""
    best, at = S.topk(k, 1)
    # topk keeps any of the columns that tie for the last place: where more tie than it kept, take the first of them.
    last = best[:, -1:]
    torn = ((last == S).sum(1) > (best == last).sum(1)).nonzero().flatten()
    for q in torn.tolist():
        tied = (S[q] == last[q]).nonzero().flatten()
        sure = at[q][best[q] > last[q]]
        at[q] = torch.cat([sure, tied[: k - len(sure)]])
    at = at.sort(1).values
    best = S.gather(1, at)
    order = torch.sort(best, dim=1, descending=True, stable=True).indices
    return best.gather(1, order), at.gather(1, order)


def _match_ranks(S: np.ndarray, relevance: Relevance, rows: slice) -> list[np.ndarray]:
    found = []
    for q, row in enumerate(range(rows.start, rows.stop)):
        match = relevance.match[relevance.match_at[row] : relevance.match_at[row + 1]]
        if len(match) > FEW:
            place = np.empty(S.shape[1], np.int64)
            place[np.argsort(-S[q], kind="stable")] = np.arange(1, S.shape[1] + 1)
            found.append(np.sort(place[match]))
        elif len(match):
            own = S[q, match]
            better = [int((S[q] > s).sum() + (S[q, :column] == s).sum()) for s, column in zip(own, match, strict=True)]
            found.append(np.sort(np.array(better, np.int64) + 1))
    return found

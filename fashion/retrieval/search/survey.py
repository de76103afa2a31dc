"""The first pass over a gallery: what is counted, scored and sampled of it before it is scanned.

The sample guesses which scores will be listed; a wrong guess costs time and changes no answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fashion.retrieval.search.block import Block, Matches, find_matches, join_matches
from fashion.retrieval.search.parts import Opened
from fashion.retrieval.search.product import QUERY_ROWS, even_slices
from fashion.retrieval.search.queries import Queries, count_relations, spans
from fashion.retrieval.search.refinements import Expansion, Reranking
from fashion.retrieval.search.scan import ALL

AT_ONCE = 2_000_000  # matches and listed columns, over the queries that are searched for at a time
LISTED, COUNTED = 8192, 1024  # columns of a sample: where columns are listed, and where it only tells the tails
LARGE = 4096  # columns of a gallery
GROUPS = 1024  # the best of the sample are found among so many maxima
TAIL = 0.02  # matches that are not in this best share of the gallery are in the tail


@dataclass(frozen=True, kw_only=True)
class Sample:
    """C columns of a gallery over N vectors."""

    vectors: np.ndarray  # (N, D) float32
    starts: np.ndarray  # (C,) first vector of each column, ascending

    @classmethod
    def of(cls, block: Block, columns: int) -> "Sample":
        """About so many of the block's columns, evenly spaced."""
        chosen = np.unique(np.linspace(0, len(block) - 1, min(columns, len(block))).round().astype(np.int64))
        if block.starts is None:
            return cls(vectors=block.vectors[chosen], starts=np.arange(len(chosen)))
        counts = np.diff(np.r_[block.starts, len(block.vectors)])[chosen]
        return cls(vectors=block.vectors[spans(block.starts[chosen], counts)], starts=np.cumsum(counts) - counts)

    @classmethod
    def join(cls, parts: "list[Sample]") -> "Sample":
        """The columns of several blocks."""
        parts = [part for part in parts if len(part.starts)] or parts[:1]
        first = np.cumsum([0, *(len(part.vectors) for part in parts[:-1])])
        starts = [part.starts + offset for part, offset in zip(parts, first, strict=True)]
        return cls(vectors=np.concatenate([part.vectors for part in parts]), starts=np.concatenate(starts))

    def scores(self, queries_bD: np.ndarray) -> np.ndarray:
        """(b, C) float32, up to rounding."""
        scores = queries_bD @ self.vectors.T
        return scores if len(self.starts) == len(self.vectors) else np.maximum.reduceat(scores, self.starts, axis=1)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One of the rankings that are made of the same parts in the same two passes."""

    queries: Queries
    k: int  # columns to list; 0 for none
    view: Any = None  # of the parts
    expansion: Expansion | None = None
    reranking: Reranking | None = None

    @property
    def width(self) -> int:
        """Columns of the lists that are made."""
        return max(self.k, self.reranking.columns if self.reranking else 0)


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What the first pass learns for a turn."""

    columns: int  # of the gallery
    matches: np.ndarray  # (Q,) columns that match
    left_out: np.ndarray  # (Q,) columns that are left out of the ranking
    pairs: Matches | None  # the matches; None where they are more than AT_ONCE, or where queries are to be expanded
    sample: Sample


def survey_turns(opened: Opened, turns: Sequence[Turn], parts: int) -> list[Survey]:
    """What one of so many parts adds to the survey of each turn."""
    surveys = []
    for turn in turns:
        block, queries = opened.block(turn.view), turn.queries
        matches, left_out = count_relations(queries, block.labels, block.images)
        sampled = LISTED if turn.width or turn.expansion else COUNTED
        surveys.append(
            Survey(
                columns=len(block),
                matches=matches,
                left_out=left_out,
                pairs=None if turn.expansion or matches.sum() > AT_ONCE else find_matches(block, queries),
                sample=Sample.of(block, -(-sampled // parts)),
            )
        )
    return surveys


def join_surveys(answers: list[list[Survey]], asked=None) -> list[Survey]:
    """Of several parts, a survey a turn."""
    return [_joined_survey(surveys) for surveys in zip(*answers, strict=True)]


def _joined_survey(surveys: Sequence[Survey]) -> Survey:
    totals = {name: sum(getattr(one, name) for one in surveys) for name in ("columns", "matches", "left_out")}
    few = all(one.pairs is not None for one in surveys) and totals["matches"].sum() <= AT_ONCE
    return Survey(
        **totals,
        pairs=join_matches([one.pairs for one in surveys]) if few else None,
        sample=Sample.join([one.sample for one in surveys]),
    )


@dataclass(frozen=True, kw_only=True)
class Guess:
    """(Q,) float32 each."""

    thresholds: np.ndarray  # nearly always below the k-th score of the gallery; infinite for k = 0
    tails: np.ndarray  # matches below are in the tail


def guess(queries: Queries, sample: Sample, columns: int, k: int) -> Guess:
    """`sample`: of a gallery that has so many columns."""
    Q, sampled = len(queries), len(sample.starts)
    thresholds = np.full(Q, ALL if k else np.inf, np.float32)
    tails = np.full(Q, np.inf, np.float32)  # of a small gallery every row is soon counted
    if not sampled:
        return Guess(thresholds=thresholds, tails=tails)
    # Of the gallery's k best, so many are expected in the sample. With a margin of three standard deviations, the score
    # of that place in the sample is nearly always below the gallery's k-th.
    expected = k * sampled / columns
    r = int(np.ceil(expected + 3 * np.sqrt(expected) + 4))
    in_tail = max(1, int(TAIL * sampled))
    for rows in even_slices(Q, QUERY_ROWS):
        best = _maxima(sample.scores(queries.vectors[rows]))
        if k and r < best.shape[1] // 2:
            thresholds[rows] = np.partition(best, -r, axis=1)[:, -r]
        if columns >= LARGE:
            tails[rows] = np.partition(best, -min(in_tail, best.shape[1]), axis=1)[:, -min(in_tail, best.shape[1])]
    return Guess(thresholds=thresholds, tails=tails)


def _maxima(scores: np.ndarray) -> np.ndarray:
    """The maxima of disjoint groups of columns: the best few of a row are nearly always in different groups."""
    size = max(1, scores.shape[1] // (GROUPS * 2))
    whole = scores.shape[1] // size * size
    return scores[:, :whole].reshape(len(scores), size, -1).max(1) if size > 1 else scores

"""The first pass over a gallery: what is counted, scored and sampled of it before it is scanned.

The sample guesses which scores will be listed; a wrong guess costs time and changes no answer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fashion.retrieval.products.fast import TILE_ROWS, Float32, products
from fashion.retrieval.products.score import lengths
from fashion.retrieval.products.threads import even_slices, of_queries
from fashion.retrieval.search.block import NO_MATCHES, Block, Matches, find_matches, join_matches
from fashion.retrieval.search.parts import Opened, Part
from fashion.retrieval.search.queries import Queries, count_relations, spans
from fashion.retrieval.search.refinements import Expansion, Reranking
from fashion.retrieval.search.scan import ALL

AT_ONCE = 2_000_000  # matches and listed columns, over the queries that are searched for at a time
SAMPLED_PARTS = 2
LISTED, COUNTED = 8192, 512  # columns of a part's sample: where columns are listed, and where it only tells the tails
LARGE = 4096  # columns of a gallery
GROUPS = 2048  # the best of the sample are found among so many maxima
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
    def join(cls, parts: "list[Sample]") -> "Sample | None":
        """The columns of several blocks; None of none."""
        if not parts:
            return None
        parts = [part for part in parts if len(part.starts)] or parts[:1]
        first = np.cumsum([0, *(len(part.vectors) for part in parts[:-1])])
        starts = [part.starts + offset for part, offset in zip(parts, first, strict=True)]
        return cls(vectors=np.concatenate([part.vectors for part in parts]), starts=np.concatenate(starts))


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
    sample: Sample | None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Of the first pass."""

    turns: Sequence[Turn]
    sampled: frozenset[int]  # numbers of the parts that a sample is taken of

    @classmethod
    def of(cls, turns: Sequence[Turn], parts: Sequence[Part]) -> "Asked":
        chosen = np.unique(np.linspace(0, len(parts) - 1, min(SAMPLED_PARTS, len(parts))).round().astype(int))
        return cls(turns=turns, sampled=frozenset(parts[n].number for n in chosen))


def survey_part(number: int, opened: Opened, asked: Asked) -> list[Survey]:
    """What a part adds to the survey of each turn; its vectors are read where it has matches or is sampled."""
    surveys = []
    for turn in asked.turns:
        queries = turn.queries
        labels, images = opened.labels(turn.view, images=queries.wanted is not None)
        matches, left_out = count_relations(queries, labels, images)
        pairs: Matches | None = NO_MATCHES
        sample: Sample | None = None
        if turn.expansion or matches.sum() > AT_ONCE:
            pairs = None
        elif matches.any():
            pairs = find_matches(opened.block(turn.view), queries)
        if number in asked.sampled:
            sample = Sample.of(opened.block(turn.view), LISTED if turn.width or turn.expansion else COUNTED)
        surveys.append(Survey(columns=len(labels), matches=matches, left_out=left_out, pairs=pairs, sample=sample))
    return surveys


def join_surveys(answers: list[list[Survey]], asked: Any = None) -> list[Survey]:
    """Of several parts, a survey a turn."""
    return [_joined_survey(surveys) for surveys in zip(*answers, strict=True)]


def _joined_survey(surveys: Sequence[Survey]) -> Survey:
    totals = {name: sum(getattr(one, name) for one in surveys) for name in ("columns", "matches", "left_out")}
    scored = [one.pairs for one in surveys if one.pairs is not None]
    few = len(scored) == len(surveys) and totals["matches"].sum() <= AT_ONCE
    return Survey(
        **totals,
        pairs=join_matches(scored) if few else None,
        sample=Sample.join([one.sample for one in surveys if one.sample]),
    )


@dataclass(frozen=True, kw_only=True)
class Guess:
    """(Q,) float32 each."""

    thresholds: np.ndarray  # nearly always below the k-th score of the gallery; infinite for k = 0
    tails: np.ndarray  # matches below are in the tail


def guess(queries: Queries, sample: Sample | None, columns: int, k: int, precision: str | None = None) -> Guess:
    """`sample`: of a gallery that has so many columns. `precision`: of the fast products, as in `products`."""
    Q = len(queries)
    thresholds = np.full(Q, ALL if k else np.inf, np.float32)
    tails = np.full(Q, np.inf, np.float32)  # of a small gallery every row is soon counted
    if sample is None or not len(sample.starts):
        return Guess(thresholds=thresholds, tails=tails)
    sampled = len(sample.starts)
    # Of the gallery's k best, so many are expected in the sample. With a margin of three standard deviations, the score
    # of that place in the sample is nearly always below the gallery's k-th.
    expected = k * sampled / columns
    r = int(np.ceil(expected + 3 * np.sqrt(expected) + 4))
    in_tail = max(1, int(TAIL * sampled))
    longest = float(lengths(sample.vectors).max(initial=0.0))
    fast = products(queries.vectors, queries.lengths, sample.vectors, longest, precision=precision)

    def some(rows: slice) -> None:
        best = np.concatenate([_maxima(keys, sampled) for keys in _tiles(fast, rows, sample)], axis=1)
        fast.sort_keys(best, np.arange(len(best)))
        for wanted, place, out in ((k and r < best.shape[1] // 2, r, thresholds), (columns >= LARGE, in_tail, tails)):
            if wanted:
                place = min(place, best.shape[1])
                out[rows] = fast.values(np.ascontiguousarray(np.partition(best, -place, axis=1)[:, -place]))

    of_queries(some, Q)
    return Guess(thresholds=thresholds, tails=tails)


def _tiles(fast: Float32, rows: slice, sample: Sample) -> Iterator[np.ndarray]:
    """(b, n) keys of neighbouring columns; those of negative products are out of order, which may lower a guess."""
    ends = np.r_[sample.starts[1:], len(sample.vectors)]
    for columns in even_slices(len(sample.starts), TILE_ROWS * fast.packed):
        first = sample.starts[columns.start]
        keys = fast.tile(rows, slice(first, ends[columns.stop - 1]))
        whole = columns.stop - columns.start == keys.shape[1]
        yield keys if whole else np.maximum.reduceat(keys, sample.starts[columns] - first, axis=1)


def _maxima(keys: np.ndarray, sampled: int) -> np.ndarray:
    """The maxima of disjoint groups of columns: the best few of a row are nearly always in different groups."""
    size = max(1, sampled // GROUPS)
    whole = keys.shape[1] // size * size
    return keys[:, :whole].reshape(len(keys), size, -1).max(1) if size > 1 and whole else keys.copy()

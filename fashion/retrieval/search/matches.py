"""The matches of a set of queries, with their scores: what the ranks are counted for."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion.retrieval.search.best import order_keys, place_of
from fashion.retrieval.search.block import Block
from fashion.retrieval.search.relevance import Queries, relate


@dataclass(frozen=True, kw_only=True)
class Matches:
    """M pairs of a query and a column that matches it."""

    query: np.ndarray  # (M,) int64
    scores: np.ndarray  # (M,) float32, exact
    places: np.ndarray  # (M,) int64
    id_codes: np.ndarray  # (M,) int64, rows of `ids`
    ids: pa.Array  # of the matching columns, each once

    def __len__(self) -> int:
        return len(self.query)


def find_matches(block: Block, queries: Queries) -> Matches:
    """The matches in one block."""
    match, _ = relate(queries, block.labels, block.images)
    columns, codes = np.unique(match.column, return_inverse=True)
    return Matches(
        query=match.query,
        scores=block.scores(queries, match.query, match.column),
        places=place_of(block.number, match.column),
        id_codes=codes,
        ids=block.ids.take(pa.array(columns)),
    )


def join_matches(parts: list[Matches]) -> Matches:
    """The matches of several blocks."""
    offsets = np.cumsum([0, *(len(part.ids) for part in parts[:-1])])
    codes = [part.id_codes + offset for part, offset in zip(parts, offsets, strict=True)]
    joined = {name: np.concatenate([getattr(p, name) for p in parts]) for name in ("query", "scores", "places")}
    ids = pa.concat_arrays([part.ids for part in parts])
    return Matches(**joined, id_codes=np.concatenate(codes), ids=ids)


def in_order(matches: Matches) -> Matches:
    """Ordered by query, then score descending, then id ascending."""
    keys = order_keys(matches.query, matches.scores)
    order = np.argsort(keys, kind="stable")
    if (np.diff(keys[order]) == 0).any():
        ranks = pc.rank(matches.ids, "ascending").to_numpy()[matches.id_codes]
        order = np.lexsort((ranks, keys))
    return Matches(
        query=matches.query[order], scores=matches.scores[order], places=matches.places[order],
        id_codes=matches.id_codes[order], ids=matches.ids,
    )  # fmt: skip

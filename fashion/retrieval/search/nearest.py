"""The best columns of the whole gallery for some queries, complete for certain."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fashion.retrieval.search.best import Best, merge
from fashion.retrieval.search.block import Block
from fashion.retrieval.search.floors import ROUGH, SAMPLE, SAMPLED_PARTS, guess
from fashion.retrieval.search.matches import Matches
from fashion.retrieval.search.relevance import Queries
from fashion.retrieval.search.scan import ALL, Scanned, Search, join_scanned, scan
from fashion.retrieval.search.sweep import Part, Sweep


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """A gallery in parts, and what it takes to search it."""

    parts: Sequence[Part]
    columns: int  # over all parts
    sample: list[Block]
    sweep: Sweep
    device: str | None  # of the fast products
    precision: str | None = None


def sample_blocks(parts: Sequence[Part], sweep: Sweep, *, listing: bool) -> list[Block]:
    """A sample of the gallery from a few of its parts; smaller where no columns are listed."""
    chosen = np.unique(np.linspace(0, len(parts) - 1, min(SAMPLED_PARTS, len(parts))).round().astype(int))
    columns = -(-(SAMPLE if listing else ROUGH) // len(chosen))
    return sweep(_sample, _join_samples, [parts[i] for i in chosen], columns)


def nearest(
    gallery: Gallery,
    queries: Queries,
    k: int,
    matches: Matches | None = None,
    done: Callable[[int], None] = lambda parts: None,
) -> Scanned:
    """The best k columns (0: none), and how many columns rank before each of the matches."""
    guessed = guess(queries, gallery.sample, gallery.columns, k)
    search = Search(
        queries=queries, k=k, floors=guessed.floors, depths=guessed.depths, matches=matches, device=gallery.device,
        precision=gallery.precision,
    )  # fmt: skip
    found = gallery.sweep(_scan, _join_scans, gallery.parts, search, done=done)
    return replace(found, best=_complete(found.best, search, gallery)) if k else found


def _complete(best: Best, search: Search, gallery: Gallery) -> Best:
    """Search once more for the queries whose list may miss a column, with floors that are sure."""
    kth = best.kth(len(search.queries), search.k)
    again = np.flatnonzero((kth < search.floors) & (search.floors > ALL))
    if not len(again):
        return best
    floors = np.where(np.isfinite(kth), kth, ALL)[again]
    queries = search.queries.take(again)
    rest = replace(search, queries=queries, floors=floors, depths=search.depths[again], matches=None)
    found = gallery.sweep(_scan, _join_scans, gallery.parts, rest).best
    kept = ~np.isin(best.query, again)
    others = replace(best, query=best.query[kept], scores=best.scores[kept], rows=best.rows[kept])
    return merge([others, replace(found, query=again[found.query])], search.k)


def _sample(part: Part, columns: int) -> list[Block]:
    return [part.load().sample(columns)]


def _join_samples(found: list[list[Block]], columns: int) -> list[Block]:
    return [block for some in found for block in some]


def _scan(part: Part, search: Search) -> Scanned:
    return scan(part.load(), search)


def _join_scans(found: list[Scanned], search: Search) -> Scanned:
    return join_scanned(found, search.k)

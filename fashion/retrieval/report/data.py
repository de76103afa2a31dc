"""What a report shows, and which queries of an evaluation it shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One image of a query's ranking."""

    image: str
    item: str
    score: float  # similarity to the query
    correct: bool


@dataclass(frozen=True, kw_only=True)
class QueryRow:
    """A query and the head of its ranking."""

    image: str
    item: str
    domain: str
    category: str | None = None
    rank: int | None  # of the first right answer, from 1; None where the gallery holds none
    average_precision: float
    top: Sequence[Hit] = ()  # best first


@dataclass(frozen=True, kw_only=True)
class MapPoint:
    """One image of the embedding map: x and y in any unit, y upwards."""

    x: float
    y: float
    image: str
    item: str
    domain: str
    category: str | None = None


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """All that a report is made from. Rows and points are meant to be hundreds at most."""

    metrics: dict  # the content of metrics.json
    history: Sequence[dict] = ()  # one an epoch: epoch, loss, recall (k -> fraction), ...; see sections.training_plots
    queries: Sequence[QueryRow] = ()  # in the order they are shown in
    map_points: Sequence[MapPoint] = ()
    thumbnails: Mapping[str, bytes] = field(default_factory=dict)  # JPEG files by image


def choose_rows(rows: Sequence[QueryRow], count: int, seed: int) -> list[QueryRow]:
    """The `count` best, `count` middling and `count` worst queries, from best to worst; all where there are no more.

    Better is a first right answer further up, then a higher average precision. The middling ones are the median of the
    queries whose first answer is wrong, for half of a good network's queries are flawless and look alike. Queries
    without a match in the gallery cannot be answered and are not chosen. Ties are drawn by `seed`; the order of `rows`
    does not matter.
    """
    matched = sorted((row for row in rows if row.rank is not None), key=lambda row: row.image)
    drawn = [matched[i] for i in np.random.default_rng(seed).permutation(len(matched))]
    ordered = sorted(drawn, key=lambda row: (row.rank, -row.average_precision))
    if len(ordered) <= 3 * count:
        return ordered
    flawless = sum(row.rank == 1 for row in ordered)
    middle = (flawless + len(ordered) - count) // 2
    middle = min(max(middle, count), len(ordered) - 2 * count)  # clear of the best and of the worst
    return ordered[:count] + ordered[middle : middle + count] + ordered[len(ordered) - count :]

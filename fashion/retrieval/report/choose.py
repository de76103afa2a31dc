"""Which queries of an evaluation a report shows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fashion.retrieval.report.data import QueryRow


def choose_rows(rows: Sequence[QueryRow], count: int, seed: int) -> list[QueryRow]:
    """The `count` best, `count` middling and `count` worst queries, from best to worst; all where there are no more.

    Better is a first right answer further up, then a higher average precision. The middling ones are the median of the
    queries whose first answer is wrong, for half of a good network's queries are flawless and look alike. Queries
    without a match in the gallery cannot be answered and are not chosen. Ties are drawn by `seed`; the order of `rows`
    does not matter.
    """
    matched = sorted((row for row in rows if row.rank is not None), key=lambda row: row.image)
    drawn = [matched[i] for i in np.random.default_rng(seed).permutation(len(matched))]
    ordered = sorted(drawn, key=_worse)
    if len(ordered) <= 3 * count:
        return ordered
    flawless = sum(row.rank == 1 for row in ordered)
    middle = (flawless + len(ordered) - count) // 2
    middle = min(max(middle, count), len(ordered) - 2 * count)  # clear of the best and of the worst
    return ordered[:count] + ordered[middle : middle + count] + ordered[len(ordered) - count :]


def with_categories(
    chosen: Sequence[QueryRow], rows: Sequence[QueryRow], *, count: int, categories: int, seed: int
) -> list[QueryRow]:
    """The chosen rows and, as extras, `choose_rows` of each of the largest `categories`; all from best to worst."""
    have = {row.image for row in chosen}
    sizes = Counter(row.category for row in rows if row.rank is not None)
    largest = sorted(sizes, key=lambda name: (-sizes[name], name or ""))[:categories]
    extras = [
        replace(row, extra=True)
        for name in largest
        if len(sizes) > 1
        for row in choose_rows([row for row in rows if row.category == name], count, seed)
        if row.image not in have
    ]
    return sorted([*chosen, *extras], key=_worse)


def _worse(row: QueryRow) -> tuple[int, float]:
    return row.rank or 0, -row.average_precision

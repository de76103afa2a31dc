"""Pictures of an evaluation to look at: drawn by a seed, whatever the shards, and the worst that there are."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion.retrieval.labels.columns import SCHEMA
from fashion.seeds import seed_of

COLUMNS = ["image", "item", "domain", "category", "shard", "group", *SCHEMA.names]
DRAWN, WRONG, FAR = "drawn", "wrong category", "landmarks far off"
SIZES = {DRAWN: 12, WRONG: 6, FAR: 6}

Examples = dict[str, pa.Table]
"""Name of a group -> rows of COLUMNS and `order`, ascending: what decides who is in it. drawn: any labelled images.
wrong category: of those whose best category is another one. landmarks far off: the largest mean errors."""


def examples(rows: pa.Table, seed: int) -> Examples:
    """The groups of these rows alone."""
    labelled = rows.filter(
        pc.or_(
            pc.is_valid(rows["category_rank"]),
            pc.or_(pc.is_valid(rows["attribute_ranks"]), pc.is_valid(rows["landmarks_true"])),
        )
    )
    drawn = _ordered(labelled, _lots(labelled, seed, DRAWN))
    missed = labelled.filter(pc.fill_null(pc.not_equal(labelled["category_rank"], 1), False))
    wrong = _ordered(missed, _lots(missed, seed, WRONG))  # by other lots, or the first group's would come again
    errors = [_mean(row) for row in labelled["landmark_errors"].to_pylist()]
    far = _ordered(labelled, [-error for error in errors]).filter(pa.array(np.sort(errors)[::-1] > 0))
    return _cut({DRAWN: drawn, WRONG: wrong, FAR: far})


def join_examples(parts: Sequence[Examples]) -> Examples:
    """The groups of all their rows together."""
    joined = {name: pa.concat_tables([part[name] for part in parts]) for name in SIZES}
    return _cut(
        {name: _ordered(rows.drop_columns("order"), rows["order"].to_pylist()) for name, rows in joined.items()}
    )


def _lots(rows: pa.Table, seed: int, name: str) -> list[float]:
    pairs = zip(rows["image"].to_pylist(), rows["item"].to_pylist(), strict=True)
    return [seed_of(seed, name, *pair) / 2**64 for pair in pairs]


def _ordered(rows: pa.Table, order: list[float]) -> pa.Table:
    rows = rows.append_column("order", pa.array(order, pa.float64()))
    by = [("order", "ascending"), ("image", "ascending"), ("item", "ascending")]
    return rows.take(pc.sort_indices(rows, by))


def _cut(groups: Examples) -> Examples:
    return {name: rows.slice(0, SIZES[name]) for name, rows in groups.items()}


def _mean(errors: list[float | None] | None) -> float:
    known = [error for error in errors or () if error is not None]
    return sum(known) / len(known) if known else 0.0

"""Right answers counted over images: sums that do not depend on how the images are divided into shards."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion.domain import LANDMARKS, UNUSED, VISIBLE

CATEGORY_KS = (1, 3, 5)
ATTRIBUTE_KS = (3, 5)
ERROR_UNIT = 2.0**-32  # errors are summed as whole numbers of it: the same sum in any order

Tally = Counter
"""How often, by a key:

("images",)                             images counted
("category", name)                      images of the category
("category", name, k)                   and of these, with the category among the k best
("category", name, "unknown")           and of these, with a category that the network does not know
("attributes",)                         images whose attributes are annotated
("attribute", name)                     images that have it
("attribute", name, k), (..., "unknown")  as above
("attribute", name, "type", k)          and of these, with it among the k best of its type
("landmarks",)                          images whose landmarks are annotated
("landmark", slot)                      images annotated to have it
("landmark", slot, "visible"), (..., "error")  of these, as visible, and the sum of their errors in ERROR_UNIT
("landmark", slot, "right")             of these, with the visibility as annotated
("landmark", "slots right")             slots with the visibility as annotated, where a garment has no such landmark too
"""


def tally(rows: pa.Table) -> Tally:
    """Counts over rows that have `category` and the columns of SCHEMA."""
    counts: Tally = Counter({("images",): len(rows)})
    _add_categories(counts, rows.filter(pc.is_valid(rows["category_rank"])))
    _add_attributes(counts, rows.filter(pc.is_valid(rows["attribute_ranks"])))
    _add_landmarks(counts, rows.filter(pc.is_valid(rows["landmarks_true"])))
    return counts


def join_tallies(parts: list[Tally]) -> Tally:
    """Of all their images together."""
    total: Tally = Counter()
    for part in parts:
        total.update(part)
    return total


def _add_categories(counts: Tally, rows: pa.Table) -> None:
    for name, rank in zip(rows["category"].to_pylist(), rows["category_rank"].to_pylist(), strict=True):
        _add_rank(counts, ("category", name), rank, CATEGORY_KS)


def _add_attributes(counts: Tally, rows: pa.Table) -> None:
    counts["attributes",] += len(rows)
    lists = (rows[name].combine_chunks() for name in ("attributes_true", "attribute_ranks", "attribute_type_ranks"))
    for name, rank, within in zip(*(values.flatten().to_pylist() for values in lists), strict=True):
        _add_rank(counts, ("attribute", name), rank, ATTRIBUTE_KS)
        for k in ATTRIBUTE_KS:
            counts["attribute", name, "type", k] += 1 <= within <= k


def _add_rank(counts: Tally, key: tuple, rank: int, ks: tuple[int, ...]) -> None:
    counts[key] += 1
    counts[*key, "unknown"] += rank == 0
    for k in ks:
        counts[*key, k] += 1 <= rank <= k


def _add_landmarks(counts: Tally, rows: pa.Table) -> None:
    counts["landmarks",] += len(rows)
    if not len(rows):
        return
    annotated_N8, guessed_N8 = (
        _array(rows[name]).reshape(-1, len(LANDMARKS), 3)[..., 0] for name in ("landmarks_true", "landmarks_predicted")
    )
    error_N8 = _array(rows["landmark_errors"]).reshape(-1, len(LANDMARKS))
    units_N8 = np.round(np.nan_to_num(error_N8) / ERROR_UNIT).astype(np.int64)
    right_N8 = annotated_N8 == guessed_N8
    counts["landmark", "slots right"] += int(right_N8.sum())
    for slot in range(len(LANDMARKS)):
        own_N = annotated_N8[:, slot] != UNUSED
        counts["landmark", slot] += int(own_N.sum())
        counts["landmark", slot, "visible"] += int((annotated_N8[:, slot] == VISIBLE).sum())
        counts["landmark", slot, "right"] += int(right_N8[own_N, slot].sum())
        counts["landmark", slot, "error"] += int(units_N8[:, slot].sum())


def _array(column: pa.ChunkedArray) -> np.ndarray:
    """The values of lists without null lists; nan where a value is null."""
    values = column.combine_chunks().flatten()
    return np.array(values.to_pylist(), np.float64)

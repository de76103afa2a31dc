"""Today's rows of annotations and earlier ones, as numbers: which items some shard holds as they are."""

from dataclasses import dataclass

import numpy as np

UNKNOWN = np.uint64(0)  # no version of a picture is known
MISSING = np.uint64(1)  # of an earlier row: the picture was not there, when those of others were looked at
NOWHERE = -1  # in place of a shard's number


@dataclass(frozen=True, kw_only=True)
class Side:
    """N rows, a row an image of an item; each (N,) uint64."""

    item: np.ndarray
    key: np.ndarray  # item and image
    row: np.ndarray  # all of the annotation
    version: np.ndarray  # of the picture


@dataclass(frozen=True, kw_only=True)
class Joined:
    """What of T rows of today stands where; rows of an item have the same home and sources."""

    home: np.ndarray  # (T,) the shard that holds the row's item as it is, the first of several, or NOWHERE
    sources: list[list[int]]  # (T,) where it is, or, where it is nowhere, the shards that hold something of it
    version: np.ndarray  # (T,) uint64; of a picture that is not there any more the one that it had
    lost_shard: np.ndarray  # (L,) shards and the items that they hold and that have no home there
    lost_item: np.ndarray
    changes: dict[str, int]  # rows of today that are added, changed, replaced, known against those that are live


def join(today: Side, earlier: Side, shard: np.ndarray, live: np.ndarray) -> Joined:
    """`shard` (E,): the number of each earlier row's, or NOWHERE; of several shards that hold an item the smallest is
    preferred. `live` (E,): whether it is a row of the table as it was.

    A shard holds an item as it is where its rows of the item are those of today, with the same pictures as far as their
    versions are known.
    """
    order = np.argsort(today.key)
    keys = today.key[order]
    place = np.searchsorted(keys, earlier.key)
    hit = place < len(keys)
    hit[hit] = keys[place[hit]] == earlier.key[hit]
    at = order[place[hit]]  # the row of today that has the key of an earlier one
    alike = np.zeros(len(earlier.key), bool)
    alike[hit] = today.row[at] == earlier.row[hit]
    now, then = today.version[at], earlier.version[hit]
    agree = np.zeros(len(earlier.key), bool)
    agree[hit] = (now == UNKNOWN) | (then == UNKNOWN) | (now == then)
    replaced = np.zeros(len(earlier.key), bool)
    replaced[hit] = (now > MISSING) & (then > MISSING) & (now != then)

    items, item_of, count = np.unique(today.item, return_inverse=True, return_counts=True)
    home, lost_shard, lost_item, partial = _homes(items, count, earlier.item, shard, alike & agree)
    version = today.version.copy()
    carried = hit.copy()
    carried[hit] = (now == UNKNOWN) & (then > MISSING) & (shard[hit] != NOWHERE)
    last_first = np.flatnonzero(carried)[np.argsort(-shard[carried], kind="stable")]
    version[order[place[last_first]]] = earlier.version[last_first]

    sources = [[number] if number != NOWHERE else partial.get(i, []) for i, number in enumerate(home.tolist())]
    known = int((hit & live).sum())
    return Joined(
        home=home[item_of],
        sources=[sources[i] for i in item_of.tolist()],
        version=version,
        lost_shard=lost_shard,
        lost_item=lost_item,
        changes={
            "added": len(today.key) - known,
            "changed": int((hit & live & ~alike).sum()),
            "replaced": int((live & alike & replaced).sum()),
            "known": known,
        },
    )


def _homes(
    items: np.ndarray, count: np.ndarray, item: np.ndarray, shard: np.ndarray, same: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[int, list[int]]]:
    """(home of each of today's items; shards and items that are lost to them; item's place -> shards that hold it otherwise)
    of items with `count` rows of today, and earlier rows of which some are the `same` as today's."""
    home = np.full(len(items), NOWHERE, np.int32)
    held = np.flatnonzero(shard != NOWHERE)
    if not len(held):
        return home, np.empty(0, np.int32), np.empty(0, np.uint64), {}
    held = held[np.lexsort((shard[held], item[held]))]
    first = np.flatnonzero(
        np.r_[True, (item[held][1:] != item[held][:-1]) | (shard[held][1:] != shard[held][:-1])]
    )  # of the rows of an item in a shard
    size = np.diff(np.r_[first, len(held)])
    group_item, group_shard = item[held][first], shard[held][first]
    all_same = np.add.reduceat(same[held].astype(np.int64), first) == size
    place = np.searchsorted(items, group_item)
    there = place < len(items)
    there[there] = items[place[there]] == group_item[there]
    fits = there & all_same
    fits[fits] = size[fits] == count[place[fits]]
    _, preferred = np.unique(group_item[fits], return_index=True)
    chosen = np.flatnonzero(fits)[preferred]
    home[place[chosen]] = group_shard[chosen]
    lost = np.ones(len(first), bool)
    lost[chosen] = False
    partial: dict[int, list[int]] = {}
    for group in np.flatnonzero(there & lost).tolist():
        partial.setdefault(int(place[group]), []).append(int(group_shard[group]))
    return home, group_shard[lost], group_item[lost], partial

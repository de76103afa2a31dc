"""What the passes of a search have found, on storage: a search that was stopped goes on after its last whole pass.

3f2a.../                     of one search: the digest of what is searched for, and in what
3f2a.../pass-00000-00.listed the columns that are in a list of the first group of the first pass, and their places
3f2a.../pass-00000-00.found  written last: a row a query, its list and its measures

What another search left lies in another folder and is not read.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from fashion.errors import InputError
from fashion.retrieval.metrics import Measures
from fashion.retrieval.search import survey
from fashion.retrieval.search.merge import COLUMN_BITS, Columns, Lists
from fashion.retrieval.search.queries import Queries
from fashion.retrieval.search.survey import Turn
from fashion.sealed import to_json
from fashion.storage import Store

FORMAT = 1  # raised where the same search would find something else
PLACE = "place"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Where searches in one gallery keep their answers."""

    store: Store
    gallery: str  # what is in its parts, and in which order

    def of(self, turns: Sequence[Turn]) -> "Passes":
        """The answers of one search."""
        identity = {
            "format": FORMAT,
            "gallery": self.gallery,
            "at_once": survey.AT_ONCE,
            "turns": [_said(turn) for turn in turns],
        }
        return Passes(store=self.store / hashlib.sha256(to_json(identity)).hexdigest()[:16])


@dataclass(frozen=True, kw_only=True)
class Passes:
    """The answers of one search, in a folder of their own."""

    store: Store

    def read(self, number: int, groups: int) -> list[tuple[Lists, Measures]] | None:
        """The answers of a pass; None where it is not whole, or damaged."""
        names = [_name(number, group) for group in range(groups)]
        if not all(self.store.exists(f"{name}.found") for name in names):
            return None
        try:
            return [self._answer(name) for name in names]
        except InputError:
            return None

    def write(self, number: int, answers: Sequence[tuple[Lists, Measures]]) -> None:
        """Keep the answers of a pass."""
        for group, (lists, measures) in enumerate(answers):
            name, table = _name(number, group), lists.columns.table()
            self.store.write_table(f"{name}.listed", table.append_column(PLACE, pa.array(lists.places)))
            rows = {
                **{column: pa.array(list(values)) for column, values in _rectangles(lists).items() if values.shape[1]},
                **{column: pa.array(getattr(measures, column)) for column in Measures.__dataclass_fields__},
            }
            self.store.write_table(f"{name}.found", pa.table(rows))

    def _answer(self, name: str) -> tuple[Lists, Measures]:
        listed, found = (self.store.read_table(f"{name}.{kind}").combine_chunks() for kind in ("listed", "found"))
        places, table = listed[PLACE].to_numpy(), listed.drop_columns([PLACE])
        part = places >> COLUMN_BITS
        numbers = np.unique(part) if len(part) else np.zeros(1, np.int64)
        starts, ends = (np.searchsorted(part, numbers, side=side) for side in ("left", "right"))
        parts = {
            number: (places[start:end], table.slice(start, end - start))
            for number, start, end in zip(numbers.tolist(), starts.tolist(), ends.tolist(), strict=True)
        }
        lists = Lists(
            top=_rectangle(found, "top", np.int64), scores=_rectangle(found, "scores", np.float32), places=places,
            columns=Columns(parts=parts),
        )  # fmt: skip
        return lists, Measures(**{name: found[name].to_numpy() for name in Measures.__dataclass_fields__})


def digest(queries: Queries) -> str:
    """Of the vectors and of what each query looks for."""
    made = hashlib.sha256(np.ascontiguousarray(queries.vectors).tobytes())
    made.update(repr((queries.vectors.shape, queries.labels.to_pylist())).encode() + queries.codes.tobytes())
    if queries.wanted is not None and queries.images is not None:
        made.update(repr(queries.images.to_pylist()).encode())
        for part in queries.wanted:
            made.update(part.tobytes())
    return made.hexdigest()[:16]


def _said(turn: Turn) -> dict:
    refined = {"expansion": repr(turn.expansion), "reranking": repr(turn.reranking)}
    return {"queries": digest(turn.queries), "k": turn.k, "view": repr(turn.view), **refined}


def _name(number: int, group: int) -> str:
    return f"pass-{number:05d}-{group:02d}"


def _rectangles(lists: Lists) -> dict[str, np.ndarray]:
    return {"top": lists.top, "scores": lists.scores}


def _rectangle(table: pa.Table, name: str, dtype: type) -> np.ndarray:
    """(Q, k); without the column k is 0."""
    if name not in table.column_names:
        return np.empty((len(table), 0), dtype)
    return np.stack(table[name].to_numpy()).astype(dtype) if len(table) else np.empty((0, 0), dtype)

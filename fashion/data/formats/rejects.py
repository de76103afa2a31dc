"""Rows of annotations that cannot be used: counted like bad pictures, and listed."""

from collections import Counter
from collections.abc import Callable

import pyarrow as pa

from fashion.data.schema import QUARANTINE

Reject = Callable[[str, str | None, str], None]  # receives place ("mine.csv, line 7"), image if known, and reason

SHOWN = 10
_ROWS = 10_000  # of a table


class Rejects:
    """What was rejected so far: about 200 bytes of memory a row."""

    def __init__(self) -> None:
        self._rows: list[dict] = []  # that are in no table yet
        self._tables: list[pa.Table] = []
        self._first: list[dict] = []
        self._reasons: Counter = Counter()

    def __len__(self) -> int:
        return self._reasons.total()

    def row(self, row: dict, reason: str) -> None:
        """A row of ANNOTATIONS."""
        named = {name: row[name] for name in ("item", "image", "split")}
        self._add(named | {"place": None, "reason": reason})

    def line(self, place: str, image: str | None, reason: str) -> None:
        """A line that became no row."""
        self._add({"item": None, "image": image, "split": None, "place": place, "reason": reason})

    def _add(self, row: dict) -> None:
        self._reasons[row["reason"]] += 1
        if len(self._first) < SHOWN:
            self._first.append(row)
        self._rows.append(row)
        if len(self._rows) == _ROWS:
            self._tables, self._rows = [*self._tables, self._table_of_rows()], []

    def _table_of_rows(self) -> pa.Table:
        return pa.Table.from_pylist(self._rows, QUARANTINE)

    @property
    def table(self) -> pa.Table:
        """Schema QUARANTINE."""
        return pa.concat_tables([*self._tables, self._table_of_rows()]).combine_chunks()

    @property
    def reasons(self) -> dict[str, int]:
        """Reason -> how many rows, the most frequent first."""
        return dict(self._reasons.most_common())

    def message(self) -> str:
        """The first few, in words."""
        named = [f"{row['place'] or row['image']}: {row['reason']}" for row in self._first]
        more = len(self) - len(named)
        return "; ".join(named) + (f"; and {more} more" if more else "")

"""Rows of annotations that cannot be used: counted like bad pictures, and listed."""

from collections import Counter
from collections.abc import Callable

import pyarrow as pa

from fashion.data.schema import QUARANTINE

Reject = Callable[[str, str | None, str], None]  # receives place ("mine.csv, line 7"), image if known, and reason

SHOWN = 10


class Rejects:
    """What was rejected so far."""

    def __init__(self):
        self.rows: list[dict] = []

    def row(self, row: dict, reason: str) -> None:
        """A row of ANNOTATIONS."""
        named = {name: row[name] for name in ("item", "image", "split")}
        self.rows.append(named | {"place": None, "reason": reason})

    def line(self, place: str, image: str | None, reason: str) -> None:
        """A line that became no row."""
        self.rows.append({"item": None, "image": image, "split": None, "place": place, "reason": reason})

    @property
    def table(self) -> pa.Table:
        """Schema QUARANTINE."""
        return pa.Table.from_pylist(self.rows, QUARANTINE)

    @property
    def reasons(self) -> dict[str, int]:
        """Reason -> how many rows, the most frequent first."""
        return dict(Counter(row["reason"] for row in self.rows).most_common())

    def message(self) -> str:
        """The first few, in words."""
        named = [f"{row['place'] or row['image']}: {row['reason']}" for row in self.rows[:SHOWN]]
        more = len(self.rows) - len(named)
        return "; ".join(named) + (f"; and {more} more" if more else "")

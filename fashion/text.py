"""Text of other people, such as names of items, where it would be taken for commands."""

import unicodedata

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def printable(text: str) -> str:
    """For a terminal: control characters, and those that turn the direction of writing, are shown as \\x1b or \\u202e."""
    return "".join(c if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf") else _escaped(c) for c in text)


def cell(text: str | None) -> str | None:
    """For a CSV file: what a spreadsheet would compute gets an apostrophe before it, as spreadsheets write text."""
    return f"'{text}" if text and text.startswith(FORMULA) else text


def some(texts: list[str], most: int = 3) -> str:
    """The first few, and how many more there are."""
    more = f"; and {len(texts) - most:,} more" if len(texts) > most else ""
    return "; ".join(texts[:most]) + more


def _escaped(c: str) -> str:
    return c.encode("unicode_escape").decode()

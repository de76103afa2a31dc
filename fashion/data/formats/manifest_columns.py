"""Which column of a user's file holds what: by its name, or as the setting `columns` says."""

import difflib
import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from fashion.errors import InputError

# Parts of names that such columns often have: for the advice in the error alone, never to choose a column.
_HINTS = {
    "image": ("image", "photo", "picture", "img", "file", "path", "url"),
    "item": ("item", "sku", "product", "article", "style", "garment", "id"),
    "domain": ("domain", "source", "origin", "channel", "kind", "type"),
}
_SHOWN = 40  # names of columns in an error

_PLAIN = re.compile(r"\.\.\.|[^\W\d][\w.\-]*( [\w.\-]+)*")  # needs no quotes in YAML, unless it is one of
_NOT_TEXT = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")


class Columns:
    """The fields of a manifest and where each lies. `given` (field -> header) is the setting `columns`.

    Headers are compared without regard to case, blanks, hyphens and underscores; those without a name are ignored.
    """

    def __init__(self, fields: Sequence[str], required: Sequence[str], given: Mapping[str, str] | None = None):
        self.fields, self.required, self.given = fields, required, dict(given or {})
        for field in self.given:
            if field not in fields:
                raise InputError(f"columns: found {field!r}, expected one of {', '.join(fields)} on the left")

    def known(self, header: Iterable[str]) -> int:
        """How many fields these headers name: of several ways to cut a line, the best knows most."""
        names = {_plain(cell) for cell in header}
        return sum(_plain(self.given.get(field, field)) in names for field in self.fields)

    def where(self, name: str, header: Sequence[str]) -> dict[str, int]:
        """The position of each field that the file `name` has. Raises InputError."""
        places_of: dict[str, int] = {}
        missing = []
        for field in self.fields:
            wanted = self.given.get(field, field)
            places = [i for i, cell in enumerate(header) if cell == wanted]
            places = places or [i for i, cell in enumerate(header) if _plain(cell) == _plain(wanted)]
            if len(places) > 1:
                twice = " and ".join(repr(header[i]) for i in places)
                raise InputError(f"{name}: the column name {wanted!r} comes twice ({twice}); expected each once")
            if places:
                places_of[field] = places[0]
            elif field in self.given or field in self.required:
                missing.append(field)
        if missing:
            raise self._missing(name, header, missing, places_of)
        return places_of

    def _missing(self, name: str, header: Sequence[str], missing: list[str], known: dict[str, int]) -> InputError:
        free = [cell for i, cell in enumerate(header) if cell and i not in known.values()]
        close = {field: _closest(field, self.given.get(field, field), free) for field in missing}
        meant = self.given | {field: cell or "..." for field, cell in close.items()}
        wanted = ", ".join(f"{f} ({self.given[f]!r})" if f in self.given else f for f in missing)
        names = [repr(cell) for cell in header if cell]
        shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        candidates = ", ".join(dict.fromkeys(repr(n) for n in close.values() if n))
        return InputError(
            f"{name}: no column for {wanted}; found {shown or 'no column names'}"
            f"{f', of which closest: {candidates}' if candidates else ''}; name the columns in line 1 "
            f"{', '.join(self.required)}, or say which they are with {flag('columns', meant)}"
        )


def _plain(header: str) -> str:
    return re.sub(r"[\s_\-]+", "", header).casefold()


def _closest(field: str, wanted: str, headers: Sequence[str]) -> str | None:
    """The header that most likely was meant."""
    plain = {_plain(cell): cell for cell in reversed(headers)}
    if near := difflib.get_close_matches(_plain(wanted), plain, n=1):
        return plain[near[0]]
    for hint in _HINTS.get(field, (field,)):
        for name, cell in reversed(plain.items()):
            if hint in name:
                return cell
    return None


def flag(name: str, mapping: Mapping[str, str]) -> str:
    """The setting as it is typed in a shell, its value YAML in one line."""
    cells = ", ".join(f"{_quoted(key)}: {_quoted(value)}" for key, value in mapping.items())
    return f"--{name} {shlex.quote(f'{{{cells}}}')}"


def _quoted(text: str) -> str:
    plain = _PLAIN.fullmatch(text) and text.casefold() not in _NOT_TEXT
    return text if plain else json.dumps(text, ensure_ascii=False)

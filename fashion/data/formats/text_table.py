"""The text tables of DeepFashion: a row count, column names, rows padded with blanks.

They are read as a stream, in bytes, so the memory needed does not grow with the file. A byte order mark, CRLF, empty
lines and a missing last newline are all accepted.
"""

from collections.abc import Callable, Iterator

from fashion.errors import InputError
from fashion.storage import Store

Warn = Callable[[str], None]  # receives one line for a person to read

OWN = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet")  # names of tables that users make

_CHUNK = 1 << 20  # bytes read at once
_LONGEST = 1 << 22  # bytes in a line; more means that this is no text table
_DIGITS = 18  # of a count; Python refuses to read thousands
_BOM = b"\xef\xbb\xbf"


def raw_lines(source: Store, name: str) -> Iterator[bytes]:
    """Every line without its end, a byte order mark removed from the first.

    Raises FileNotFoundError, and InputError where a line is longer than any table's.
    """
    with source.fs.open_input_stream(source.at(name)) as stream:
        number, rest, ended = 0, b"", False
        while not ended:
            chunk = stream.read(_CHUNK)
            ended = not chunk
            *complete, rest = (rest + chunk).split(b"\n")
            if ended:
                complete.append(rest)
            elif len(rest) > _LONGEST:
                raise malformed(name, number + 1, f"a line of more than {_LONGEST} bytes", "a text table")
            for line in complete:
                number += 1
                yield (line.removeprefix(_BOM) if number == 1 else line).removesuffix(b"\r")


def lines(source: Store, name: str) -> Iterator[tuple[int, bytes]]:
    """(line number from 1, line without blanks at its ends) of every line that is not empty; raises as `raw_lines`."""
    for number, line in enumerate(raw_lines(source, name), 1):
        if line := line.strip():
            yield number, line


def counted_lines(
    source: Store, name: str, warn: Warn, *, header: bool = True, exact: bool = False
) -> Iterator[tuple[int, bytes]]:
    """The rows of a table whose line 1 is their count and, with `header`, line 2 the column names.

    A count that differs from the rows is a warning with both numbers, as published files have such; with `exact`, where
    a row's place in the list is what other files call it by, an error. Raises FileNotFoundError, and InputError where
    line 1 is not a count.
    """
    rows = lines(source, name)
    number, first = next(rows, (1, b""))
    if not first.isdigit() or len(first) > _DIGITS:
        raise malformed(name, number, repr(first[:40].decode(errors="replace")), "the number of rows")
    if header:
        next(rows, None)
    count = 0
    for row in rows:
        count += 1
        yield row
    if count != int(first) and exact:
        raise InputError(
            f"{name}: line 1 says {int(first)} rows, found {count}; other files call them by their place in this list, so "
            "each after one that is missing would be taken for another; expected the list as published"
        )
    if count != int(first):
        warn(f"{name}: line 1 says {int(first)} rows, found {count}; all {count} are used")


def counted_rows(
    source: Store, name: str, warn: Warn, *, header: bool = True, exact: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """(line number, the row's tokens) of `counted_lines`: tokens are separated by any run of white space."""
    for number, line in counted_lines(source, name, warn, header=header, exact=exact):
        yield number, tokens(name, number, line)


def tokens(name: str, number: int, line: bytes) -> list[str]:
    """The tokens of a line, one at least; InputError where it is not UTF-8, or blank by Unicode's rules alone."""
    try:
        if words := line.decode().split():
            return words
    except UnicodeDecodeError:
        raise malformed(name, number, "bytes that are not UTF-8", "text in UTF-8") from None
    raise malformed(name, number, repr(line.decode()), "a row")


def malformed(name: str, number: int, found: str, expected: str) -> InputError:
    """The error for one line of a file."""
    return InputError(f"{name}, line {number}: found {found}, expected {expected}")


def require(source: Store, layout: str, *names: str) -> None:
    """Raises InputError naming the first file that is not there, and the layout it belongs to."""
    for name in names:
        if not source.exists(name):
            own = " and ".join(own_tables(source))
            hint = f"found {own}; did you mean --benchmark manifest?" if own else "check the source folder"
            raise InputError(f"{name}: not found in {source.uri}; expected {layout}; {hint}")


def own_tables(source: Store) -> list[str]:
    """The CSV and Parquet files in the folder itself, which no published benchmark has: a user's own."""
    return [name for name in source.names() if name.lower().endswith(OWN)]


def have(source: Store, name: str, warn: Warn, without: str) -> bool:
    """Whether an optional file is there; `warn` is told what is done without it."""
    if source.exists(name):
        return True
    warn(f"{name}: not found; {without}")
    return False

"""The rows of DeepFashion's annotation files: boxes, landmarks, attributes. One generator a kind of file.

Formats: the readme files that come with each benchmark, and the files themselves where these differ from them.
"""

from collections.abc import Iterable, Iterator, Sequence

from fashion.data.formats.text_table import Warn, counted_lines, counted_rows, have, malformed, tokens
from fashion.domain import LANDMARKS, SLOTS, UNUSED
from fashion.errors import InputError
from fashion.storage import Store

# The types of attributes in the lists of the category benchmark.
ATTRIBUTE_TYPES = {"1": "texture", "2": "fabric", "3": "shape", "4": "part", "5": "style"}

_TYPES = 100  # more than there are of clothes and poses
_LARGEST = 1_000_000  # a coordinate beyond this is no pixel


def integers(name: str, number: int, values: Iterable[str], expected: str) -> tuple[int, ...]:
    """Zero-padded integers; InputError naming the line where one is something else."""
    try:
        numbers = tuple(map(int, values))
    except ValueError as fault:
        raise malformed(name, number, str(fault).rpartition(": ")[2], expected) from None
    if numbers and max(map(abs, numbers)) > _LARGEST:
        raise malformed(name, number, str(max(numbers, key=abs)), expected)
    return numbers


def one_of(name: str, number: int, value: str, choices: Iterable[str], what: str) -> str:
    """`value` where it is among `choices`, else InputError naming the line."""
    if value not in choices:
        raise malformed(name, number, f"{what} {value!r}", f"one of {', '.join(choices)}")
    return value


def box_rows(source: Store, name: str, warn: Warn, columns: Sequence[str]) -> Iterator[tuple[str, dict]]:
    """(image, its values) from rows of image name, the integer `columns`, x_1 y_1 x_2 y_2.

    The values are those columns and `box`, (x1, y1, x2, y2) as annotated: it may be swapped, empty or outside.
    """
    expected = f"image_name {' '.join([*columns, 'x_1 y_1 x_2 y_2'])}"
    for number, (image, *rest) in counted_rows(source, name, warn):
        if len(rest) != len(columns) + 4:
            raise malformed(name, number, f"{1 + len(rest)} columns", expected)
        values = integers(name, number, rest, expected)
        if any(abs(value) > _TYPES for value in values[:-4]):
            raise malformed(name, number, f"types {values[:-4]}", f"{expected}, of types below {_TYPES}")
        yield image, {**dict(zip(columns, values, strict=False)), "box": values[-4:]}


def landmark_rows(source: Store, name: str, warn: Warn) -> Iterator[tuple[str, dict]]:
    """(image, {clothes_type, landmarks}); landmarks are 24 numbers as in the schema.

    Rows are image name, clothes type, perhaps variation type, then 6, 4 or 8 triples of visibility, x, y: as many as
    the clothes type has, so what is left over by the triples tells whether there is a variation type.
    """
    expected = "image_name clothes_type [variation_type] and 6, 4 or 8 triples of visibility x y for type 1, 2 or 3"
    for number, (image, *rest) in counted_rows(source, name, warn):
        kind, *points = integers(name, number, rest, expected) or (0,)
        if len(points) % 3 == 1:
            points = points[1:]
        slots = SLOTS.get(kind)
        if slots is None or len(points) != 3 * len(slots):
            raise malformed(name, number, f"clothes type {kind} with {len(points)} numbers", expected)
        yield image, {"clothes_type": kind, "landmarks": spread(points, slots)}


def spread(points: Sequence[int], slots: Sequence[int]) -> list[int]:
    """(visibility, x, y) triples put into `slots` of the 8, the others marked UNUSED; returns 24 numbers."""
    full = [UNUSED, 0, 0] * len(LANDMARKS)
    for i, slot in enumerate(slots):
        full[3 * slot : 3 * slot + 3] = points[3 * i : 3 * i + 3]
    return full


def names_and_types(source: Store, name: str, warn: Warn) -> list[tuple[str, str]]:
    """(name, type) of each row of a list of attributes or categories; the type is the last token.

    Other files call them by their place here, so a wrong count is refused. Names may hold blanks. Where a Chinese name
    stands before the English one, the English one is returned.
    """
    pairs = []
    for number, row in counted_rows(source, name, warn, exact=True):
        if len(row) < 2:
            raise malformed(name, number, repr(" ".join(row)), "a name and a type")
        *words, kind = row
        chinese = max((i + 1 for i, word in enumerate(words) if _is_chinese(word)), default=0)
        pairs.append((" ".join(words[chinese:] or words), kind))
    return pairs


def type_names(source: Store, name: str, warn: Warn) -> dict[str, str]:
    """Number of a type -> its name, from a list whose rows hold both in either order, perhaps with a Chinese name."""
    names = {}
    for number, row in counted_rows(source, name, warn):
        numbers = [word for word in row if word.isdigit()]
        words = [word for word in row if not word.isdigit()]
        if len(numbers) != 1 or not words:
            raise malformed(name, number, repr(" ".join(row)), "a number and a name")
        names[numbers[0]] = " ".join([word for word in words if not _is_chinese(word)] or words)
    return names


def named_types(attributes: Iterable[tuple[str, str]], types: dict[str, str]) -> dict[str, str]:
    """Attribute -> the name of its type, in order; `type 7` where `types` has no name for 7. The first of equal names
    counts."""
    named: dict[str, str] = {}
    for attribute, kind in attributes:
        named.setdefault(attribute, types.get(kind, f"type {kind}"))
    return named


def label_rows(source: Store, name: str, warn: Warn, names: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """(image or item, the names whose label is 1) from rows of a name and one label in {1, -1, 0} for each of `names`.

    -1 and 0 both count as absent.
    """
    for number, line in counted_lines(source, name, warn):
        first, *labels = line.split(None, 1)
        key, *more = tokens(name, number, first)
        if more:  # parted by a blank of Unicode's
            raise malformed(name, number, repr(first.decode()), "a name without blanks, then labels")
        try:
            yield key, [names[i] for i in positives(labels[0] if labels else b"", len(names))]
        except InputError as fault:
            raise InputError(f"{name}, line {number}: {fault}") from None


def positives(labels: bytes, count: int) -> list[int]:
    """Where the 1s are among `count` labels in {1, -1, 0} separated by white space. Raises InputError.

    The category benchmark has 289,222 rows of 1,000 labels, so no number is made of a label: the row becomes a string
    with one character a label instead.
    """
    flat = labels.replace(b"-1", b"0")
    number = len(flat.split())
    flat = flat.translate(None, b" \t\r\n\v\f")
    if number != count:
        raise InputError(f"found {number} labels, expected {count}")
    if len(flat) != count or flat.translate(None, b"01"):
        raise InputError("found a label that is not 1, -1 or 0")
    where, at = [], flat.find(b"1")
    while at >= 0:
        where.append(at)
        at = flat.find(b"1", at + 1)
    return where


def folder_category(image: str) -> str | None:
    """The two folders under img/, as in img/WOMEN/Dresses/id_00000002/02_1_front.jpg: WOMEN/Dresses."""
    folders = image.split("/")[1:3]
    return "/".join(folders) if image.count("/") > 2 else None


def check_items(source: Store, name: str, items: set[str], warn: Warn) -> None:
    """Warns where the list of items (a count, then one id a row) and the evaluation list do not name the same ones."""
    if not have(source, name, warn, "the items are not checked against it"):
        return
    listed = {row[0] for _, row in counted_rows(source, name, warn, header=False)}
    if listed != items:
        warn(
            f"{name}: {len(listed - items)} items have no image in the evaluation list, which has "
            f"{len(items - listed)} items that are not listed here; the evaluation list is used"
        )


def _is_chinese(word: str) -> bool:
    return any(character >= "⺀" for character in word)  # where East Asian scripts begin

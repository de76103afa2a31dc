"""The benchmarks by name: where annotations come from, in one form whatever the files look like."""

import functools
import hashlib
import inspect
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from fashion.data.formats import category, category_fine, consumer2shop, inshop, manifest
from fashion.data.formats.manifest_rows import find_manifest
from fashion.data.formats.rejects import Reject
from fashion.data.formats.text_table import Warn
from fashion.data.settings import TableSettings
from fashion.errors import InputError
from fashion.storage import Store

_log = logging.getLogger(__name__)


def _category(source: Store, warn: Warn, *, fine: bool = False) -> Iterator[pa.RecordBatch]:
    return (category_fine.read_fine if fine else category.read_coarse)(source, warn)


_READERS: dict[str, Callable[..., Iterator[pa.RecordBatch]]] = {
    "in-shop": inshop.read,
    "consumer-to-shop": consumer2shop.read,
    "category-attribute": _category,
    "manifest": manifest.read,
}
# Of the benchmarks that have a list of attributes.
_ATTRIBUTES: dict[str, Callable[[Store, Warn], dict[str, str]]] = {
    "in-shop": inshop.attribute_types,
    "consumer-to-shop": consumer2shop.attribute_types,
    "category-attribute": category.attribute_types,
}
BENCHMARKS = tuple(_READERS)

FOLDERS = ("Anno", "Anno/attributes", "Anno_coarse", "Anno_fine", "Eval")  # where DeepFashion's annotations lie
CHUNK = 1 << 22  # bytes hashed at once


def read_annotations(
    benchmark: str, source: Store, *, warn: Warn = _log.warning, reject: Reject | None = None, **options: Any
) -> Iterator[pa.RecordBatch]:
    """The annotations of a benchmark's images, as batches of schema ANNOTATIONS with at most 10,000 rows, one an image.

    `warn` receives a line for whatever is odd but usable: counts that differ, rows without a match, optional files that
    are missing. `reject` receives each row of a manifest that cannot be used; without it, they are listed in an
    InputError at the end. Options: category-attribute takes `fine` (bool: the 26-attribute annotation), manifest takes
    `manifest` (the name of its file in `source`), `columns` and `domains`. Raises InputError, for what is in the files
    while the batches are drawn.
    """
    if benchmark not in _READERS:
        raise InputError(f"benchmark {benchmark!r}: expected one of {', '.join(BENCHMARKS)}")
    reader = _READERS[benchmark]
    known = [p.name for p in inspect.signature(reader).parameters.values() if p.kind is p.KEYWORD_ONLY]
    if "reject" in known:
        known.remove("reject")
        reader = functools.partial(reader, reject=reject)
    for option in options:
        if option not in known:
            raise InputError(f"benchmark {benchmark} has no option {option!r}; it has {', '.join(known) or 'none'}")
    return reader(source, warn, **options)


def read_attribute_types(benchmark: str, source: Store, *, fine: bool = False) -> dict[str, str]:
    """Every attribute that the benchmark's list names, whether an image has it or not -> the name of its type.

    Empty where there is no such list. Raises InputError. What is odd about the list is said by `read_annotations`.
    """
    reader = category_fine.attribute_types if fine else _ATTRIBUTES.get(benchmark)
    return reader(source, lambda _: None) if reader else {}


def annotation_files(source: Store, settings: TableSettings) -> list[str]:
    """The names in `source` of the files that annotations may be read from. Raises InputError where there is no
    manifest."""
    if settings.benchmark == "manifest":
        return [settings.manifest or find_manifest(source)]
    return sorted({name for folder in FOLDERS for name in source.names(folder)})


def digest_of_files(source: Store, names: list[str], settings: TableSettings) -> str:
    """Of the names and the bytes, and of how they are read. Raises InputError where a file is not there."""
    read_as = {name: getattr(settings, name) for name in ("columns", "domains") if getattr(settings, name)}
    digest = hashlib.blake2b(json.dumps(read_as, sort_keys=True).encode(), digest_size=16)
    for name in names:
        digest.update(f"\0{name}\0".encode())
        try:
            with source.fs.open_input_stream(source.at(name)) as stream:
                while chunk := stream.read(CHUNK):
                    digest.update(chunk)
        except FileNotFoundError:
            raise InputError(f"{name}: not found in {source.uri}; expected the file of annotations there") from None
    return digest.hexdigest()

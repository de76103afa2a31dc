"""Files under a local folder or a bucket's prefix, through pyarrow, with whole-file writes only.

A file is either there and complete or not there: local writes go to a temporary name and are renamed, object-store
writes are one upload of a finished buffer. Endpoint, region and credentials come from the environment of each process
(AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, ... or an instance profile); nothing of them is kept in a `Store`.
"""

import os
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from fashion.addresses import check_key, normalise, open_filesystem
from fashion.errors import InputError
from fashion.json_values import of_plain, to_plain
from fashion.sealed import from_json, parquet_parts, read_footer, to_json

Content = TypeVar("Content")

# Of what pyarrow says, what is about the file and not about the storage.
_DAMAGE = re.compile(
    "crc|corrupt|thrift|page header|end of stream|deserialize|decompress|levels|not yet implemented|flatbuffer"
    "|dictionary|encoding|byte_?stream_?split|parquet",
    re.IGNORECASE,
)
_TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.tmp")

READERS = 16  # threads that wait for storage: a bucket answers each request in tens of milliseconds


class Store:
    """A folder, local or in a bucket. Names are relative, with forward slashes; pickles as its address alone."""

    def __init__(self, uri: str | os.PathLike[str]):
        self.uri = normalise(os.fspath(uri))
        self.fs, self.path = open_filesystem(self.uri)

    def __reduce__(self) -> tuple:
        return Store, (self.uri,)

    def __repr__(self) -> str:
        return f"Store({self.uri!r})"

    def __truediv__(self, name: str) -> "Store":
        return Store(f"{self.uri}/{_relative(name)}")

    @property
    def local(self) -> bool:
        return "://" not in self.uri

    @property
    def bucket(self) -> str | None:
        """The bucket; None for a local folder."""
        return None if self.local else self.path.split("/", 1)[0]

    def parent(self) -> tuple[str, str]:
        """The path of the folder that this one lies in, inside `self.fs`, and its own name there. Raises InputError."""
        folder, slash, name = self.path.rpartition("/")
        if not slash or not name:
            raise InputError(
                f"{self.uri}: is the root of a bucket or of the disk; expected a folder in it, such as {self.uri}/first"
            )
        return folder or "/", name

    def at(self, name: str) -> str:
        """The path of `name` inside `self.fs`."""
        return f"{self.path}/{_relative(name)}"

    def exists(self, name: str) -> bool:
        return self.fs.get_file_info(self.at(name)).type == pafs.FileType.File

    def names(self, folder: str = "", *, recursive: bool = False) -> list[str]:
        """Sorted names of the files under `folder`, relative to this store; empty where the folder is not there."""
        base = self.at(folder) if folder else self.path
        infos = self.fs.get_file_info(pafs.FileSelector(base, recursive=recursive, allow_not_found=True))
        files = [f.path[len(self.path) :].lstrip("/") for f in infos if f.type == pafs.FileType.File]
        return sorted(name for name in files if not _is_temporary(name))

    def read(self, name: str) -> bytes:
        """The whole file. Raises FileNotFoundError."""
        with self.fs.open_input_stream(self.at(name)) as stream:
            return stream.read()

    def open(self, name: str) -> pa.NativeFile:
        """A seekable file for reading."""
        return self.fs.open_input_file(self.at(name))

    def write(self, name: str, *data: bytes | memoryview | pa.Buffer) -> None:
        """Make `name` hold `data`, one after another; a reader never sees a part of it."""
        path = self.at(name)
        if not self.local:
            with self.fs.open_output_stream(path) as stream:
                for part in data:
                    stream.write(part)
            return
        self.fs.create_dir(os.path.dirname(path), recursive=True)
        temporary = f"{os.path.dirname(path)}/.{uuid.uuid4().hex}.tmp"
        try:
            with self.fs.open_output_stream(temporary) as stream:
                for part in data:
                    stream.write(part)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def read_json(self, name: str) -> Any:
        """What was written. Raises FileNotFoundError, and InputError where it is damaged."""

        return self.looked_at_twice(lambda: self._json(name))

    def _json(self, name: str) -> Any:
        data = self.read(name)
        try:
            return from_json(data)
        except (ValueError, RecursionError) as fault:
            raise damage(f"{self.uri}/{name}", fault) from None

    def write_json(self, name: str, value: Any) -> None:
        self.write(name, to_json(value))

    def read_value(self, name: str, kind: type[Content]) -> Content:
        """The dataclass, or list of them, that `write_value` wrote. Raises FileNotFoundError, and InputError where it is
        damaged or another."""
        return self.looked_at_twice(lambda: self.value_of(name, self._json(name), kind))

    def value_of(self, name: str, plain: Any, kind: type[Content]) -> Content:
        """What a file's JSON is as a dataclass. Raises InputError where it is another."""
        try:
            return of_plain(kind, plain)
        except ValueError as fault:
            raise damage(f"{self.uri}/{name}", fault) from None

    def write_value(self, name: str, value: Any) -> None:
        """A dataclass, or a list of them, as JSON."""
        self.write_json(name, to_plain(value))

    def read_table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """Of a Parquet file. Raises FileNotFoundError, and InputError where it is damaged."""

        def read() -> pa.Table:
            with self.open_table(name) as table:
                return table.read(columns)

        return self.looked_at_twice(read)

    def open_table(self, name: str) -> "TableFile":
        """A Parquet file that is opened once, and read column by column."""
        return TableFile(self.open(name), f"{self.uri}/{name}")

    def looked_at_twice(self, read: Callable[[], Content]) -> Content:
        """What `read` returns: of its second try where it finds damage and the file comes over a network, for pyarrow does
        not notice where a body is shorter than it was to be."""
        try:
            return read()
        except InputError:
            if self.local:
                raise
        return read()

    def write_table(self, name: str, table: pa.Table, **options: Any) -> int:
        """Write Parquet; returns its size in bytes."""
        parts = parquet_parts(table, **options)
        self.write(name, *parts)
        return sum(map(len, parts))

    def delete(self, name: str) -> None:
        self.fs.delete_file(self.at(name))

    def delete_folder(self, name: str) -> None:
        """Delete everything under `name`; nothing happens where it is not there."""
        if self.fs.get_file_info(self.at(name)).type == pafs.FileType.Directory:
            self.fs.delete_dir(self.at(name))


class TableFile:
    """An open Parquet file; `uri` names it in errors."""

    def __init__(self, file: pa.NativeFile, uri: str):
        self.file, self.uri = file, uri
        with undamaged(uri):
            # Not pq.read_table, which imports pandas: a second and a half.
            self.parquet = pq.ParquetFile(file, metadata=read_footer(file), page_checksum_verification=True)

    def __enter__(self) -> "TableFile":
        return self

    def __exit__(self, *fault: object) -> None:
        self.file.close()

    def read(self, columns: list[str] | None = None) -> pa.Table:
        """All rows of these columns, in the file's order, or of all."""
        with undamaged(self.uri):
            return self.parquet.read(columns)


def damage(file: str, fault: Exception) -> InputError:
    """The error to raise where what is in `file` is not what was written."""
    message = " ".join(str(fault).split())
    return InputError(f"{file}: is damaged ({message}); delete it and make it again, or take it from a copy")


@contextmanager
def undamaged(file: str, error: Callable[[str, Exception], InputError] = damage) -> Iterator[None]:
    """A block that reads Parquet from an open `file`. Raises `error` where it is damaged."""
    try:
        yield
    except (InputError, FileNotFoundError, MemoryError, pa.ArrowCancelled):
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError) as fault:  # the last two: of text and times
        if isinstance(fault, OSError) and not _DAMAGE.search(str(fault)):
            raise  # of the storage
        raise error(file, fault) from None


def _relative(name: str) -> str:
    if "\\" in name:
        raise InputError(f"{name!r}: a path must stay inside its folder")
    check_key(name, name)
    return name


def _is_temporary(name: str) -> bool:
    return _TEMPORARY.fullmatch(name.rsplit("/", 1)[-1]) is not None

"""Which version of a picture's file a source holds: by its size and the time it was last written, from listings of whole
folders, so that a picture that was replaced under its name is noticed at the cost of a request for every 1,000 pictures.

A replacement that keeps size and time is not noticed, nor are pictures at addresses elsewhere or inside a Parquet file.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs

from fashion.data.pictures.folder import Pictures, folded, pictures_of
from fashion.data.pictures.places import scheme_of
from fashion.data.prepare.garments import picture_of
from fashion.data.prepare.planned import PlannedShard
from fashion.data.schema import ADDRESS, ANNOTATIONS, VERSION, rows_file
from fashion.data.settings import TableSettings
from fashion.errors import InputError
from fashion.storage import READERS, Store


class Versions:
    """The pictures of `source` that the table at `out` is made from."""

    def __init__(self, source: Store, out: Store, settings: TableSettings):
        inside = out.uri.startswith(f"{source.uri}/")
        self.out = out
        self.files = Listed(source, f"{out.uri[len(source.uri) + 1 :]}/" if inside else None)
        self.places = pictures_of(source, settings)

    def state(self) -> dict:
        """Of the folders that the pictures lie in, for the next run."""
        return self.files.state()

    def are(self, state: dict | None) -> bool:
        """Whether the folders are as an earlier run found them."""
        return state is not None and self.files.state(state["folders"]) == state

    def of(self, rows: pa.Table) -> tuple[list[int | None], list[bool]]:
        """Of the picture of each of these annotations its version, where it is known, and whether it would be, were the
        picture there."""
        here = rows[ADDRESS.name].is_null().to_pylist()
        names = [picture_of(image) for image in rows["image"].to_pylist()]
        here = [own and not scheme_of(name) for own, name in zip(here, names, strict=True)]
        return [self.files.of(name, *self.places) if own else None for own, name in zip(here, names, strict=True)], here

    def with_versions(self, rows: pa.Table, annotations: str, old: PlannedShard | None) -> tuple[pa.Table, str]:
        """`versioned` rows of a shard's annotations with this digest. A picture that is not in the source any more keeps
        the version that it was packed from into `old`."""
        known, here = self.of(rows)
        gone = [i for i, version in enumerate(known) if version is None and here[i]]
        if gone and old:
            before = self._versions_of(old)
            keys = list(zip(rows["item"].to_pylist(), rows["image"].to_pylist(), strict=True))
            for i in gone:
                known[i] = before.get(keys[i])
        return versioned(rows, annotations, known)

    def _versions_of(self, old: PlannedShard) -> dict[tuple[str, str], int]:
        """Item and image -> version, of a finished shard."""
        rows = self.out.read_table(rows_file(old.rows))
        if VERSION.name not in rows.column_names:
            return {}
        columns = (rows[name].to_pylist() for name in ("item", "image", VERSION.name))
        return {(item, image): version for item, image, version in zip(*columns, strict=True)}


def versioned(rows: pa.Table, annotations: str, known: list[int | None]) -> tuple[pa.Table, str]:
    """(`rows` with VERSION, their digest) of annotations with this digest; where no version is known, both as they were."""
    if not any(known):
        return rows, annotations
    return rows.append_column(VERSION, pa.array(known, VERSION.type)), digest_of(f"{annotations}{known}")


class Listed:
    """The files of a source, 16 bytes of memory each, as they are when their folder is first asked about.

    `without`: a folder in the source that is not looked at, with a slash at its end.
    """

    def __init__(self, source: Store, without: str | None = None):
        self._source, self._without = source, without
        self._listed: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # top folder -> sorted keys of names, versions

    def of(self, image: str, *places: Pictures) -> int | None:
        """Of an annotated picture, as it is looked for in `places`; None where it is in none of them, or elsewhere."""
        versions = [version for pictures in places if (version := self._first(pictures, image)) is not None]
        return _number(versions) if versions else None

    def state(self, folders: Iterable[str] | None = None) -> dict:
        """The top folders that were asked about, or these, and a digest of the files in them."""
        names = sorted(self._listed if folders is None else folders)
        digest = hashlib.blake2b(digest_size=16)
        for name in names:
            digest.update(f"\0{name}\0".encode())
            for values in self._folder(name):
                digest.update(values.tobytes())
        return {"folders": names, "digest": digest.hexdigest()}

    def _first(self, pictures: Pictures, image: str) -> int | None:
        try:
            names = pictures.names(image)
        except InputError:
            return None
        for name in names:
            folder, slash, _ = name.partition("/")
            keys, versions = self._folder(folder if slash else "")
            key = np.uint64(_number(folded(name)))
            place = np.searchsorted(keys, key)
            if place < len(keys) and keys[place] == key:
                return int(versions[place])
        return None

    def _folder(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        if name not in self._listed:
            self._listed[name] = self._list(name)
        return self._listed[name]

    def _list(self, folder: str) -> tuple[np.ndarray, np.ndarray]:
        """Everything under a top folder; of the source itself, "", only the files in it."""
        root = self._source.path
        parts = self._walk(f"{root}/{folder}") if folder else [self._numbers(self._infos(root))]
        keys, versions = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(keys)
        keys, versions = keys[order], versions[order]
        # Names that differ in case alone have one version together: where one of them changes, all are read again.
        first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]][: len(keys)])
        return keys[first], np.add.reduceat(versions, first) if len(first) else versions

    def _walk(self, folder: str) -> list[tuple[np.ndarray, np.ndarray]]:
        """Level by level until there are folders enough to list them side by side: a bucket gives 1,000 names a request, one
        after another. What pyarrow says of a file is 50 times as large as what is kept of it."""
        parts, folders = [], [folder]
        with ThreadPoolExecutor(READERS) as pool:
            while folders and len(folders) < READERS:
                level = [info for part in pool.map(self._infos, folders) for info in part]
                parts.append(self._numbers(level))
                folders = [info.path for info in level if info.type == pafs.FileType.Directory]
            parts += pool.map(lambda path: self._numbers(self._infos(path, recursive=True)), folders)
        return parts

    def _numbers(self, infos: Iterable[pafs.FileInfo]) -> tuple[np.ndarray, np.ndarray]:
        """Keys of the names of the files among these, and their versions."""
        pairs = np.fromiter(map(_number, self._texts(infos)), np.uint64).reshape(-1, 2)
        return pairs[:, 0].copy(), pairs[:, 1].copy()

    def _texts(self, infos: Iterable[pafs.FileInfo]) -> Iterator[object]:
        start = len(self._source.path)
        for info in infos:
            name = info.path[start:].lstrip("/")
            if info.type == pafs.FileType.File and not (self._without and name.startswith(self._without)):
                yield folded(name)
                yield [info.size, info.mtime_ns]

    def _infos(self, folder: str, *, recursive: bool = False) -> list[pafs.FileInfo]:
        return self._source.fs.get_file_info(pafs.FileSelector(folder, recursive=recursive, allow_not_found=True))


def _number(value: object) -> int:
    """64 bits of a hash of a text or a list of numbers."""
    return int.from_bytes(hashlib.blake2b(str(value).encode(), digest_size=8).digest(), "little")


def digest_of_rows(rows: pa.Table) -> str:
    """Of annotations but their addresses, which may be signed anew each day."""
    names = [name for name in ANNOTATIONS.names if name != ADDRESS.name]
    return digest_of(json.dumps(rows.select(names).to_pylist()))


def digest_of(text: str) -> str:
    """32 hexadecimal digits."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

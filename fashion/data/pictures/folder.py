"""Where a benchmark's pictures are: an annotated path such as img/TOPS/T_Shirt/id_00000001/shop_01.jpg -> bytes."""

import functools
import os
import threading
import unicodedata
from collections.abc import Iterable
from functools import cached_property

import pyarrow.fs as pafs

from fashion.data.pictures.parquet import ParquetPictures
from fashion.data.pictures.places import scheme_of
from fashion.data.pictures.remote import Remote
from fashion.data.settings import TableSettings
from fashion.errors import InputError
from fashion.storage import Store

_NAMES_KEPT = 200_000  # names of listed folders held in memory; the newest listing is kept whatever its size


class Pictures:
    """The pictures of a source folder. Pickles as its address; may be shared between threads.

    Annotated paths start with img/, and the pictures lie in `Img/img/...` or in `img/...`, depending on who unpacked
    them. `folder`, e.g. `Img/img_highres`, takes the place of the leading img/. `follow_links`: links may lead out of the
    source. `allow_private_hosts`: pictures may be fetched from loopback and private networks.
    """

    def __init__(
        self,
        source: Store,
        folder: str | None = None,
        *,
        follow_links: bool = False,
        allow_private_hosts: bool = False,
    ):
        self.source = source
        self.folder = inside(folder) if folder else None
        self.follow_links, self.allow_private_hosts = follow_links, allow_private_hosts
        self._listings = _Listings(source)
        self._remote = Remote(private=allow_private_hosts)
        self._in_parquet = ParquetPictures(source)

    def __reduce__(self) -> tuple:
        settings = {"follow_links": self.follow_links, "allow_private_hosts": self.allow_private_hosts}
        return functools.partial(Pictures, self.source, self.folder, **settings), ()

    def stage(self, addresses: Iterable[str]) -> None:
        """Read those of the pictures that lie in a Parquet file, in one pass, for `read` to give out."""
        self._in_parquet.stage(filter(ParquetPictures.has, addresses))

    def fetch(self, address: str) -> bytes:
        """As `read`, of the `address` of an annotation or of its image."""
        if ParquetPictures.has(address):
            return self._in_parquet.take(address)
        return self._remote.read(address) if scheme_of(address) else self.read(address)

    def read(self, image: str) -> bytes:
        """The file's bytes.

        A path that differs from the file's only in the case of letters, or in how accents are put together (archives made
        on a Mac have them apart), is found too; that is tried only where the exact one is missing, as it lists the
        folders. Raises InputError for a path that leads out of the source, and FileNotFoundError.
        """
        for name in self.names(image):
            try:
                return self._read(name)
            except FileNotFoundError:
                continue
        names = self._names(image)
        for name in names:
            variant = self._listings.find(name)
            if variant is not None:
                return self._read(variant)
        raise FileNotFoundError(f"{image}: not found in {self.source.uri} as {' or '.join(names)}")

    def names(self, image: str) -> list[str]:
        """Where a picture is looked for, in this order. Raises InputError for a path that leads out of the source."""
        names = self._names(image)
        return names if self.folder or self._has_img else names[1:]

    def _names(self, image: str) -> list[str]:
        path = inside(image)
        return [f"{self.folder}/{path.removeprefix('img/')}"] if self.folder else [f"Img/{path}", path]

    @cached_property
    def _has_img(self) -> bool:
        """Whether there is a folder Img: asked once, as each look for a missing object costs a request."""
        return self.source.fs.get_file_info(self.source.at("Img")).type == pafs.FileType.Directory

    def _read(self, name: str) -> bytes:
        if self.source.local and not self.follow_links:
            root = os.path.realpath(self.source.path)
            path = os.path.realpath(self.source.at(name))
            if os.path.commonpath([root, path]) != root:
                raise InputError(
                    f"{name}: a link leads out of {self.source.uri}; expected the picture itself there, or --follow_links "
                    "true"
                )
            if not os.path.isfile(path):
                raise FileNotFoundError(f"{name}: no such file")
        return self.source.read(name)


def pictures_of(source: Store, settings: TableSettings) -> list[Pictures]:
    """The pictures that go into an item table; then, where these are others, those whose pixels the annotation counts
    in."""
    return [
        Pictures(
            source,
            folder,
            follow_links=settings.follow_links,
            allow_private_hosts=settings.allow_private_hosts,
        )
        for folder in ([settings.pictures, None] if settings.pictures else [None])
    ]


class _Listings:
    """Finds files whatever the case of letters and the composition of accents, through the listings of their folders, of
    which the latest are kept."""

    def __init__(self, source: Store):
        self._source = source
        self._kept: dict[str, dict[str, list[str]]] = {}  # folder -> folded name -> names; the latest used come last
        self._lock = threading.Lock()

    def find(self, name: str) -> str | None:
        """The name of a file that is `name` but for case and composition: as written where it can be, else with the same
        letters, else the first in order."""
        path: list[str] = []
        for part in name.split("/"):
            names = self._entries("/".join(path)).get(folded(part), [])
            if not names:
                return None
            composed = [name for name in names if _composed(name) == _composed(part)]
            path.append(part if part in names else (composed or names)[0])
        return "/".join(path)

    def _entries(self, folder: str) -> dict[str, list[str]]:
        with self._lock:
            entries = self._kept.pop(folder, None)
        if entries is None:
            entries = self._list(folder)
        with self._lock:
            self._kept[folder] = entries
            while len(self._kept) > 1 and sum(map(len, self._kept.values())) > _NAMES_KEPT:
                del self._kept[next(iter(self._kept))]
        return entries

    def _list(self, folder: str) -> dict[str, list[str]]:
        base = self._source.at(folder) if folder else self._source.path
        try:
            infos = self._source.fs.get_file_info(pafs.FileSelector(base, allow_not_found=True))
        except NotADirectoryError:
            return {}
        entries: dict[str, list[str]] = {}
        for name in sorted(info.base_name for info in infos):
            entries.setdefault(folded(name), []).append(name)
        return entries


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def folded(name: str) -> str:
    """Equal for names that are equal but for case and composition: Unicode's canonical caseless matching."""
    return _composed(unicodedata.normalize("NFD", name).casefold())


def inside(image: str) -> str:
    """`image` with single slashes. Raises InputError where it could lead out of the folder it is relative to."""
    parts = [part for part in image.split("/") if part not in ("", ".")]
    if image.startswith("/") or ".." in parts or "\\" in image or "\0" in image or not parts:
        raise InputError(f"{image!r}: expected the path of a picture inside its folder")
    return "/".join(parts)

"""Versions of pictures beside their annotations: what tells that a picture was replaced under its name."""

import hashlib

import pyarrow as pa

from fashion.data.pictures.folder import pictures_of
from fashion.data.pictures.places import scheme_of
from fashion.data.pictures.versions import Versions
from fashion.data.prepare.garments import picture_of
from fashion.data.prepare.planned import PlannedShard
from fashion.data.schema import ADDRESS, VERSION, rows_file
from fashion.data.settings import TableSettings
from fashion.storage import Store


class Watched:
    """The pictures of `source` that the table at `out` is made from."""

    def __init__(self, source: Store, out: Store, settings: TableSettings):
        inside = out.uri.startswith(f"{source.uri}/")
        self.out = out
        self.versions = Versions(source, f"{out.uri[len(source.uri) + 1 :]}/" if inside else None)
        self.places = pictures_of(source, settings)

    def state(self) -> dict:
        """Of the folders that the pictures lie in, for the next run."""
        return self.versions.state()

    def are(self, state: dict | None) -> bool:
        """Whether the folders are as an earlier run found them."""
        return state is not None and self.versions.state(state["folders"]) == state

    def with_versions(self, rows: pa.Table, annotations: str, old: PlannedShard | None) -> tuple[pa.Table, str]:
        """(`rows` with VERSION, their digest) of a shard's annotations with this digest; where no version is known, both
        as they were.

        A picture that is not in the source any more keeps the version that it was packed from into `old`.
        """
        here = rows[ADDRESS.name].is_null().to_pylist()
        names = [picture_of(image) for image in rows["image"].to_pylist()]
        here = [own and not scheme_of(name) for own, name in zip(here, names, strict=True)]
        known = [self.versions.of(name, *self.places) if own else None for own, name in zip(here, names, strict=True)]
        gone = [i for i, version in enumerate(known) if version is None and here[i]]
        if gone and old:
            before = self._versions_of(old)
            keys = list(zip(rows["item"].to_pylist(), rows["image"].to_pylist(), strict=True))
            for i in gone:
                known[i] = before.get(keys[i])
        if not any(known):
            return rows, annotations
        return rows.append_column(VERSION, pa.array(known, VERSION.type)), digest_of(f"{annotations}{known}")

    def _versions_of(self, old: PlannedShard) -> dict[tuple[str, str], int]:
        """Item and image -> version, of a finished shard."""
        rows = self.out.read_table(rows_file(old.rows))
        if VERSION.name not in rows.column_names:
            return {}
        columns = (rows[name].to_pylist() for name in ("item", "image", VERSION.name))
        return {(item, image): version for item, image, version in zip(*columns, strict=True)}


def digest_of(text: str) -> str:
    """32 hexadecimal digits."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

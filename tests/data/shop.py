"""A shop for the tests of prepare: a manifest and its pictures, in a folder or a bucket, and the table made from them."""

from collections import Counter

from catalogues import jpeg, picture

from fashion.data.prepare.pack import ShardPacker
from fashion.data.prepare.run import prepare
from fashion.data.settings import TableSettings
from fashion.data.table import ItemTable
from fashion.storage import Store

SETTINGS = TableSettings(benchmark="manifest", shard_images=20, holdout=0.2)


class Shop:
    """A manifest and its pictures, and the table prepared from them, every picture that is read being counted."""

    def __init__(self, store: Store, monkeypatch):
        self.source, self.out = store / "source", store / "table"
        self.notes, self.packed, self.read = [], [], Counter()
        monkeypatch.setattr("fashion.data.prepare.run._packed", self.pack)
        load = Store.read

        def read(store, name):
            if name.endswith(".jpg"):
                self.read[name] += 1
            return load(store, name)

        monkeypatch.setattr(Store, "read", read)

    def pack(self, work, source, out, settings, cpus):
        for shard, drop in work:
            self.packed.append(shard.name)
            yield shard.name, ShardPacker(source, out, settings).pack(shard, drop)

    def picture(self, image: str, seed: int | None = None) -> str:
        self.source.write(image, jpeg(picture(hash_of(image) if seed is None else seed)))
        return image

    def list(self, rows: list[str], header: str = "image,item,domain") -> None:
        self.source.write("shop.csv", "\n".join([header, *rows]).encode())

    def prepare(self, **changes) -> ItemTable:
        self.notes.clear(), self.packed.clear(), self.read.clear()
        settings = TableSettings(**{**vars(SETTINGS), **changes})
        return prepare(self.source, self.out, settings, warn=self.notes.append, progress=lambda *_: None)


def hash_of(text: str) -> int:
    return sum(ord(c) * 31**i for i, c in enumerate(text)) % 2**31


def rows(shop: Shop, items: range, *, domains=("shop", "consumer")) -> list[str]:
    return [f"{shop.picture(f'{d}/{i}-{j}.jpg')},{i},{d}" for i in items for j, d in enumerate(domains)]


def images(table: ItemTable) -> dict[str, dict]:
    return {r["image"]: r for s in table.listed() for r in table.image_rows(s.name).to_pylist()}


def quarantined(table: ItemTable) -> dict[str, str]:
    names = table.store.names("quarantine", recursive=True)
    return {r["image"]: r["reason"] for name in names for r in table.store.read_table(name).to_pylist()}


def state(store: Store) -> dict[str, bytes]:
    return {name: store.read(name) for name in store.names(recursive=True)}

"""One shard of the item table: its annotations -> pictures read, checked, cropped, shrunk and packed -> its files."""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from fashion.data.boxes import scale_box, usable_box
from fashion.data.codecs import encode_jpeg, is_jpeg
from fashion.data.decode import BadPicture, check, decode
from fashion.data.pictures.folder import Pictures, pictures_of
from fashion.data.pictures.places import scheme_of
from fashion.data.prepare.garments import picture_of
from fashion.data.prepare.gone import live_stats
from fashion.data.prepare.planned import PlannedShard
from fashion.data.prepare.stats import PackStats, read_stats
from fashion.data.prepare.taken import Key, Taken, keys_of
from fashion.data.schema import (
    ADDRESS,
    ANNOTATIONS,
    DIGESTS,
    GROUP_ITEMS,
    ITEMS,
    QUARANTINE,
    digests_file,
    items_file,
    quarantine_file,
    rows_file,
    stats_file,
)
from fashion.data.settings import TableSettings
from fashion.errors import InputError
from fashion.sealed import digest_of, parquet_parts
from fashion.storage import READERS, Store

QUALITY = 92  # of pictures that are written anew; others keep their bytes


@dataclass(frozen=True, kw_only=True)
class PackedShard:
    items: pa.Table  # schema ITEMS
    quarantine: pa.Table  # schema QUARANTINE
    digests: pa.Table  # schema DIGESTS, of all pictures that could be used
    images: int


class ShardPacker:
    """Packs shards of the plan at `out` with pictures of `source`; without `out`, in memory alone."""

    def __init__(self, source: Store, out: Store | None, settings: TableSettings):
        self.source, self.settings = source, settings
        self._out = out

    @property
    def out(self) -> Store:
        """The table's folder; not to be asked for in memory alone."""
        assert self._out is not None
        return self._out

    @property
    def taken(self) -> Taken:
        return Taken(self.out)

    def pack(self, shard: PlannedShard, drop: Collection[Key] | None = None) -> PackStats:
        """Write the shard without the pictures `drop` (default: those left out where they are taken over from); returns
        the stats of what the table has of it.

        Pictures whose annotation is as in `old` or in one of `sources` are taken over from there. Where nothing is other
        than a second try of the pictures in the quarantine of `old`, and they fail again, `old` stays.
        """
        return live_stats(self.out, shard, self._packed_files(shard, drop))

    def _packed_files(self, shard: PlannedShard, drop: Collection[Key] | None) -> PackStats:
        """Stats of the shard's files."""
        rows = self.out.read_table(rows_file(shard.rows))
        if not shard.old:
            packed, dropped = self.taken.of_sources(rows, shard.sources)
            drop = dropped if drop is None else drop
            return self._write(shard, self.make(rows, packed=packed, drop=drop), drop)
        old, old_rows = shard.old
        stats = read_stats(self.out, old)
        before = list(stats.dropped)
        keys = keys_of(rows)
        drop = sorted(set(before) & set(keys)) if drop is None else drop
        if old_rows == shard.rows and drop == before:
            bad = set(keys_of(self.out.read_table(quarantine_file(old))))
            again = rows.filter(pa.array([key in bad for key in keys], pa.bool_()))
            if not self.make(again).images:
                return stats
        same = None if old_rows == shard.rows else self.taken.same(rows, old_rows)
        return self._write(shard, self.make(rows, packed=self.taken.pictures(old, same), drop=drop), drop)

    def make(self, rows: pa.Table, **options: Any) -> PackedShard:
        """Rows of annotations, packed in memory."""
        pictures, *annotated = pictures_of(self.source, self.settings)
        return pack_shard(
            rows,
            pictures,
            crop=self.settings.crop,
            size=self.settings.size,
            annotated=annotated[0] if annotated else None,
            **options,
        )

    def _write(self, shard: PlannedShard, packed: PackedShard, drop: Collection[Key]) -> PackStats:
        # Nearly all of it is pictures: not compressible, and the minimum and maximum of a page are two of them.
        pages, seal, footer = parquet_parts(
            packed.items, row_group_size=GROUP_ITEMS, compression="none", write_statistics=False, use_dictionary=False
        )
        if packed.items.num_rows:
            self.out.write(items_file(shard.name), pages, seal, footer)
        if packed.quarantine.num_rows:
            self.out.write_table(quarantine_file(shard.name), packed.quarantine)
        self.out.write_table(digests_file(shard.name), packed.digests)
        digest = digest_of(pages, footer)  # as it was before footers were sealed: tables keep their fingerprints
        stats = stats_of(shard, packed, size=pages.size + footer.size, digest=digest, drop=drop)
        self.out.write_value(stats_file(shard.name), stats)
        return stats


def stats_of(
    shard: PlannedShard, packed: PackedShard, *, size: int, digest: str, drop: Collection[Key] = ()
) -> PackStats:
    """`size`, in bytes, and `digest`: of its items' file. `drop`: the pictures that are left out."""
    items = packed.items.num_rows
    return PackStats(
        name=shard.name,
        split=shard.split,
        groups=tuple(min(GROUP_ITEMS, items - start) for start in range(0, items, GROUP_ITEMS)),
        items=items,
        images=packed.images,
        bad=packed.quarantine.num_rows,
        reasons=dict(Counter(packed.quarantine["reason"].to_pylist())),
        bytes=size,
        digest=digest,
        dropped=tuple(sorted(drop)),
    )


def pack_shard(
    rows: pa.Table,
    pictures: Pictures,
    *,
    crop: bool,
    size: int | None,
    annotated: Pictures | None = None,
    packed: Mapping[Key, tuple[dict, str]] = MappingProxyType({}),
    drop: Collection[Key] = (),
) -> PackedShard:
    """`rows` (schema ANNOTATIONS, an item's rows adjacent) -> its items with their pictures.

    `crop` cuts each picture to its annotated box; `size` shrinks it until the shorter side has so many pixels (never
    enlarges). `annotated`: the pictures whose pixels the annotation counts in, where `pictures` are the same in another
    resolution. `packed`: pictures that are packed already, and their digests; they are not read again. `drop`: pictures
    that are looked at and left out. A picture that cannot be read or decoded goes to the quarantine with its reason; an
    item without any picture left is dropped with its last one.
    """
    items: list[dict] = []
    bad: list[dict] = []
    digests: list[dict] = []
    with ThreadPoolExecutor(READERS) as pool:
        annotations = rows.select(ANNOTATIONS.names).to_pylist()
        keys = [(row.pop("item"), row["image"]) for row in annotations]
        addresses = [row.pop(ADDRESS.name) or picture_of(row["image"]) for row in annotations]
        needed = [address if key not in packed else None for key, address in zip(keys, addresses, strict=True)]
        for folder in (pictures, annotated):
            if folder:
                folder.stage(filter(None, needed))
        loaded = pool.map(lambda address: _load(address, pictures, annotated) if address else None, needed)
        for key, row, loaded_picture in zip(keys, annotations, loaded, strict=True):
            try:
                if loaded_picture is None:
                    picture_row, digest = packed[key]
                else:
                    if isinstance(loaded_picture, BadPicture):
                        raise loaded_picture
                    data, counted_in = loaded_picture
                    picture_row = pack_picture(data, row, crop=crop, size=size, annotated_size=counted_in)
                    digest = picture_digest(data, row["box"])
            except BadPicture as fault:
                picture = picture_of(row["image"])
                place = picture if scheme_of(picture) else f"{pictures.source.uri}/{picture}"
                named = {"item": key[0], "image": key[1], "split": row["split"]}
                bad.append(named | {"place": place, "reason": str(fault)})
                continue
            digests.append({"item": key[0], "image": key[1], "digest": digest})
            if key in drop:
                continue
            if not items or items[-1]["item"] != key[0]:
                items.append({"item": key[0], "images": []})
            items[-1]["images"].append(picture_row)
    return PackedShard(
        items=pa.Table.from_pylist(items, ITEMS),
        quarantine=pa.Table.from_pylist(bad, QUARANTINE),
        digests=pa.Table.from_pylist(digests, DIGESTS),
        images=sum(len(item["images"]) for item in items),
    )


def picture_digest(data: bytes, box: list[int] | None) -> str:
    """The same for the same bytes and box: another box of a picture may show another item."""
    return hashlib.blake2b(data, digest_size=16).hexdigest() + (f"/{','.join(map(str, box))}" if box else "")


def pack_picture(
    data: bytes, row: dict, *, crop: bool, size: int | None, annotated_size: tuple[int, int] | None = None
) -> dict:
    """The image struct of ITEMS: annotation and JPEG bytes, box and landmarks in the packed picture's pixels.

    `annotated_size` (width, height): of the picture that the annotation counts in, where it is another one. Raises
    BadPicture.
    """
    width, height = check(data)
    seen = annotated_size or (width, height)
    box = usable_box(row["box"], *seen) if row["box"] else None
    cut = scale_box(box, seen, (width, height)) if crop and box else (0, 0, width, height)
    x0, y0, x1, y1 = cut
    shrink = min(1.0, size / min(x1 - x0, y1 - y0)) if size else 1.0
    new = max(1, round((x1 - x0) * shrink)), max(1, round((y1 - y0) * shrink))
    whole = cut == (0, 0, width, height)
    keep = is_jpeg(data) and whole and new == (width, height)
    pixels = decode(data, size=None if keep else (new[1], new[0]), box=None if whole else cut)
    jpeg = data if keep else encode_jpeg(pixels, quality=QUALITY)
    moved = None if box is None or crop else list(scale_box(box, seen, new))
    landmarks = row["landmarks"]
    if landmarks:
        # Annotated pixels -> the source picture's -> the packed one's.
        scale = width / seen[0] * new[0] / (x1 - x0), height / seen[1] * new[1] / (y1 - y0)
        origin = x0 * seen[0] / width, y0 * seen[1] / height
        landmarks = _move(landmarks, origin, scale)
    return {**row, "box": moved, "landmarks": landmarks, "width": new[0], "height": new[1], "jpeg": jpeg}


def _load(
    address: str, pictures: Pictures, annotated: Pictures | None
) -> tuple[bytes, tuple[int, int] | None] | BadPicture:
    try:
        return pictures.fetch(address), check(annotated.fetch(address)) if annotated else None
    except FileNotFoundError:
        return BadPicture("the file is not there")
    except BadPicture as fault:
        return fault
    except InputError:  # in words without the path, so that reasons can be counted
        return BadPicture("its path, or a link on it, leads out of the source; --follow_links true follows links")


def _move(landmarks: list[float], origin: tuple[float, float], scale: tuple[float, float]) -> list[float]:
    moved = list(landmarks)
    for i in range(0, len(moved), 3):
        if moved[i] >= 0:
            moved[i + 1] = (moved[i + 1] - origin[0]) * scale[0]
            moved[i + 2] = (moved[i + 2] - origin[1]) * scale[1]
    return moved

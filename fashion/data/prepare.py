"""From annotations and pictures to the item table, as a Ray Data job over shards.

The plan (which images in which shard) is spooled and written under `plan/`; then each shard is packed by one task, its
stats file written last; then the manifest. A rerun reads the plan back and packs only the shards without stats.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import pyarrow as pa
import ray.data

from fashion.data.benchmarks import read_annotations, read_attribute_types
from fashion.data.label_counts import FIELDS, LabelCounts
from fashion.data.pack import pack_shard
from fashion.data.pictures import Pictures
from fashion.data.shards import plan_shards
from fashion.data.table import FORMAT, GROUP_ITEMS, MANIFEST, ItemTable, items_file, quarantine_file, stats_file
from fashion.errors import InputError
from fashion.provenance import now, versions
from fashion.storage import Store

PLAN = "plan/plan.json"


@dataclass(frozen=True, kw_only=True)
class TableSettings:
    """What goes into the item table and how."""

    benchmark: Literal["in-shop", "consumer-to-shop", "category-attribute", "manifest"] = "consumer-to-shop"
    """Whose files the source holds; manifest: a CSV or Parquet of your own with the columns image, item, domain."""
    crop: bool = False
    """Cut each picture to its annotated box."""
    size: int | None = None
    """Shrink each picture until its shorter side has so many pixels; never enlarges. Default: as it is."""
    pictures: str | None = None
    """Folder of the pictures in place of the leading img/, such as Img/img_highres. Default: Img/img or img."""
    fine: bool = False
    """category-attribute: read Anno_fine (26 attributes) in place of the 1,000."""
    manifest: str | None = None
    """manifest: the file's name in the source. Default: the only .csv or .parquet there."""
    holdout: float = 0.1
    """Share of the train items that become the validation split, where the benchmark has none of its own."""
    seed: int = 0
    """Seed of the items' places in the shards and of the hold-out."""
    shard_images: int = 2000
    """Images a shard, about: what one task packs and holds in memory."""
    bad_fraction: float = 0.02
    """The job fails where more than this share of the images cannot be used."""

    def __post_init__(self):
        if self.size is not None and self.size < 8:
            raise InputError(f"size: found {self.size}, expected at least 8 pixels")
        if not 0 <= self.holdout < 1:
            raise InputError(f"holdout: found {self.holdout}, expected 0 to less than 1")
        if not 0 <= self.bad_fraction <= 1:
            raise InputError(f"bad_fraction: found {self.bad_fraction}, expected 0 to 1")
        if self.shard_images < 1:
            raise InputError(f"shard_images: found {self.shard_images}, expected at least 1")
        if self.fine and self.benchmark != "category-attribute":
            raise InputError(
                f"fine: has a meaning for category-attribute only, not for {self.benchmark}; leave it false"
            )
        if self.manifest and self.benchmark != "manifest":
            raise InputError(
                f"manifest: has a meaning for benchmark manifest only, not for {self.benchmark}; leave it out"
            )


class TooManyBadPictures(Exception):
    """More pictures than `bad_fraction` cannot be used; nothing but the manifest is missing."""


def prepare(
    source: Store,
    out: Store,
    settings: TableSettings,
    *,
    task_cpus: float = 1.0,
    warn: Callable[[str], None],
    progress: Callable[[int, int, dict], None],
) -> ItemTable:
    """Make (or finish) the item table at `out`. Needs a running Ray.

    `progress(images done, images in all, counts)` after each shard. Raises InputError for bad input, and
    TooManyBadPictures.
    """
    said = asdict(settings) | {"source": source.uri}
    if out.exists(MANIFEST):
        table = ItemTable(out)
        _same(out, said, table.manifest["settings"] | {"source": table.manifest["source"]})
        return table
    plan = _plan(source, out, settings, said, warn)
    total = sum(shard["images"] for shard in plan["shards"])
    stats = [out.read_json(stats_file(s["name"])) for s in plan["shards"] if out.exists(stats_file(s["name"]))]
    finished = {row["name"] for row in stats}
    left = [{"name": s["name"]} for s in plan["shards"] if s["name"] not in finished]
    done = sum(row["images"] + row["bad"] for row in stats)
    progress(done, total, _counts(stats))
    for row in _packed(left, source, out, settings, task_cpus):
        stats.append(row)
        done += row["images"] + row["bad"]
        progress(done, total, _counts(stats))
    counts = _counts(stats)
    if counts["bad"] > settings.bad_fraction * total:
        reasons = ", ".join(f"{count} x {reason}" for reason, count in _reasons(out, stats).most_common(3))
        raise TooManyBadPictures(
            f"{counts['bad']} of {total} pictures cannot be used ({reasons}), more than bad_fraction "
            f"{settings.bad_fraction}; they are listed in {out.uri}/quarantine; mend them or raise "
            "bad_fraction, and run again"
        )
    _finish(source, out, settings, plan, stats)
    return ItemTable(out)


def _same(out: Store, mine: dict, theirs: dict) -> None:
    for name in mine:
        if mine[name] != theirs.get(name):
            raise InputError(
                f"{out.uri}: holds an item table made with {name} {theirs.get(name)!r}, and {mine[name]!r} was asked "
                "for; choose another --out, or the same settings"
            )


def _plan(source: Store, out: Store, settings: TableSettings, said: dict, warn: Callable[[str], None]) -> dict:
    if out.exists(PLAN) and (plan := out.read_json(PLAN)).get("format") == FORMAT:
        _same(out, said, plan["settings"])
        return plan
    options = {name: getattr(settings, name) for name in ("fine", "manifest") if getattr(settings, name)}
    batches = read_annotations(settings.benchmark, source, warn=warn, **options)
    types = read_attribute_types(settings.benchmark, source, fine=settings.fine)
    digest = hashlib.blake2b(digest_size=8)
    shards, categories, domains, labels = [], set(), set(), LabelCounts(types)
    for shard in plan_shards(batches, shard_images=settings.shard_images, holdout=settings.holdout, seed=settings.seed):
        out.write_table(f"plan/{shard.name}.parquet", shard.rows)
        shards.append({"name": shard.name, "split": shard.split, "images": shard.rows.num_rows})
        categories.update(shard.rows["category"].unique().to_pylist())
        labels.add(shard.split, shard.rows)
        domains.update(shard.rows["domain"].unique().to_pylist())
        digest.update(json.dumps(shard.rows.to_pylist()).encode())
    plan = {
        "format": FORMAT,
        "settings": said,
        "annotations": digest.hexdigest(),
        "shards": shards,
        "categories": sorted(categories - {None}),
        "domains": sorted(domains),
        **labels.fields(),
    }
    out.write_json(PLAN, plan)
    return plan


class _Pack:
    """One shard's name -> its stats, once everything of it is written."""

    def __init__(self, source: Store, out: Store, settings: TableSettings):
        self.source, self.out, self.settings = source, out, settings

    def __call__(self, batch: dict) -> dict:
        return {"stats": [json.dumps(self.pack(str(name))) for name in batch["name"]]}

    def pack(self, name: str) -> dict:
        s = self.settings
        rows = self.out.read_table(f"plan/{name}.parquet")
        pictures = Pictures(self.source, s.pictures)
        annotated = Pictures(self.source) if s.pictures else None
        packed = pack_shard(rows, pictures, crop=s.crop, size=s.size, annotated=annotated)
        # Nearly all of it is pictures: not compressible, and the minimum and maximum of a page are two of them.
        sink = pa.BufferOutputStream()
        pa.parquet.write_table(
            packed.items,
            sink,
            row_group_size=GROUP_ITEMS,
            compression="none",
            write_statistics=False,
            use_dictionary=False,
        )
        data = sink.getvalue()
        if packed.items.num_rows:
            self.out.write(items_file(name), data)
        if packed.quarantine.num_rows:
            self.out.write_table(quarantine_file(name), packed.quarantine)
        items = packed.items.num_rows
        stats = {
            "name": name,
            "split": name.split("/")[0],
            "groups": [min(GROUP_ITEMS, items - start) for start in range(0, items, GROUP_ITEMS)],
            "items": items,
            "images": packed.images,
            "bad": packed.quarantine.num_rows,
            "bytes": data.size,
            "digest": hashlib.blake2b(data, digest_size=8).hexdigest(),
        }
        self.out.write_json(stats_file(name), stats)
        return stats


def _packed(shards: list[dict], source: Store, out: Store, settings: TableSettings, task_cpus: float) -> Iterator[dict]:
    if not shards:
        return
    dataset = ray.data.from_items(shards, override_num_blocks=len(shards)).map_batches(
        _Pack(source, out, settings).__call__, batch_size=1, num_cpus=task_cpus
    )
    for row in dataset.iter_rows():
        yield json.loads(row["stats"])


def _counts(stats: list[dict]) -> dict[str, int]:
    return {name: sum(row[name] for row in stats) for name in ("items", "images", "bad", "bytes")}


def _reasons(out: Store, stats: list[dict]) -> Counter:
    reasons: Counter = Counter()
    for row in stats:
        if row["bad"]:
            reasons.update(out.read_table(quarantine_file(row["name"]), ["reason"])["reason"].to_pylist())
    return reasons


def _finish(source: Store, out: Store, settings: TableSettings, plan: dict, stats: list[dict]) -> None:
    order = {shard["name"]: i for i, shard in enumerate(plan["shards"])}
    stats = sorted(stats, key=lambda row: order[row["name"]])
    shards = [{k: v for k, v in row.items() if k != "bad"} for row in stats if row["items"]]
    identity = {"annotations": plan["annotations"], "shards": [row["digest"] for row in shards]}
    out.write_json(
        MANIFEST,
        {
            "kind": "item-table",
            "format": FORMAT,
            "fingerprint": hashlib.blake2b(json.dumps(identity).encode(), digest_size=8).hexdigest(),
            "source": source.uri,
            "settings": asdict(settings),
            "counts": _counts(stats),
            "quarantined": dict(_reasons(out, stats)),
            "splits": {
                split: _counts([row for row in stats if row["split"] == split])
                for split in dict.fromkeys(row["split"] for row in stats)
            },
            "categories": plan["categories"],
            "domains": plan["domains"],
            **{name: plan[name] for name in FIELDS},
            "shards": shards,
            "versions": versions(),
            "created": now(),
        },
    )
    out.delete_folder("plan")

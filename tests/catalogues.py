"""Small item tables, runs and catalogues, made without Ray."""

import dataclasses
import io
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import torch
from PIL import Image, ImageDraw

from fashion.data.decode import BadPicture, check
from fashion.data.formats.deepfashion import spread
from fashion.data.prepare.counts import LabelCounts
from fashion.data.rows import flatten
from fashion.data.schema import FORMAT, ITEMS, items_file
from fashion.data.table import ItemTable
from fashion.data.table_manifest import LabelledImages, ShardInfo, TableManifest
from fashion.domain import SLOTS
from fashion.json_values import of_plain
from fashion.networks.model import build_network
from fashion.networks.settings import NetworkSettings
from fashion.pipelines.networks import embedder_of
from fashion.retrieval.embed_shard import ShardEmbedder
from fashion.retrieval.embedder import Embedder
from fashion.retrieval.embeddings import FORMAT as EMBEDDINGS_FORMAT
from fashion.retrieval.embeddings import CatalogueManifest, ShardStats, claim, stats_file, to_table, write_manifest
from fashion.retrieval.settings import EmbedSettings
from fashion.storage import Store
from fashion.training.checkpoint import checkpoint_name, checkpoints, write_checkpoint
from fashion.training.history import EpochRow
from fashion.training.run_record import DataRecord, RunRecord
from fashion.vocabulary import Vocabulary

CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Photo:
    item: str
    image: str
    domain: str
    jpeg: bytes
    box: tuple[int, int, int, int] | None = None
    split: str = "test"
    category: str | None = None
    attributes: tuple[str, ...] | None = None
    clothes_type: int | None = None
    landmarks: tuple[float, ...] | None = None


def picture(seed: int, width: int = 60, height: int = 80) -> Image.Image:
    """Something that is not alike for two seeds, nor when it is turned."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height), tuple(rng.integers(0, 255, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(4):
        x, y = rng.integers(0, width - 20), rng.integers(0, height - 20)
        draw.rectangle((x, y, x + 18, y + 12), fill=tuple(rng.integers(0, 255, 3).tolist()))
    return image


def jpeg(image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92, **options)
    return buffer.getvalue()


def photos(items: int, *, splits=("test",), seed: int = 0) -> list[Photo]:
    """A shop photo and two customers' photos an item."""
    return [
        Photo(
            item=f"id_{item:03}",
            image=f"img/id_{item:03}/{domain}_{number}.jpg",
            domain=domain,
            jpeg=jpeg(picture(seed + 10 * item + number)),
            box=(10, 10, 50, 60) if item % 2 else None,
            split=splits[item % len(splits)],
        )
        for item in range(items)
        for number, domain in enumerate(("shop", "consumer", "consumer"))
    ]


def make_table(
    store: Store, rows: list[Photo], *, shards: int = 2, group: int = 4, types: dict[str, str] | None = None
) -> ItemTable:
    """The item table of the photos, `shards` shards a split and `group` items a row group. `types`: of attributes."""
    listed: list[ShardInfo] = []
    labels = LabelCounts(types or {})
    for split in dict.fromkeys(row.split for row in rows):
        items: dict[str, list[dict]] = {}
        for row in rows:
            if row.split == split:
                items.setdefault(row.item, []).append(dataclasses.asdict(row) | {"role": _role(row)} | _size(row))
        names = list(items)
        for number in range(min(shards, len(names))):
            held = [{"item": name, "images": items[name]} for name in names[number::shards]]
            name = f"{split}/shard-{number:05d}"
            packed = pa.Table.from_pylist(held, ITEMS)
            store.write_table(items_file(name), packed, row_group_size=group)
            labels.add(split, flatten(packed))
            sizes = [len(held[start : start + group]) for start in range(0, len(held), group)]
            images = sum(len(row["images"]) for row in held)
            listed.append(
                ShardInfo(
                    split=split, name=name, groups=tuple(sizes), items=len(held), images=images, bytes=0, digest=""
                )
            )
    digest = f"{hash(tuple(rows)) & (1 << 64) - 1:016x}"
    manifest = table_manifest(
        fingerprint=digest,
        shards=tuple(listed),
        categories=sorted({row.category for row in rows} - {None}),
        domains=sorted({row.domain for row in rows}),
        **labels.fields(),
    )
    store.write_value("manifest.json", manifest)
    return ItemTable(store)


def table_manifest(**fields) -> TableManifest:
    """With these fields, and what a table of nothing has for the others. `labels`: as LabelCounts has them."""
    labels = {split: of_plain(LabelledImages, counts) for split, counts in fields.pop("labels", {}).items()}
    nothing = {
        "format": FORMAT, "fingerprint": "0" * 16, "settings": {"benchmark": "manifest", "crop": False}, "shards": (),
        "categories": [], "domains": [], "attributes": [], "attribute_types": {}, "attribute_counts": {},
        "category_counts": {},
    }  # fmt: skip
    return TableManifest(**(nothing | {"labels": labels} | fields))


def _size(row: Photo) -> dict[str, int]:
    try:
        width, height = check(row.jpeg)
    except BadPicture:  # as the tests want it
        width, height = 60, 80
    return {"width": width, "height": height}


def _role(row: Photo) -> str:
    return "gallery" if row.domain == "shop" else "query"


def make_run(
    folder, *, seed: int = 0, crop: str = "whole", branches: str = "shared", vocabulary: Vocabulary | None = None
) -> Store:
    """A run's folder with one checkpoint of an untrained network: a FashionNet where there is a vocabulary."""
    settings = NetworkSettings(name="embnet", size=32, width=0.25, dimension=16, branches=branches)
    if vocabulary:
        settings = replace(settings, design="fashionnet", hidden=32)
    network = build_network(settings, seed=seed, vocabulary=vocabulary)
    with torch.no_grad():
        if vocabulary:  # whose estimates start all alike
            for parameter in (*network.positions.parameters(), *network.visibility.parameters()):
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.manual_seed(seed)))
        for number, branch in enumerate(getattr(network, "branches", ())):  # two branches start as one
            for parameter in branch.parameters():
                parameter.mul_(1 + 0.2 * number * torch.rand(parameter.shape, generator=torch.manual_seed(number)))
    run = run_record({"epochs": 1, "seed": seed, "batch": {"crop": crop}})
    target = folder / checkpoint_name(0)
    target.mkdir(parents=True)
    write_checkpoint(str(target), network, {}, history=[EpochRow(epoch=0)], run=run)
    return Store(folder)


def run_record(settings: dict) -> RunRecord:
    """A run of these settings on no table in particular."""
    return RunRecord(settings=settings, data=DataRecord(fingerprint="d" * 16))


def embedder(run: Store, **settings) -> Embedder:
    return embedder_of(checkpoints(run)[0], EmbedSettings(**settings))


def embed_here(
    table: ItemTable, embedder: Embedder, out: Store, *, earlier=None, splits=("test",)
) -> CatalogueManifest:
    """What the job writes, embedded in this process; returns the manifest."""
    identity = embedder.identity(table.fingerprint)
    claim(out, identity)
    work = ShardEmbedder(table, embedder, out, device=CPU, threads=2, earlier=earlier)
    shards = table.shards(*splits)
    for shard in shards:
        if not out.exists(stats_file(shard.name)):
            work.embed(shard)
    stats = [out.read_value(stats_file(shard.name), ShardStats) for shard in shards]
    return write_manifest(out, identity, stats, data_uri=table.store.uri)


def with_labels(rows: list[Photo], *, categories: tuple[str, ...], attributes: tuple[str, ...]) -> list[Photo]:
    """The photos with annotations, each kind of which is missing here and there."""
    rng = np.random.default_rng(len(rows))
    labelled = []
    for number, row in enumerate(rows):
        clothes_type = 1 + number % 3
        slots = SLOTS[clothes_type]
        marks = [int(rng.integers(high)) for _ in slots for high in (3, 60, 80)]
        some = rng.random(3) < 0.8
        labelled.append(
            replace(
                row,
                category=categories[number % len(categories)] if some[0] else None,
                attributes=tuple(name for name in attributes if rng.random() < 0.4) if some[1] else None,
                clothes_type=clothes_type,
                landmarks=tuple(map(float, spread(marks, slots))) if some[2] else None,
            )
        )
    return labelled


def make_catalogue(store: Store, x_ND: np.ndarray, about: pa.Table, *, shards: int) -> CatalogueManifest:
    """A catalogue of given vectors; `about`: image, item, domain. Returns the manifest."""
    identity = {"format": EMBEDDINGS_FORMAT, "network": "f" * 16, "data": "d" * 16}
    claim(store, identity)
    stats = []
    for number, rows in enumerate(np.array_split(np.arange(len(x_ND)), shards)):
        name = f"test/shard-{number:05d}"
        part = about.take(pa.array(rows))
        part = part.append_column("category", pa.array([None] * len(rows), pa.string()))
        part = part.append_column("shard", pa.array([name] * len(rows), pa.string()))
        part = part.append_column("group", pa.array([0] * len(rows), pa.int32()))
        store.write_table(f"{name}.parquet", to_table(part, {"embedding": x_ND[rows]}, identity))
        stats.append(
            ShardStats(
                name=name, images=len(rows), carried=0, unreadable=0, dimension=x_ND.shape[1],
                digest=f"{number:016x}", seconds={},
            )
        )  # fmt: skip
    return write_manifest(store, identity, stats, data_uri="nowhere")


def changed(rows: list[Photo], which: str, **change) -> list[Photo]:
    return [replace(row, **change) if row.image == which else row for row in rows]

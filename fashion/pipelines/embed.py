"""A whole catalogue -> its embeddings, in shards that anything reads; no labels are needed."""

import logging
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from cluster.shared import check_shared
from cluster.start import ray_cluster
from cluster.storage import check_storage
from fashion.claim import sole_writer
from fashion.data.table import ItemTable, ShardInfo
from fashion.pipelines.networks import best_network, embedder_of
from fashion.pipelines.progress import Progress
from fashion.retrieval.embeddings import Catalogue, CatalogueManifest, check_comparable, claim, open_catalogue
from fashion.retrieval.settings import KINDS, AnnSettings, EmbedSettings
from fashion.setting_types import part_of, require_folders
from fashion.storage import Store
from fashion.text_table import aligned

if TYPE_CHECKING:
    from fashion.retrieval.embedder import Embedder

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class EmbedJobSettings(EmbedSettings):
    """Embed all images of an item table. The same command again finishes what was interrupted, or finds that nothing is
    left to do."""

    data: str
    """Folder of the item table: local or s3://."""
    run: str
    """Folder of the training run: local or s3://. Its best checkpoint is taken."""
    out: str
    """Folder of the embeddings: local or s3://."""
    splits: tuple[str, ...] | None = None
    """Splits of the table to embed. Default: all that it has."""
    since: str | None = None
    """An earlier catalogue of the same network: its folder or _manifest.json. Only pictures that it does not have, or
    that have changed, are embedded; the vectors of the others are copied from it."""

    index: Literal["flat", "ivf", "hnsw", "ivfpq", "all"] | None = None
    """Also build indexes of this kind for serving, and say what they find of the exact answer and how fast."""
    ann: AnnSettings = field(default_factory=AnnSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_folders(self, "data", "run", "out")

    @property
    def embedding(self) -> EmbedSettings:
        return part_of(self, EmbedSettings)


def embed_shards(
    table: ItemTable,
    shards: list[ShardInfo],
    embedder: "Embedder",
    out: Store,
    settings: EmbedSettings,
    since: Catalogue | None = None,
) -> CatalogueManifest:
    """Embed with progress shown; Ray runs, or nothing is left to do. Returns the manifest."""
    from fashion.retrieval.embed import embed as embed_missing

    with Progress("embed", unit="images") as bar:
        return embed_missing(table, shards, embedder, out, settings, progress=bar.to, since=since)


def embed(settings: EmbedJobSettings) -> Catalogue:
    """Embed what is not embedded yet, and build and compare indexes where they are asked for; Ray is started where
    something is to be done. Raises InputError."""
    for name in ("data", "run", "out", "since"):
        if value := getattr(settings, name):
            check_storage(name, value, writes=name == "out")
    table, out = ItemTable(Store(settings.data)), Store(settings.out)
    splits = settings.splits or table.splits
    shards = table.shards(*splits)
    since = open_catalogue(settings.since) if settings.since else None
    best = best_network(Store(settings.run))
    log.info(
        f"embed {sum(shard.images for shard in shards):,} images of {table.store.uri} with epoch {best.epoch + 1} of "
        f"{best.store.uri} -> {out.uri}"
    )
    from fashion.retrieval.embed import unfinished
    from fashion.retrieval.index.build import build_indexes
    from fashion.retrieval.index.report import compare_indexes

    embedder = embedder_of(best, settings.embedding)
    identity = embedder.identity(table.fingerprint)
    if since:
        check_comparable(since, identity)
    with ExitStack() as stack:
        stack.enter_context(sole_writer(out))
        claim(out, identity)  # what is refused is said before Ray starts
        if settings.index or unfinished(out, shards):
            stack.enter_context(ray_cluster())
        check_shared({"out": settings.out})
        catalogue = Catalogue(out, embed_shards(table, shards, embedder, out, settings, since))
        _say(catalogue)
        if settings.index:
            kinds = KINDS if settings.index == "all" else (settings.index,)
            indexes = [build_indexes(catalogue, kind, settings.ann) for kind in kinds]
    if settings.index:
        log.info(f"\n{index_table(compare_indexes(catalogue, indexes, settings.ann))}")
    return catalogue


def _say(catalogue: Catalogue) -> None:
    out, manifest = catalogue
    spent = {stage: sum(row.seconds[stage] for row in manifest.shards) for stage in manifest.shards[0].seconds}
    carried = f", {manifest.carried:,} of them copied" if manifest.carried else ""
    log.info(f"{manifest.images:,} images in {len(manifest.shards)} shards, {manifest.dimension} numbers each{carried}")
    if manifest.unreadable:
        log.warning(f"{manifest.unreadable:,} pictures cannot be decoded: they are listed in {out.uri}/_quarantine")
    log.info("seconds of the actors: " + ", ".join(f"{stage} {seconds:,.1f}" for stage, seconds in spent.items()))
    log.info(f"embeddings of network {manifest.network} in {out.uri}")


def index_table(rows: list[dict]) -> str:
    """Aligned text, a row an index."""
    lines = [["index", *(f"recall@{k}" for k in rows[0]["recall"]), "queries/s", "MB", "build s"]]
    for row in rows:
        recalls = [f"{value:.3f}" for value in row["recall"].values()]
        lines.append([row["kind"], *recalls, f"{row['queries_per_s']:,.0f}", f"{row['bytes'] / 1e6:,.1f}"])
        lines[-1].append(f"{row['seconds']:,.1f}")
    return aligned(lines)

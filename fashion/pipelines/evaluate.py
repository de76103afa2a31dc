"""A run -> how well it retrieves: embed queries and gallery, rank exactly, write metrics, rankings and a report."""

import logging
from dataclasses import asdict, dataclass, field, replace

from cluster.shared import check_shared
from cluster.start import ray_cluster
from cluster.storage import check_storage
from fashion.claim import sole_writer
from fashion.data.table import ItemTable
from fashion.json_values import to_plain
from fashion.pipelines.embed import embed_shards
from fashion.pipelines.log import kept_log
from fashion.pipelines.networks import best_network, embedder_of
from fashion.pipelines.progress import Progress
from fashion.provenance import now, versions
from fashion.retrieval.gate.gate import Gate, open_gate
from fashion.retrieval.settings import EmbedSettings, GateSettings, ProtocolSettings
from fashion.setting_ranges import check, setting
from fashion.setting_types import require_folders
from fashion.storage import Store
from fashion.training.checkpoint import Checkpoint

SEARCH = "search"  # folder of what a search has found so far, in that of the results until they are written

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings:
    """Evaluate the best checkpoint of a run on an item table. Finished shards of embeddings are used again."""

    data: str
    """Folder of the item table: local or s3://."""
    run: str
    """Folder of the training run: local or s3://."""
    out: str | None = None
    """Folder of the results. Default: evaluation in the run's folder."""
    protocol: ProtocolSettings = field(default_factory=ProtocolSettings)
    embedding: EmbedSettings = field(default_factory=EmbedSettings)
    baselines: bool = True
    """Compare with the untrained network and a colour histogram."""
    against: str | None = None
    """An earlier evaluation to compare with, query by query: its metrics.json (with queries.parquet beside it), their
    folder, or its run's folder. Exit status 3 where this one is worse: by more than chance and more than tolerance."""
    tolerance: float = setting(0.01, least=0, below=1, note="a fraction such as 0.01")
    """A fall of gate.metric by at most this fraction passes, however sure it is: 0.01 is one point of a hundred."""
    gate: GateSettings = field(default_factory=GateSettings)
    history: str | None = None
    """Folder of the history of evaluations, which several runs may share. Default: history in the results' folder."""
    seed: int = 0
    """Seed of the report's choice of queries and pictures; no number depends on it."""

    def __post_init__(self) -> None:
        check(self)
        require_folders(self, "data", "run")

    def results(self) -> Store:
        """Where the results go."""
        return Store(self.out) if self.out else Store(self.run) / "evaluation"

    def open_gate(self) -> Gate:
        """What the results are held against. Raises InputError where `against` is not an evaluation."""
        history = Store(self.history) if self.history else self.results() / "history"
        return open_gate(history, self.against, self.gate, tolerance=self.tolerance)


def evaluate_run(settings: EvaluateSettings, table: ItemTable, run: Store, gate: Gate | None = None) -> dict:
    """Embed, score, write and say; Ray runs. Returns what metrics.json holds. `gate`: the settings', if opened."""
    from fashion.retrieval.evaluate import evaluate as rank
    from fashion.retrieval.evaluate import needed_splits
    from fashion.retrieval.gate.text import comparison_text
    from fashion.retrieval.labels.evaluate import evaluate_labels
    from fashion.retrieval.labels.text import labels_text
    from fashion.retrieval.metrics_record import Data, Model, Origin
    from fashion.retrieval.protocol import check_category
    from fashion.retrieval.results import METRICS, REPORT, write_results
    from fashion.retrieval.search.ray_parts import ray_map_reduce
    from fashion.retrieval.table import metrics_table

    out, gate = settings.results(), gate or settings.open_gate()
    best = best_network(run)
    network, _ = best.network()
    vocabulary = network.vocabulary
    check_category(settings.protocol, predicted=bool(vocabulary and vocabulary.categories))
    splits = needed_splits(settings.protocol, table)
    shards = {split: table.shards(split) for split in splits}
    embedder = embedder_of(best, settings.embedding, baselines=settings.baselines)
    # A folder for each network, data and transform: embeddings of another one are never read by mistake.
    folder = out / f"embeddings/{embedder.folder_name(table.fingerprint)}"
    embed_shards(table, [s for split in splits for s in shards[split]], embedder, folder, settings.embedding)
    cropped = best.record.crop == "box" or table.manifest.used.crop
    map_reduce, device = ray_map_reduce()
    with Progress("search", unit="shards") as bar:
        evaluation = rank(
            folder,
            {split: [shard.name for shard in shards[split]] for split in splits},
            table,
            settings.protocol,
            crop="box" if cropped else "whole",
            seed=settings.seed,
            map_reduce=map_reduce,
            device=device,
            kept=out / SEARCH,
            progress=bar.to,
        )
    labels = None
    if vocabulary:
        labels = evaluate_labels(
            folder,
            [shard.name for shard in shards[settings.protocol.query_split]],
            table.manifest,
            vocabulary,
            split=settings.protocol.query_split,
            crop=evaluation.metrics.protocol["crop"],
            seed=settings.seed,
            map_reduce=map_reduce,
        )
    origin = Origin(
        model=Model(
            fingerprint=best.fingerprint,
            network=network.settings.identity() | asdict(network.settings.transform),
            epoch=best.epoch + 1,  # people count from 1, as the training log does
            run=run.uri,
        ),
        data=Data(uri=table.store.uri, fingerprint=table.fingerprint),
        seed=best.record.seed,
        versions=versions(),
        created=now(),
    )
    history = [to_plain(replace(row, epoch=row.epoch + 1)) for row in best.history]
    metrics = write_results(out, evaluation, origin, table, history, seed=settings.seed, gate=gate, labels=labels)
    out.delete_folder(SEARCH)
    protocol = metrics.protocol
    log.info(
        f"\n{protocol['benchmark']}: {metrics.queries:,} queries of {protocol['query_split']} in {metrics.gallery:,} "
        f"gallery images, match by {protocol['positives']}; {metrics.unmatched_queries} without one count as misses\n"
    )
    log.info(metrics_table(metrics))
    if metrics.labels:
        log.info(f"\n{labels_text(metrics.labels)}")
    if metrics.comparison:
        log.info(f"\n{comparison_text(metrics.comparison)}")
    log.info(f"\nmetrics {out.uri}/{METRICS}\nreport  {out.uri}/{REPORT}")
    return to_plain(metrics)


def announce(table: ItemTable, best: Checkpoint, split: str) -> None:
    """What is about to be evaluated."""
    images = sum(shard.images for shard in table.shards(split))
    log.info(
        f"evaluate epoch {best.epoch + 1} of {best.store.uri} on {images:,} query images of {split} in {table.store.uri}"
    )


def evaluate(settings: EvaluateSettings) -> dict:
    """Evaluate the run's best network; Ray is joined or started. Returns what metrics.json holds. Raises InputError."""
    for name in ("data", "run", "out", "against", "history"):
        if getattr(settings, name):
            writes = name in ("out", "history") or (name == "run" and not settings.out)
            check_storage(name, getattr(settings, name), writes=writes)
    table, run = ItemTable(Store(settings.data)), Store(settings.run)
    table.manifest  # noqa: B018  a missing table is said before Ray starts
    gate = settings.open_gate()
    announce(table, best_network(run), settings.protocol.query_split)
    results = settings.results()
    with sole_writer(results), kept_log(results, "evaluate"), ray_cluster():
        check_shared({"out" if settings.out else "run": results.uri})
        return evaluate_run(settings, table, run, gate)

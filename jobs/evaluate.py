"""Evaluate a run: embed queries and gallery, rank exactly, write metrics.json, queries.parquet and report.html.

python jobs/evaluate.py --data s3://bucket/table --run s3://bucket/runs/first
"""

import dataclasses
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from a checkout, installed or not

from cluster.start import ray_cluster
from cluster.storage import check_storage
from fashion.data.table import ItemTable
from fashion.errors import InputError
from fashion.provenance import now, versions
from fashion.retrieval.embed import Embedder, decide_embed_resources, embed
from fashion.retrieval.embeddings import read_embeddings
from fashion.retrieval.evaluate import evaluate, needed_splits
from fashion.retrieval.protocol import ProtocolSettings
from fashion.retrieval.results import METRICS, REPORT, write_results
from fashion.retrieval.table import metrics_table
from fashion.storage import Store
from fashion.training.checkpoint import NETWORK, RUN, best_checkpoint
from jobs.cli import main
from jobs.progress import Progress


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings:
    """Evaluate the best checkpoint of a run on an item table. Finished shards of embeddings are used again."""

    data: str | None = None
    """Folder of the item table: local or s3://."""
    run: str | None = None
    """Folder of the training run: local or s3://."""
    out: str | None = None
    """Folder of the results. Default: evaluation in the run's folder."""
    protocol: ProtocolSettings = field(default_factory=ProtocolSettings)
    baselines: bool = True
    """Compare with the untrained network and a colour histogram."""
    seed: int = 0
    """Seed of the report's choice of queries and pictures; no number depends on it."""

    def __post_init__(self):
        for name in ("data", "run"):
            if not getattr(self, name):
                raise InputError(f"{name}: missing; expected a local folder or s3://bucket/prefix (--{name})")


def evaluate_run(settings: EvaluateSettings, table: ItemTable, run: Store) -> dict:
    """Embed, score, write and print; Ray runs. Returns what metrics.json holds."""
    import ray

    out = Store(settings.out) if settings.out else run / "evaluation"
    about_run = run.read_json(RUN) if run.exists(RUN) else {"settings": {"validation": {"metric": "recall@1"}}}
    best = best_checkpoint(run, about_run["settings"]["validation"]["metric"])
    splits = needed_splits(settings.protocol, table)
    shards = {split: table.shards(split) for split in splits}
    embedder = Embedder(
        folder=best.store,
        file=NETWORK,
        fingerprint=best.about["fingerprint"],
        crop=best.about["crop"],
        baselines=settings.baselines,
    )
    # A folder for each network, data and transform: embeddings of another one are never read by mistake.
    folder = out / f"embeddings/{embedder.fingerprint}-{table.fingerprint}{'' if settings.baselines else '-bare'}"
    cluster = ray.cluster_resources()
    resources = decide_embed_resources(
        cpus=cluster.get("CPU", 1), gpus=cluster.get("GPU", 0), cores=os.cpu_count() or 1
    )
    with Progress("embed", unit="images") as bar:
        embed(table, [s for split in splits for s in shards[split]], embedder, folder, resources, progress=bar.to)
    embeddings = {split: read_embeddings(folder, [s.name for s in shards[split]]) for split in splits}
    cropped = best.about["crop"] == "box" or table.manifest["settings"]["crop"]
    found = evaluate(embeddings, table, settings.protocol, crop="box" if cropped else "whole")
    network, _ = best.network()
    about = {
        "model": {
            "fingerprint": best.about["fingerprint"],
            "network": dataclasses.asdict(network.settings),
            "epoch": best.epoch + 1,  # people count from 1, as the training log does
            "run": run.uri,
        },
        "data": {"uri": table.store.uri, "fingerprint": table.fingerprint},
        "seed": best.about["seed"],
        "versions": versions(),
        "created": now(),
    }
    history = [{**row, "epoch": row["epoch"] + 1} for row in best.history]
    metrics = write_results(out, found, about, table, history, seed=settings.seed)
    said = metrics["protocol"]
    print(
        f"\n{said['benchmark']}: {metrics['queries']:,} queries of {said['query_split']} in {metrics['gallery']:,} "
        f"gallery images, match by {said['positives']}; {metrics['unmatched_queries']} without one count as misses\n"
    )
    print(metrics_table(metrics))
    print(f"\nmetrics {out.uri}/{METRICS}\nreport  {out.uri}/{REPORT}")
    return metrics


def job(settings: EvaluateSettings) -> None:
    check_storage("data", settings.data)
    check_storage("run", settings.run)
    if settings.out:
        check_storage("out", settings.out)
    table, run = ItemTable(Store(settings.data)), Store(settings.run)
    table.manifest  # noqa: B018  a missing table is said before Ray starts
    with ray_cluster():
        evaluate_run(settings, table, run)


if __name__ == "__main__":
    main(EvaluateSettings, job)

"""Which loss when: every loss trained for the same number of steps on the same batches, judged on the test split.

    python tests/benchmarks/which_loss.py --table FOLDER [--network resnet18] [--size 64] [--epochs 40] [--seeds 1]

The table is one that jobs/prepare.py made. Each run is jobs/train.py's own loop with its defaults but for the loss, in
one process with one thread, a run a core; a loss's arithmetic is a hundredth of a step, so equal steps are equal
wall-clock (both are printed). Results are kept in --out, a line a run, and a run that is there already is not repeated.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from fashion.data.feed import Feed, FeedSettings
from fashion.data.plan import Plan
from fashion.data.stream import steps
from fashion.data.table import ItemTable
from fashion.losses import LossSettings, build_loss
from fashion.networks.model import build_network
from fashion.networks.settings import NetworkSettings
from fashion.storage import Store
from fashion.training.loop import Hooks, Trainer
from fashion.training.recipe import OptimizerSettings
from fashion.training.settings import TrainSettings, ValidationSettings
from fashion.training.validate import Validation

SHOWN = (1, 5, 20)
LOSSES: dict[str, dict] = {
    "tuplet": {},
    "infonce": {},
    "supervised-contrastive": {},
    "multi-similarity": {},
    "normalised-softmax": {},
    "proxy-anchor": {},
    "soft-triplet": {},
    "triplet, semi-hard": {"mining": "semi-hard"},
    "triplet, all": {"mining": "all"},
    "triplet, hard": {"mining": "hard"},
    "triplet, random": {"mining": "random"},
    "improved-triplet": {},
    "quadruplet": {},
    "centroid-triplet": {},
    "margin": {},
}


def run(title: str, options: argparse.Namespace, seed: int) -> dict:
    """Train once; test recall and seconds."""
    torch.set_num_threads(1)
    loss = LossSettings(name=title.split(",")[0], domains=options.domains, **LOSSES[title])
    settings = TrainSettings(
        epochs=options.epochs,
        seed=seed,
        precision="float32",  # the same for all
        network=NetworkSettings(name=options.network, size=options.size, width=options.width, pretrained=None),
        loss=loss,
        optimizer=OptimizerSettings(learning_rate=options.learning_rate),
        validation=ValidationSettings(every=options.epochs),
    )
    table = ItemTable(Store(options.table))
    plan = Plan.of(table.shards("train"), items_per_step=settings.batch.items, seed=seed)
    feed = Feed(
        table, plan, FeedSettings(views=settings.batch.views, size=options.size, slots=1, crop="whole", pairs=False)
    )
    trainer = Trainer(
        settings,
        build_network(settings.network, seed=seed),
        build_loss(loss, dimension=settings.network.dimension, classes=plan.items, seed=seed),
        steps=plan.steps,
        device=torch.device("cpu"),
    )
    test = Validation(table, split="test", items=1 << 30, size=options.size, crop="whole", threads=1, ks=SHOWN)
    batches = steps(
        {name: torch.from_numpy(column) for name, column in row.items()}
        for epoch in range(options.epochs)
        for number in range(plan.tickets())
        for row in feed.rows(plan.ticket(epoch, number))
    )
    began = time.perf_counter()
    trainer.run(batches, test, Hooks(step=lambda _: None, epoch=lambda *_: None))
    row = trainer.history[-1]
    return {
        "loss": title, "seed": seed, "table": table.fingerprint, "network": options.network, "size": options.size,
        "width": options.width, "epochs": options.epochs, "learning_rate": options.learning_rate,
        "seconds": time.perf_counter() - began,
        "recall": row.recall, "map": row.map,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", required=True)
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--width", type=float, default=1.0, help="of embnet")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--domains", default="cross", choices=("any", "cross", "within"))
    parser.add_argument("--losses", nargs="*", default=list(LOSSES), metavar="LOSS", help=", ".join(LOSSES))
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "which_loss.jsonl")
    options = parser.parse_args()
    data = ItemTable(Store(options.table)).fingerprint
    same = {"table": data, "network": options.network, "size": options.size, "width": options.width,
            "epochs": options.epochs, "learning_rate": options.learning_rate}  # fmt: skip
    kept = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    rows = [row for row in kept if same.items() <= row.items()]
    done = {(row["loss"], row["seed"]) for row in rows}
    with ProcessPoolExecutor(os.cpu_count(), max_tasks_per_child=1) as pool:
        runs = [
            pool.submit(run, title, options, seed)
            for seed in range(options.seeds)
            for title in options.losses
            if (title, seed) not in done
        ]
        for future in as_completed(runs):
            row = future.result()
            rows.append(row)
            with options.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{row['loss']}, seed {row['seed']}: {_cells(row['recall'])}, {row['seconds']:.0f} s", flush=True)
    by_loss = {title: [row for row in rows if row["loss"] == title] for title in LOSSES}
    means = {
        title: {str(k): statistics.mean(row["recall"][str(k)] for row in found) for k in SHOWN}
        for title, found in by_loss.items()
        if found
    }
    print(f"\n{options.network} at {options.size} pixels, {options.epochs} epochs, mean of the seeds")
    for title in sorted(means, key=lambda name: -means[name]["1"]):
        seconds = statistics.mean(row["seconds"] for row in by_loss[title])
        print(f"{title:>24}  {_cells(means[title])}  {seconds:5.0f} s, {len(by_loss[title])} seeds")


def _cells(recall: dict) -> str:
    return " / ".join(f"{recall[str(k)]:.3f}" for k in SHOWN)


if __name__ == "__main__":
    main()

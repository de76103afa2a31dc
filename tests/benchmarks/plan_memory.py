"""Memory of the process that plans a training run, whole: over a million items and over a billion, which are to be alike.

    python tests/benchmarks/plan_memory.py [--items 1000000 1000000000] [--shard 10000]

Each table is a manifest and its list of shards alone, with row groups of 64 items. A process of its own reads it, starts
Ray, plans the run as `jobs/train.py` does, draws tickets from both ends of it, and packs the job as the workers get it.
Printed is the greatest resident size that it had (VmHWM), the one at its end, and the packed job.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from fashion.data import shard_list
from fashion.data.prepare.planned import PlannedShard
from fashion.data.schema import FORMAT, LONG, MANIFEST
from fashion.data.table_manifest import LabelledImages, ShardInfo, TableManifest
from fashion.json_values import to_plain
from fashion.storage import Store

GROUP = 64
ROOT = Path(__file__).resolve().parents[2]


def write_manifest(store: Store, items: int, shard: int) -> None:
    """Of a table with so many items to train on, `shard` items and twice as many images a shard, and one shard of val."""
    sizes = (GROUP,) * (shard // GROUP) + ((shard % GROUP,) if shard % GROUP else ())

    def listed(split: str, number: int) -> ShardInfo:
        counts = {"items": shard, "images": 2 * shard, "bytes": 20_000 * shard, "digest": f"{number:032x}"}
        return ShardInfo(split=split, name=f"{split}/shard-{number:05d}", groups=sizes, **counts)

    def planned(split: str, number: int) -> dict:
        digests = {"annotations": f"{number:032x}", "rows": f"{number:032x}"}
        name = f"{split}/shard-{number:05d}"
        return to_plain(PlannedShard(split=split, start=number, images=2 * shard, name=name, **digests).record)

    names = [("train", number) for number in range(items // shard)] + [("val", 0)]
    shards, plan = [listed(*name) for name in names], {"shards": [planned(*name) for name in names]}
    lists = shard_list.write_lists(store, shards, plan) if len(names) > shard_list.MANY else None
    empty: dict = {name: {} for name in ("attribute_types", "attribute_counts", "category_counts")}
    manifest = TableManifest(
        format=LONG if lists else FORMAT,
        fingerprint="0" * 16,
        settings={"benchmark": "manifest", "crop": False},
        splits={"train": {}, "val": {}},
        categories=[],
        domains=["consumer", "shop"],
        attributes=[],
        labels={split: LabelledImages(images=2 * items, attributes=0) for split in ("train", "val")},
        **empty,
        shards=None if lists else tuple(shards),
        plan=None if lists else plan,
        lists=lists,
    )
    store.write_value(MANIFEST, manifest)


def plan(folder: str, *, on_ray: bool) -> dict[str, float]:
    """MB of this process, which plans as a driver does."""
    from fashion.data.stream import Tickets
    from fashion.data.table import ItemTable
    from fashion.networks.settings import NetworkSettings
    from fashion.training.job import draft_job, equip
    from fashion.training.settings import BatchSettings, TrainSettings

    network = NetworkSettings(name="resnet10", pretrained=None)
    settings = TrainSettings(epochs=20, network=network, batch=BatchSettings(items=512))
    job = draft_job(settings, ItemTable(Store(folder)), Store(f"{folder}/run"))
    if on_ray:
        from cluster.start import ray_cluster
        from fashion.training import driver  # noqa: F401  as much as a driver imports

        with ray_cluster(cpus=2):
            return _measured(equip(job), Tickets)
    return _measured(job, Tickets)


def _measured(job, Tickets) -> dict[str, float]:
    from ray import cloudpickle

    tickets = Tickets(job.plan, range(job.settings.epochs * job.plan.steps))
    for number in (0, 1, len(tickets) // 2, len(tickets) - 1):
        ticket = tickets(number)
        job.plan.ticket(ticket["epoch"], ticket["ticket"])
    packed = len(cloudpickle.dumps(job)) / 1e6
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {"peak": int(lines["VmHWM"].split()[0]) / 1e3, "end": int(lines["VmRSS"].split()[0]) / 1e3, "packed": packed}


def measured(items: int, shard: int, *, on_ray: bool = True) -> dict[str, float]:
    """MB of a process of its own that plans a run over so many items."""
    with tempfile.TemporaryDirectory() as folder:
        write_manifest(Store(folder), items, shard)
        code = f"from tests.benchmarks.plan_memory import *; print(json.dumps(plan({folder!r}, on_ray={on_ray})))"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[10**6, 10**9])
    parser.add_argument("--shard", type=int, default=10_000, help="items a shard")
    options = parser.parse_args()
    first = None
    for items in options.items:
        sizes = measured(items, options.shard)
        first = first or sizes
        said = ", ".join(f"{name} {size:,.1f} MB" for name, size in sizes.items())
        print(f"{items:,} items: {said}; peak {sizes['peak'] / first['peak']:.2f} of the first", flush=True)


if __name__ == "__main__":
    main()

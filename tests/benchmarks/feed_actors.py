"""How many feed actors there are while the training reads slowly, and while it reads as fast as it can.

    python tests/benchmarks/feed_actors.py [--seconds 240] [--most 4] [--rate 20] [--slow 1]

An actor makes `rate` rows a second, by sleeping; each reader begins with the number that is wrong for it. Printed are
the CPUs that actors have, at each change, with the seconds since the first row, and the share of its time that it waited.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import ray
from ray.data import ActorPoolStrategy, DataContext

from fashion.data.stream import stream_options
from fashion.ray_seam.follow import Following
from fashion.ray_seam.on_demand import rows_on_demand
from fashion.ray_seam.pace import Paced

ROW_BYTES, MEMORY = 256 << 10, 8 << 20
PART = 4  # rows a task


class Rows:
    """A ticket -> its rows, each after a rest."""

    def __init__(self, seconds: float):
        self.seconds = seconds

    def __call__(self, tickets):
        for number in tickets["ticket"]:
            for i in range(PART):
                time.sleep(self.seconds)
                yield {"row": np.array([PART * number + i]), "bytes": np.zeros((1, ROW_BYTES), np.uint8)}


def stream(rows: int, *, start: int, most: int, rate: float, following: type[Following] = Following):
    """So many rows of actors that make `rate` of them a second."""
    context = DataContext.get_current().copy()
    context.target_max_block_size, context.enable_progress_bars = 1, False
    context.custom_execution_callback_classes = [Paced, following]
    with DataContext.current(context):
        dataset = rows_on_demand(lambda i: {"ticket": i}, rows // PART, ahead=8 * most).map_batches(
            Rows,
            fn_constructor_args=(1 / rate,),
            batch_size=1,
            compute=ActorPoolStrategy(min_size=1, max_size=most, initial_size=start),
            num_cpus=1.0,
        )
    dataset.context.execution_options = stream_options(MEMORY)
    return dataset


def taken() -> int:
    """CPUs of this Ray: one an actor, until it has really gone."""
    return int(ray.cluster_resources()["CPU"] - ray.available_resources().get("CPU", 0.0))


def read(dataset, every: float, seconds: float) -> tuple[list[int], list[tuple[float, int]], float]:
    """Read a row each `every` seconds, for so many `seconds`: the rows, (seconds, CPUs
    that actors have) at each change, and the share of the time that was waiting."""
    seen, counts, waited, began, looked = [], [], 0.0, None, 0.0
    rows = iter(dataset.iter_batches(batch_size=1, prefetch_batches=1))
    while True:
        asked = time.monotonic()
        batch = next(rows, None)
        now = time.monotonic()
        began = began or now
        waited += now - max(asked, began)
        if batch is None or now - began > seconds:
            return seen, counts, waited / (now - began)
        seen.append(int(batch["row"][0]))
        if now - looked > 1.0:
            looked, count = now, taken()
            if not counts or counts[-1][1] != count:
                counts.append((now - began, count))
        time.sleep(max(0.0, asked + every - time.monotonic()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--most", type=int, default=4)
    parser.add_argument("--rate", type=float, default=20.0, help="rows a second of an actor")
    parser.add_argument("--slow", type=float, default=1.0, help="rows a second of the slow reader")
    options = parser.parse_args()
    from cluster.start import ray_cluster

    with ray_cluster(cpus=options.most + 1):
        for name, start, every in (("slow", options.most, 1 / options.slow), ("quick", 1, 0.0)):
            dataset = stream(10**9, start=start, most=options.most, rate=options.rate)
            seen, counts, waited = read(dataset, every, options.seconds)
            assert seen == list(range(len(seen)))
            changes = ", ".join(f"{count} at {at:.0f} s" for at, count in counts)
            print(f"{name} reader: {len(seen)} rows, waited {waited:.0%} of the time; CPUs: {changes}", flush=True)


if __name__ == "__main__":
    main()

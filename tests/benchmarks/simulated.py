"""The simulation of tasks (cluster/simulation.py) against two nodes that run them.

    python tests/benchmarks/simulated.py [--tasks 60] [--seconds 2 0.5 0.1]

Two nodes of one CPU each on this machine take tasks that wait, handed out by the code that hands out prepare's shards. The
simulation knows how long a task waits, and what `cluster/rates.yaml` says that handing one out costs. Compared is the time
from the second task that is done to the last. Nothing computes, so the cores that the nodes share play no part, unless
other work keeps them from handing out.
"""

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cluster.simulate import Faults
from cluster.simulation import simulate_tasks
from cluster.sizing import RATES
from fashion.data.prepare.tasks import run_tasks
from tests.benchmarks.nodes import on

NODES, NEVER = 2, 1e12


def run(tasks: int, seconds: float) -> float:
    """Seconds from the second task to the last."""

    def wait(number: int) -> int:
        time.sleep(seconds)
        return number

    ends = [time.perf_counter() for _ in run_tasks(wait, range(NODES + tasks), task_cpus=1.0)]
    return ends[-1] - ends[NODES - 1]


def simulated(tasks: int, seconds: float, faults: Faults) -> float:
    outcome = simulate_tasks(
        tasks, machines=NODES, task=1, rate=1 / seconds, shared=NEVER, machine_s=NEVER, replace_s=0.0,
        task_s=faults.task_s, head_s=faults.head_s,
    )  # fmt: skip
    return outcome.hours * 3600


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=60)
    parser.add_argument("--seconds", type=float, nargs="+", default=[2.0, 0.5, 0.1], help="that a task waits")
    options = parser.parse_args()
    faults, _ = Faults.read(RATES)
    real = on(NODES, lambda: [run(options.tasks, seconds) for seconds in options.seconds])
    for seconds, took in zip(options.seconds, real, strict=True):
        said = simulated(options.tasks, seconds, faults)
        print(
            f"{options.tasks} tasks of {seconds:g} s on {NODES} nodes: {took:.1f} s, simulated {said:.1f} s, "
            f"{said / took - 1:+.1%}; load {os.getloadavg()[0]:.0f}"
        )


if __name__ == "__main__":
    main()

"""Jobs on machines that fail, simulated event by event: what faults cost, and how far sizing.py's formulas are from it.

python cluster/simulate.py [--rates cluster/rates.yaml] [--images 1e8] [--machines 4 40 400 4000] [--plot faults.svg]

sizing.py says what a cluster does that never fails and whose tasks end together. Here machines fail at random, are replaced,
and take tasks one by one; training goes back to its newest checkpoint. Needs simpy, and matplotlib for the plot.
"""

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

if __package__ in (None, ""):  # as a script: its folder is on the path, not the project's
    import sys

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cluster.simulation import best_interval, expected_hours, simulate_tasks, simulate_training
from cluster.sizing import LIMITS, RATES, Rates, markdown, read_rates, slowest, step_s, values

MACHINES = (4, 40, 400, 4000)
INTERVALS_S = (60, 600, 3600, 6 * 3600)  # between two checkpoints
RUNS, TASK_RUNS = 20, 3  # of each figure, with seeds of their own


@dataclass(frozen=True, kw_only=True)
class Faults:
    """The part of rates.yaml that is about faults, and what tasks cost beside their pictures."""

    machine_h: float
    replace_s: float
    restart_s: float
    held_s: float
    task_s: float
    head_s: float

    @staticmethod
    def read(file: Path) -> tuple["Faults", list[str]]:
        """The figures, and the names of those that are assumed."""
        assumed: list[str] = []
        return Faults(**values(yaml.safe_load(file.read_text())["faults"], "faults", assumed)), assumed

    def training(self, machines: int) -> dict[str, Any]:
        """What `simulate_training` and `expected_hours` want of them."""
        return {
            "machines": machines, "machine_s": self.machine_h * 3600, "held_s": self.held_s,
            "restart_s": self.replace_s + self.restart_s,
        }  # fmt: skip


def training_work(images: float, machines: int, rates: Rates) -> tuple[float, float]:
    """Seconds of a training without faults, and its images a second. The batch grows with the machines where a GPU would
    have fewer than `least_batch` images of it: another training, but the only one that uses so many."""
    t = rates.training
    batch = max(t["global_batch"], t["least_batch"] * machines * rates.gpu.gpus)
    rate = batch / step_s(machines, batch, rates)
    return images * t["epochs"] / rate, rate


def training_rows(images: float, machines: Sequence[int], rates: Rates, faults: Faults) -> list[list[str]]:
    """A row for so many machines: the hours that faults and checkpoints add, by the time between checkpoints."""
    rows = []
    for count in machines:
        work, rate = training_work(images, count, rates)
        settings = faults.training(count)
        cells = [f"{count:,}", f"{rate:,.0f}", f"{work / 3600:,.1f}"]
        for interval in INTERVALS_S:
            runs = [simulate_training(work, checkpoint_s=interval, seed=seed, **settings) for seed in range(RUNS)]
            mean = statistics.fmean(run.hours for run in runs)
            formula = expected_hours(work, checkpoint_s=interval, **settings)
            ended = all(run.ended for run in runs)
            cells.append(f"{mean - work / 3600:,.1f} ({formula - work / 3600:,.1f})" if ended else "does not end")
        best = best_interval(machines=count, machine_s=settings["machine_s"], held_s=faults.held_s)
        rows.append([*cells, f"{best / 60:,.1f}"])
    return rows


def task_rows(images: float, machines: Sequence[int], rates: Rates, faults: Faults) -> list[list[str]]:
    """A row a job and number of machines: hours by the formula and simulated, and what limits the rate."""
    rows = []
    for job, limits_of in LIMITS.items():
        limits = limits_of(rates)
        (rate, own), (shared, ours) = slowest(limits.each), slowest(limits.shared)
        head = rates.images["shard"] / faults.head_s
        for count in machines:
            _, bottleneck = slowest({own: count * rate, ours: shared, "handing out tasks": head})
            formula = images / min(count * rate, shared) / 3600
            runs = [
                simulate_tasks(
                    images, machines=count, task=rates.images["shard"], rate=rate, shared=shared, seed=seed,
                    machine_s=faults.machine_h * 3600, replace_s=faults.replace_s, task_s=faults.task_s,
                    head_s=faults.head_s,
                )
                for seed in range(TASK_RUNS)
            ]  # fmt: skip
            hours = statistics.fmean(run.hours for run in runs)
            rows.append(
                [
                    job, f"{count:,}", f"{images / hours / 3600:,.0f}", f"{formula:,.3f}", f"{hours:,.3f}",
                    f"{hours / formula:,.2f}", bottleneck,
                ]
            )  # fmt: skip
    return rows


def plot(file: Path, images: float, machines: Sequence[int], rates: Rates, faults: Faults) -> None:
    """Share of the hours that is lost against the time between checkpoints: simulated (dots), in closed form (lines)."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    intervals = [30 * 2**k for k in range(11)]
    for count in machines:
        work, _ = training_work(images, count, rates)
        settings = faults.training(count)
        formula = [100 * (1 - work / 3600 / expected_hours(work, checkpoint_s=i, **settings)) for i in intervals]
        (line,) = axes.plot([i / 60 for i in intervals], formula, label=f"{count:,} machines")
        for interval in intervals:
            runs = [simulate_training(work, checkpoint_s=interval, seed=seed, **settings) for seed in range(RUNS)]
            if all(run.ended for run in runs):
                lost = 1 - work / 3600 / statistics.fmean(run.hours for run in runs)
                axes.plot(interval / 60, 100 * lost, "o", markersize=4, color=line.get_color())
    axes.set(xscale="log", ylim=(0, 100), xlabel="minutes between checkpoints", ylabel="hours lost, %")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", type=Path, default=RATES, help="YAML of rates")
    parser.add_argument("--images", type=float, default=1e8, help="of the catalogue")
    parser.add_argument("--machines", type=int, nargs="+", default=MACHINES)
    parser.add_argument(
        "--plot", type=Path, help="also draw training's loss against the time between checkpoints (SVG)"
    )
    given = parser.parse_args()
    rates, assumed = read_rates(given.rates)
    faults, guessed = Faults.read(given.rates)
    between = [f"every {s // 60} min" if s < 3600 else f"every {s // 3600} h" for s in INTERVALS_S]
    print(
        f"Training on {given.images:,.0f} images: hours that faults and checkpoints add, simulated (in closed form)\n"
    )
    header = ["machines", "images/s", "hours without", *between, "best, min"]
    print(markdown(header, training_rows(given.images, given.machines, rates, faults)))
    print("\nJobs of independent tasks\n")
    header = ["job", "machines", "images/s", "hours, formula", "simulated", "times", "first bottleneck"]
    print(markdown(header, task_rows(given.images, given.machines, rates, faults)))
    if given.plot:
        plot(given.plot, given.images, given.machines, rates, faults)
    if assumed or guessed:
        print(f"\nNot measured, but assumed: {', '.join(assumed + guessed)}.")


if __name__ == "__main__":
    main()

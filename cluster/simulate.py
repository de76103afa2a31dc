"""Jobs on machines that fail, simulated event by event: what faults cost, and how far sizing.py's formulas are from it.

python cluster/simulate.py [--rates cluster/rates.yaml] [--images 1e8] [--machines 4 40 400 4000] [--plot faults.svg]

sizing.py says what a cluster does that never fails and whose tasks end together. Here machines fail at random, are replaced,
and take tasks one by one; training goes back to its newest checkpoint. Needs simpy, and matplotlib for the plot.
"""

import argparse
import math
import random
import statistics
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

try:
    import simpy
except ModuleNotFoundError:
    raise SystemExit("cluster/simulate.py needs simpy; pip install simpy") from None

if __package__ in (None, ""):  # as a script: its folder is on the path, not the project's
    import sys

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cluster.sizing import LIMITS, RATES, Rates, read_rates, slowest, step_s, values

MACHINES = (4, 40, 400, 4000)
INTERVALS_S = (60, 600, 3600, 6 * 3600)  # between two checkpoints
RUNS, TASK_RUNS = 20, 3  # of each figure, with seeds of their own
GIVEN_UP = 50.0  # times the hours without faults: such a run does not end
Process = Generator[simpy.Event, object, None]


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


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a job, in hours of the whole cluster."""

    hours: float
    redone: float  # work that was done again
    waited: float  # nobody worked: restarting, or waiting for a machine
    held: float  # held up by writing checkpoints
    faults: int
    ended: bool  # False: given up, as faults came faster than checkpoints

    @property
    def lost(self) -> float:
        """Share of the hours that went into anything but the work, 0 to 1."""
        return (self.redone + self.waited + self.held) / self.hours


def simulate_training(
    work_s: float,
    *,
    machines: int,
    checkpoint_s: float,
    machine_s: float,
    restart_s: float,
    held_s: float = 0.0,
    seed: int = 0,
) -> Outcome:
    """A training of `work_s` seconds on `machines` that work in step: a fault of any of them takes all back to the newest
    checkpoint. `checkpoint_s`: of work between two checkpoints; `machine_s`: mean time between two faults of one machine
    (exponential, so of all of them together `machine_s / machines`); `restart_s`: from a fault until all work again, in
    which another fault begins it anew."""
    environment, draws = simpy.Environment(), random.Random(seed)
    spent = {"redone": 0.0, "waited": 0.0, "held": 0.0}
    faults = 0

    def training() -> Process:
        nonlocal faults
        done = 0.0
        fresh = True
        while done < work_s:
            began = environment.now
            part = min(checkpoint_s, work_s - done)
            try:
                if not fresh:
                    yield environment.timeout(restart_s)
                    spent["waited"] += environment.now - began
                    fresh, began = True, environment.now
                yield environment.timeout(part + held_s)
                spent["held"] += held_s
                done += part
            except simpy.Interrupt:
                faults += 1
                spent["redone" if fresh else "waited"] += environment.now - began
                fresh = False

    def failing(run: simpy.Process) -> Process:
        while run.is_alive:
            yield environment.timeout(draws.expovariate(machines / machine_s))
            if run.is_alive:
                run.interrupt()

    run = environment.process(training())
    environment.process(failing(run))
    environment.run(until=run | environment.timeout(GIVEN_UP * work_s))
    hours = {name: seconds / 3600 for name, seconds in spent.items()}
    return Outcome(hours=environment.now / 3600, faults=faults, ended=not run.is_alive, **hours)


def expected_hours(
    work_s: float, *, machines: int, checkpoint_s: float, machine_s: float, restart_s: float, held_s: float = 0.0
) -> float:
    """The mean of `simulate_training` in closed form (Daly 2006, eq. 13): inf where it does not fit a float."""
    between = machine_s / machines
    whole, rest = divmod(work_s, checkpoint_s)

    def seconds(part: float) -> float:
        return between * math.exp(restart_s / between) * math.expm1((part + held_s) / between)

    try:
        return (whole * seconds(checkpoint_s) + (seconds(rest) if rest else 0.0)) / 3600
    except OverflowError:
        return math.inf


def best_interval(*, machines: int, machine_s: float, held_s: float) -> float:
    """Seconds between checkpoints that lose the least, to first order (Young 1974)."""
    return math.sqrt(2 * held_s * machine_s / machines)


def simulate_tasks(
    images: float,
    *,
    machines: int,
    task: float,
    rate: float,
    shared: float,
    machine_s: float,
    replace_s: float,
    task_s: float = 0.0,
    head_s: float = 0.0,
    seed: int = 0,
) -> Outcome:
    """A job of independent tasks of `task` images, which machines take one by one from a head that hands one out in
    `head_s`: `rate` images a second each, and `shared` of all of them together, which as many read at a time as it takes
    to use it up; `task_s`: what a task costs besides. A fault of a machine gives its task back."""
    environment, draws = simpy.Environment(), random.Random(seed)
    left = math.ceil(images / task)
    most = min(machines, math.ceil(shared / rate))
    readers, head = simpy.Resource(environment, most), simpy.Resource(environment, 1)
    seconds = task / min(rate, shared / most) + task_s
    redone = waited = 0.0
    faults = 0

    def machine() -> Process:
        nonlocal left, redone, waited, faults
        fails = environment.now + draws.expovariate(1 / machine_s)
        while left:
            left -= 1
            with head.request() as turn:
                yield turn
                yield environment.timeout(head_s)
            with readers.request() as turn:
                asked = environment.now
                yield turn
                waited += environment.now - asked
                if environment.now + seconds <= fails:
                    yield environment.timeout(seconds)
                    continue
                yield environment.timeout(max(0.0, fails - environment.now))
            redone += min(seconds, environment.now - asked)
            left += 1
            faults += 1
            yield environment.timeout(replace_s)
            waited += replace_s
            fails = environment.now + draws.expovariate(1 / machine_s)

    # A machine that found nothing left has gone when a task comes back: the last ones stay until all is done.
    while left:
        environment.run(until=simpy.AllOf(environment, [environment.process(machine()) for _ in range(machines)]))
    each = 3600 * machines
    return Outcome(
        hours=environment.now / 3600, redone=redone / each, waited=waited / each, held=0.0, faults=faults, ended=True
    )


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


def markdown(header: Sequence[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


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

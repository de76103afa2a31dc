"""A job on machines that fail, event by event (simpy); and what its mean is in closed form, where there is one."""

import math
import random
from collections.abc import Generator
from dataclasses import dataclass

try:
    import simpy
except ModuleNotFoundError:
    raise SystemExit("cluster/simulate.py needs simpy; pip install simpy") from None

GIVEN_UP = 50.0  # times the hours without faults: such a run does not end
Process = Generator[simpy.Event, object, None]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a job, in hours of the whole cluster."""

    hours: float
    redone: float  # work that was done again
    waited: float  # nobody worked: restarting, or waiting for a machine
    held: float  # held up by writing checkpoints
    faults: int
    ended: bool  # False: given up, as faults came faster than checkpoints


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

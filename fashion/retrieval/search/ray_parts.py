"""Ask the parts of a gallery as Ray tasks, in chains, and join the answers of the chains in a tree."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayTaskError

from fashion.capacity import machines, total
from fashion.errors import InputError
from fashion.retrieval.search.parts import FAN, Ask, Join, Part, map_reduce_here

RUNS = 2  # a chain: runs of parts are short enough that chains end together, long enough that tasks are few
CHAINS = 2  # a slot: while one starts, the other works
RETRIES = 10  # of a task whose machine died


@dataclass(frozen=True, kw_only=True)
class RayMapReduce:
    """Asks up to `slots` runs of parts at a time, each on `cpus` CPUs with as many threads, and `gpus` GPUs. Runs follow one
    another in chains, each of which knows the answer so far."""

    slots: int
    cpus: float = 1.0
    gpus: float = 0.0

    def __call__(
        self, ask: Ask, join: Join, parts: Sequence[Part], asked: Any, done: Callable[[int], None] = lambda parts: None
    ) -> Any:
        """The answer of all parts. Raises what a part raises."""
        options = {"num_cpus": self.cpus, "num_gpus": self.gpus, "max_retries": RETRIES}
        given = ray.put(asked)
        chains = CHAINS * self.slots
        left = deque(_runs(parts, RUNS * chains))
        running: dict[ray.ObjectRef, int] = {}  # answers to come, and how many parts they are new of
        answers = []

        def start(earlier: ray.ObjectRef | None) -> None:
            run = left.popleft()
            running[_ask.options(**options).remote(ask, join, run, given, earlier)] = len(run)

        while left and len(running) < chains:
            start(None)
        while running:
            ready, _ = ray.wait(list(running), num_returns=1)
            if count := running.pop(ready[0]):
                done(count)
            if left:
                start(ready[0])
            else:
                answers.append(ready[0])
            if len(answers) >= FAN and running:
                running[_join.options(**options).remote(join, given, *answers)] = 0
                answers = []
        try:
            answers = ray.get(answers)
        except RayTaskError as error:
            raise error.cause if isinstance(error.cause, InputError) else error from None
        return join(answers, asked)


def ray_map_reduce() -> tuple[RayMapReduce, str | None]:
    """How to ask on the running cluster, and the device for it: all its GPUs, or all its CPUs where there is none."""
    cpus, gpus = total(machines())
    if gpus >= 1:
        return RayMapReduce(slots=int(gpus), gpus=1.0), "cuda"
    return RayMapReduce(slots=max(1, int(cpus))), None


@ray.remote
def _ask(ask: Ask, join: Join, parts: Sequence[Part], asked: Any, earlier: Any) -> Any:
    return map_reduce_here(ask, join, parts, asked, earlier=earlier)


@ray.remote
def _join(join: Join, asked: Any, *answers: Any) -> Any:
    return join(list(answers), asked)


def _runs(parts: Sequence[Part], count: int) -> list[Sequence[Part]]:
    """At most `count` runs of neighbours whose lengths differ by at most one."""
    size, longer = divmod(len(parts), min(count, len(parts)))
    cuts, start = [], 0
    for n in range(min(count, len(parts))):
        end = start + size + (n < longer)
        cuts.append(parts[start:end])
        start = end
    return cuts

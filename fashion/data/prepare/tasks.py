"""Work shared out over the cluster, a task a piece, through Ray Data."""

import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from fashion.capacity import machines
from fashion.errors import InputError

Piece = TypeVar("Piece")
Done = TypeVar("Done")


def run_tasks(function: Callable[[Piece], Done], work: Sequence[Piece], *, task_cpus: float) -> Iterator[Done]:
    """The function of each piece, as they get done. Ray runs, unless there is no work. Raises InputError where a task
    fits on no machine, for which Ray would wait for ever."""
    if not work:
        return
    import ray.data  # takes seconds, and a rerun has nothing to do

    most = max((cpus for cpus, _ in machines()), default=0)
    if 0 < most < task_cpus:
        raise InputError(
            f"task_cpus: found {task_cpus:g}, but the largest machine has {most:g} CPUs; expected at most that"
        )

    def run(batch: dict) -> dict:
        return {"done": [pickle.dumps(function(pickle.loads(piece))) for piece in batch["work"]]}

    rows = [{"work": pickle.dumps(piece)} for piece in work]
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        run, batch_size=1, num_cpus=task_cpus
    )
    for row in dataset.iter_rows():
        yield pickle.loads(row["done"])

"""Work shared out over the cluster, a task a piece: through Ray Data, or where pieces are large one by one."""

import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from fashion.capacity import machines, total
from fashion.errors import InputError

AHEAD = 2  # pieces a slot: while one is worked on, the next is on its way
RETRIES = 10  # of a task whose machine died

Piece = TypeVar("Piece")
Done = TypeVar("Done")


def run_tasks(function: Callable[[Piece], Done], work: Sequence[Piece], *, task_cpus: float) -> Iterator[Done]:
    """The function of each piece, as they get done. Ray runs, unless there is no work. Raises InputError where a task
    fits on no machine, for which Ray would wait for ever."""
    if not work:
        return
    import ray.data  # takes seconds, and a rerun has nothing to do

    _check_fits(task_cpus)

    def run(batch: dict) -> dict:
        return {"done": [pickle.dumps(function(pickle.loads(piece))) for piece in batch["work"]]}

    rows = [{"work": pickle.dumps(piece)} for piece in work]
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        run, batch_size=1, num_cpus=task_cpus
    )
    for row in dataset.iter_rows():
        yield pickle.loads(row["done"])


def run_streamed(function: Callable[[Piece], Done], work: Iterable[Piece], *, task_cpus: float) -> Iterator[Done]:
    """As `run_tasks`, for pieces that are not to be held all at once: one is taken when a task can soon begin."""
    import ray
    from ray.exceptions import RayTaskError

    _check_fits(task_cpus)
    task = ray.remote(function).options(num_cpus=task_cpus, max_retries=RETRIES)
    most = AHEAD * max(1, int(total(machines())[0] / task_cpus))
    running: list = []

    def one() -> Done:
        nonlocal running
        (ready,), running = ray.wait(running, num_returns=1)
        try:
            return ray.get(ready)
        except RayTaskError as error:
            raise error.cause if isinstance(error.cause, InputError) else error from None

    for piece in work:
        if len(running) == most:
            yield one()
        running.append(task.remote(piece))
    while running:
        yield one()


def _check_fits(task_cpus: float) -> None:
    most = max((cpus for cpus, _ in machines()), default=0)
    if 0 < most < task_cpus:
        raise InputError(
            f"task_cpus: found {task_cpus:g}, but the largest machine has {most:g} CPUs; expected at most that"
        )

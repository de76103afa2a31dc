"""A run's checkpoints between those of its epochs: two folders by turns, so that one is whole while the other is written.

steps/0/, steps/1/           network.safetensors, training.pt, checkpoint.json

They are nobody's best network and no epoch's end: only the run itself goes on from them. Ray Train knows nothing of them,
which would keep and drop them by their score, and has all workers wait where one is reported.
"""

from collections.abc import Callable
from contextlib import suppress

from fashion.errors import InputError
from fashion.storage import Store
from fashion.training.checkpoint import Checkpoint, put_checkpoint

STEPS = "steps"
SLOTS = ("0", "1")


def step_checkpoints(run: Store) -> list[Checkpoint]:
    """Those that were written to their end, the older first."""
    whole = []
    for slot in SLOTS:
        with suppress(InputError, FileNotFoundError):
            whole.append(Checkpoint.read(run / f"{STEPS}/{slot}"))
    return sorted(whole, key=lambda checkpoint: (checkpoint.epoch, checkpoint.steps))


def write_step_checkpoint(run: Store, fill: Callable[[str], None]) -> None:
    """Put what `fill` writes to a local folder in the place of the older one."""
    there = step_checkpoints(run)
    used = {checkpoint.store.uri for checkpoint in there}
    free = [run / f"{STEPS}/{slot}" for slot in SLOTS]
    put_checkpoint(next((store for store in free if store.uri not in used), there[0].store if there else free[0]), fill)

"""A run's checkpoints between those of its epochs: two folders by turns, so that one is whole while the other is written.

steps/0/, steps/1/           network.safetensors, training.pt, checkpoint.json

They are nobody's best network and no epoch's end: only the run itself goes on from them. Ray Train knows nothing of them,
which would keep and drop them by their score, and has all workers wait where one is reported.
"""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from fashion.errors import InputError
from fashion.storage import Store
from fashion.training.checkpoint import CHECKPOINT, NETWORK, SHAPE, TRAINING, Found

STEPS = "steps"
SLOTS = ("0", "1")


def step_checkpoints(run: Store) -> list[Found]:
    """Those that were written to their end, the older first."""
    found = []
    for slot in SLOTS:
        store = run / f"{STEPS}/{slot}"
        with suppress(InputError, FileNotFoundError):
            found.append(Found(store=store, about=store.read_json(CHECKPOINT, SHAPE)))
    return sorted(found, key=lambda f: (f.epoch, f.steps))


def write_step_checkpoint(run: Store, fill: Callable[[str], None]) -> None:
    """Put what `fill` writes to a local folder in the place of the older one. `checkpoint.json`, without which there is
    none, goes first and comes last."""
    held = step_checkpoints(run)
    used = {found.store.uri for found in held}
    free = [run / f"{STEPS}/{slot}" for slot in SLOTS]
    target = next((store for store in free if store.uri not in used), held[0].store if held else free[0])
    with tempfile.TemporaryDirectory() as folder:
        fill(folder)
        if target.exists(CHECKPOINT):
            target.delete(CHECKPOINT)
        for name in (NETWORK, TRAINING, CHECKPOINT):
            with pa.memory_map(str(Path(folder) / name)) as file:
                target.write(name, file.read_buffer())

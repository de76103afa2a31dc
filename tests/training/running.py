"""A training loop run in this process, whole or up to an epoch."""

import contextlib

from fashion.json_values import to_plain
from fashion.training.loop import Hooks

TIMED = {"seconds", "images_per_s", "data_wait_s", "step_s", "validation_s"}


class Enough(Exception):
    pass


def run(trainer, stream, validation, until=None):
    """Train on `stream`; the process is gone, as it were, once epoch `until` is saved."""

    def epoch_done(row, save):
        assert save
        if row.epoch == until:
            raise Enough

    with contextlib.suppress(Enough):
        trainer.run(stream, validation, Hooks(step=lambda row: None, epoch=epoch_done))


def numbers(history):
    """What a history says, without what the clock decides."""
    return [{k: v for k, v in row.items() if k not in TIMED} for row in to_plain(history)]

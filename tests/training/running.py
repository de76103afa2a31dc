"""A training loop run in this process, whole or up to an epoch."""

import contextlib

import torch

from fashion.data.feed import Feed
from fashion.data.stream import steps
from fashion.json_values import to_plain
from fashion.losses import build_loss
from fashion.training.job import Job
from fashion.training.loop import Hooks, Trainer
from fashion.training.miner import Miner
from fashion.training.validate import Validation

TIMED = {"seconds", "images_per_s", "data_wait_s", "step_s", "validation_s", "mining_s"}


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


def unbroken(job: Job) -> Trainer:
    """A job's training in this process, without Ray, and with nothing written but neighbours."""
    torch.set_num_threads(1)
    s, plan = job.settings, job.plan
    loss = build_loss(s.loss, dimension=s.network.dimension, classes=plan.items, seed=s.seed)
    pictures = {"size": s.batch.size, "crop": s.batch.crop, "threads": 1}
    miner = Miner(job.table, plan, domains=s.loss.domains, **pictures) if s.mining.every else None
    trainer = Trainer(s, job.first_network(), loss, steps=plan.steps, device=torch.device("cpu"), miner=miner)
    feed = Feed(job.table, plan, job.feed(1))
    tickets = (plan.ticket(epoch, n) for epoch in range(s.length) for n in range(plan.tickets()))
    rows = ({name: torch.from_numpy(x) for name, x in row.items()} for t in tickets for row in feed.rows(t))
    pictures |= {"size": s.network.side, "transform": s.network.transform}
    run(trainer, steps(rows), Validation(job.table, items=s.validation.items, **pictures))
    return trainer


def numbers(history):
    """What a history says, without what the clock decides."""
    return [{k: v for k, v in row.items() if k not in TIMED} for row in to_plain(history)]

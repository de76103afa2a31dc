"""A training run before it starts: what the workers need to know, checked as far as it can be."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from fashion.capacity import machines, total
from fashion.data.label_pictures import LabelTables
from fashion.data.labels import Names, count_attributes
from fashion.data.plan import Plan
from fashion.data.stream import FeedSettings
from fashion.data.table import ItemTable
from fashion.errors import InputError
from fashion.losses.labels import Balance, balance_of
from fashion.networks.files import load_network, save_network
from fashion.networks.model import Network, build_network, check_network
from fashion.networks.vocabulary import Vocabulary
from fashion.provenance import now, versions
from fashion.storage import Store
from fashion.training.resources import Resources, decide_resources
from fashion.training.settings import TrainSettings
from fashion.training.start import START, Start, find_start


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that the workers need to know; plain values and addresses."""

    settings: TrainSettings
    resources: Resources
    table: ItemTable
    run: Store
    plan: Plan
    start: Store | None = None  # a checkpoint of another run to go on from, where this run has none yet
    labels: LabelTables | None = None  # pictures that join for their labels alone
    begin: Start | None = None  # in the process that plans; `begun` puts it where all workers find it

    def begun(self) -> "Job":
        """The job as workers get it; its first network is in the run's folder where it is more than a seed."""
        if self.begin is not None and self.settings.network.pretrained and not self.run.exists(START):
            save_network(self.run, START, self.begin.network(seed=self.settings.seed, vocabulary=self.vocabulary))
        return replace(self, begin=None)

    def first_network(self) -> Network:
        """The network before the first step."""
        if self.settings.network.pretrained:
            network, _ = load_network(self.run, START)
            network.checkpointing = self.settings.network.checkpointing
            return network
        return build_network(self.settings.network, seed=self.settings.seed, vocabulary=self.vocabulary)

    @property
    def vocabulary(self) -> Vocabulary | None:
        names = self.names
        return names and Vocabulary(categories=names.categories, attributes=names.attributes)

    @property
    def tables(self) -> tuple[ItemTable, ...]:
        """The table of the items, then those that are there for their labels."""
        return (self.table, *(self.labels.tables if self.labels else ()))

    @property
    def names(self) -> Names | None:
        """What is predicted beside embeddings; None where nothing is."""
        return Names.of(*self.tables) if self.settings.network.design != "plain" else None

    @property
    def balance(self) -> Balance | None:
        """Weights of the attributes, from what all the tables count."""
        if self.settings.network.design == "plain":
            return None
        positives_A, pictures_A = map(torch.from_numpy, count_attributes(self.names, *self.tables))
        return balance_of(positives_A, pictures_A, self.settings.tasks.attribute_balance)

    def feed(self, workers: int) -> FeedSettings:
        s = self.settings
        return FeedSettings(
            views=s.batch.views,
            size=s.network.size,
            slots=workers,
            crop=s.batch.crop,
            fit=s.network.transform.fit,
            interpolation=s.network.transform.interpolation,
            pairs=s.loss.positives == "pair",
            names=self.names,
        )

    @property
    def about(self) -> dict:
        """run.json."""
        data, *others = ({"uri": table.store.uri, "fingerprint": table.fingerprint} for table in self.tables)
        return {
            "kind": "training-run",
            "settings": self.settings.identity(),
            "data": data | ({"labels": others} if others else {}),
            "items": self.plan.items,
            "steps": self.plan.steps,
            "versions": versions(),
            "created": now(),
        }


def plan_job(
    settings: TrainSettings,
    table: ItemTable,
    run: Store,
    labelled: Sequence[ItemTable] = (),
    begin: Start | None = None,
) -> Job:
    """Check everything that can be checked before a worker starts. `labelled`: tables whose pictures join each step for
    their labels alone. `begin`: what `find_start` found, if it was asked already. Raises InputError. Needs a running
    Ray."""
    cpus, gpus = total(machines())
    resources = decide_resources(settings.resources, cpus=cpus, gpus=gpus, cores=os.cpu_count() or 1)
    settings = settle(settings, table.manifest["domains"])
    plan = Plan.of(table.shards("train"), items_per_step=settings.batch.items, seed=settings.seed)
    table.shards("val")
    table.check_categories("train", "val")
    check_network(settings.network)
    begin = begin or find_start(settings.network, run)
    settings = replace(settings, network=begin.settings)
    job = Job(settings=settings, resources=resources, table=table, run=run, plan=plan, begin=begin)
    if not labelled:
        return job
    if settings.network.design == "plain":
        raise InputError("labels: found tables, but a plain network learns no labels; set network.design fashionnet")
    settings.check_shares("labels")
    labels = LabelTables.of(labelled, pictures=settings.batch.labels, steps=plan.ticket_steps, seed=settings.seed)
    return replace(job, labels=labels)


def settle(settings: TrainSettings, domains: list[str]) -> TrainSettings:
    """The settings with the loss's comparison across domains decided by what domains the data has."""
    wanted = settings.loss.domains or ("cross" if len(domains) > 1 else "any")
    if wanted == "cross" and len(domains) < 2:
        raise InputError(
            f"loss.domains: found cross, and the data has {domains[0]} photos only; set any, or leave it out"
        )
    return replace(settings, loss=replace(settings.loss, domains=wanted))

"""A training run before it starts: what the workers need to know, checked as far as it can be."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fashion.capacity import computing, cores, machines, owned, total
from fashion.data.hard_plan import HardPlan
from fashion.data.label_pictures import LabelTables
from fashion.data.labels import count_attributes, vocabulary_of
from fashion.data.mining import MiningSettings
from fashion.data.plan import Plan
from fashion.data.table import ItemTable, SplitShards
from fashion.errors import InputError
from fashion.networks.settings import NetworkSettings
from fashion.provenance import now, versions
from fashion.storage import Store
from fashion.training.defaults import settle, training_size
from fashion.training.resources import Resources, decide_resources
from fashion.training.resume import with_epochs
from fashion.training.run_record import DataRecord, RunRecord, TableRecord
from fashion.training.settings import TrainSettings
from fashion.training.start import START, Start, find_start
from fashion.vocabulary import Vocabulary

if TYPE_CHECKING:  # the processes that only hand a job on need neither torch nor Ray Data
    from fashion.data.feed import FeedSettings
    from fashion.losses.labels import Balance
    from fashion.networks.model import Network


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that the workers need to know; plain values and addresses."""

    settings: TrainSettings
    table: ItemTable
    run: Store
    plan: Plan
    resources: Resources | None = None  # decided on the running cluster
    start: Store | None = None  # a checkpoint of another run to go on from, where this run has none yet
    labels: LabelTables | None = None  # pictures that join for their labels alone
    begin: Start | None = None  # in the process that plans; `begun` puts it where all workers find it

    def begun(self) -> "Job":
        """The job as workers get it; its first network is in the run's folder where it is more than a seed and what they
        can read for themselves."""
        if self.begin is None or not self.begin.fetched or self.run.exists(START):
            return replace(self, begin=None)
        self._write_first(self.begin.network(seed=self.settings.seed, vocabulary=self.vocabulary))
        return replace(self, begin=None)

    def first_network(self) -> "Network":
        """The network before the first step, which the run's folder holds from then on, where it is more than a seed."""
        from fashion.networks.files import load_network
        from fashion.networks.model import build_network
        from fashion.training.distributed import rank

        settings = self.settings.network
        if not settings.pretrained or not self.run.exists(START):
            built = build_network(settings, seed=self.settings.seed, vocabulary=self.vocabulary)
            if settings.pretrained and rank() == 0:
                self._write_first(built)
            return built
        network, _ = load_network(self.run, START)
        network.checkpointing = settings.checkpointing
        return network

    def _write_first(self, network: "Network") -> None:
        from fashion.networks.files import save_network

        save_network(self.run, START, network)

    @property
    def equipment(self) -> Resources:
        """`resources`, once they are decided."""
        assert self.resources is not None
        return self.resources

    @property
    def tables(self) -> tuple[ItemTable, ...]:
        """The table of the items, then those that are there for their labels."""
        return (self.table, *(self.labels.tables if self.labels else ()))

    @property
    def vocabulary(self) -> Vocabulary | None:
        """What is predicted beside embeddings; None where nothing is."""
        return vocabulary_of(*self.tables) if self.settings.network.design != "plain" else None

    @property
    def balance(self) -> "Balance | None":
        """Weights of the attributes, from what all the tables count."""
        vocabulary = self.vocabulary
        if vocabulary is None:
            return None
        import torch

        from fashion.losses.labels import balance_of

        positives_A, pictures_A = map(torch.from_numpy, count_attributes(vocabulary, *self.tables))
        return balance_of(positives_A, pictures_A, self.settings.tasks.attribute_balance)

    def feed(self, workers: int) -> "FeedSettings":
        from fashion.data.feed import FeedSettings

        s = self.settings
        assert s.batch.size is not None and s.batch.crop is not None  # they are decided
        return FeedSettings(
            views=s.batch.views,
            size=s.batch.size,
            slots=workers,
            crop=s.batch.crop,
            fit=s.network.transform.fit,
            interpolation=s.network.transform.interpolation,
            pairs=s.loss.positives == "pair",
            vocabulary=self.vocabulary,
            cache=self.resources.feed_cache if self.resources else 0,
        )

    @property
    def record(self) -> RunRecord:
        """run.json."""
        others = [TableRecord(uri=table.store.uri, fingerprint=table.fingerprint) for table in self.tables[1:]]
        data = DataRecord(uri=self.table.store.uri, fingerprint=self.table.fingerprint, labels=others or None)
        return RunRecord(
            settings=self.settings.identity(),
            data=data,
            items=self.plan.items,
            steps=self.plan.steps,
            versions=versions(),
            created=now(),
        )


def plan_job(settings: TrainSettings, table: ItemTable, run: Store, labelled: Sequence[ItemTable] = ()) -> Job:
    """Check everything that can be checked before a worker starts. `labelled`: tables whose pictures join each step for
    their labels alone. Raises InputError. Needs a running Ray."""
    return equip(draft_job(settings, table, run, labelled))


def equip(draft: Job, begin: Start | None = None) -> Job:
    """A drafted job with what it takes of the cluster and the network that it begins with. `begin`: what `find_start` found,
    if it was asked already. Raises InputError. Needs a running Ray."""
    cluster, settings = machines(), draft.settings
    cpus, gpus = total(cluster)
    resources = decide_resources(
        settings.resources,
        cpus=cpus,
        gpus=gpus,
        cores=cores(cluster),
        machines=computing(cluster),
        shared=not owned(),
    )
    check_possible(settings.network)
    if settings.optimizer.lora:
        from fashion.training.lora import check_installed  # torch takes a while to import

        check_installed()
    begin = begin or find_start(settings.network, draft.run)
    batch = replace(settings.batch, size=training_size(settings))
    return replace(
        draft, resources=resources, settings=replace(settings, network=begin.settings, batch=batch), begin=begin
    )


def check_possible(network: NetworkSettings) -> None:
    """Raise InputError for a network that cannot be built."""
    if not network.certain:
        from fashion.networks.check import check_network

        check_network(network)


def draft_job(settings: TrainSettings, table: ItemTable, run: Store, labelled: Sequence[ItemTable] = ()) -> Job:
    """What settings and storage say of a job: all but its resources. Raises InputError. Needs no Ray, and no torch."""
    plan = Plan.of(SplitShards(table, "train"), items_per_step=settings.batch.items, seed=settings.seed)
    settings = settle(with_epochs(settings, run), table, plan.steps)
    table.shards("val")
    table.check_categories("train", "val")
    plan = hard_plan(settings.mining, plan, table, run)
    job = Job(settings=settings, table=table, run=run, plan=plan)
    if not labelled:
        return job
    if settings.network.design == "plain":
        raise InputError("labels: found tables, but a plain network learns no labels; set network.design fashionnet")
    settings.check_shares("labels")
    labels = LabelTables.of(labelled, pictures=settings.batch.labels, steps=plan.ticket_steps, seed=settings.seed)
    return replace(job, labels=labels)


def hard_plan(mining: MiningSettings, plan: Plan, table: ItemTable, run: Store) -> Plan:
    """The plan with hard batches, where they are asked for. Raises InputError where there can be none."""
    if not mining.every:
        return plan
    if table.positives != "item":
        raise InputError(
            f"mining.every: found {mining.every}, but {table.store.uri} matches by {table.positives}, so an item's nearest "
            "others are no negatives; leave it out"
        )
    return HardPlan.over(plan, mining, run, table.fingerprint)

"""What a training run takes of a cluster: a decision from plain numbers, with no Ray in it."""

from dataclasses import dataclass

from fashion.errors import InputError
from fashion.training.settings import ResourceSettings


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a run takes of the cluster, all decided."""

    workers: int
    min_workers: int
    gpu: bool
    worker_cpus: float
    threads: int
    feed_actors: int  # that the run begins with
    feed_least: int
    feed_most: int
    feed_cpus: float
    feed_memory: int  # bytes
    feed_cache: int  # bytes an actor
    max_failures: int

    def feasible(self, cpus: float) -> None:
        """Raise InputError where the cluster's CPUs are too few: it would wait for ever."""
        needed = self.min_workers * self.worker_cpus + self.feed_actors * self.feed_cpus
        if needed > cpus:
            raise InputError(
                f"resources: {self.min_workers} workers x {self.worker_cpus:g} CPUs and {self.feed_actors} feed actors x "
                f"{self.feed_cpus:g} need {needed:g} CPUs, the cluster has {cpus:g}; lower resources.workers, "
                "resources.worker_cpus or resources.feed_actors, or add CPUs"
            )


def decide_resources(
    wanted: ResourceSettings, *, cpus: float, gpus: float, cores: int, machines: int = 1, shared: bool = True
) -> Resources:
    """Fill what is left open from what the cluster has, or may start: logical `cpus`, `gpus`; and the `cores` of each of
    `machines` machines. `shared`: with other jobs.

    Raises InputError where it does not fit.
    """
    least = wanted.min_workers or wanted.workers
    gpu = gpus >= least if wanted.gpu is None else wanted.gpu
    if gpu and gpus < least:
        raise InputError(
            f"resources.workers: {least} workers with a GPU each, the cluster has {gpus:g} GPUs; lower it, or "
            "set resources.gpu false"
        )
    left = (cpus - wanted.workers * wanted.worker_cpus) // wanted.feed_cpus
    room = int(max(1, min(left, 8 * wanted.workers, machines * cores if not gpu else left)))
    actors = wanted.feed_actors or max(wanted.feed_least or 1, min(room, wanted.feed_most or room))
    decided = Resources(
        workers=wanted.workers,
        min_workers=least,
        gpu=gpu,
        worker_cpus=wanted.worker_cpus,
        threads=wanted.threads or max(1, cores // -(-wanted.workers // machines)),
        feed_actors=actors,
        feed_least=wanted.feed_least or (1 if shared else actors),
        feed_most=wanted.feed_most or (max(actors, room) if shared else actors),
        feed_cpus=wanted.feed_cpus,
        feed_memory=wanted.feed_memory << 20,
        feed_cache=wanted.feed_cache << 20,
        max_failures=wanted.max_failures,
    )
    decided.feasible(cpus)
    return decided

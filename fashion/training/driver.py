"""A training run on Ray Train: workers, stream, checkpoints and progress round the plain loop."""

import signal
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import ray
import ray.train
from ray.exceptions import RayActorError
from ray.train import (
    Checkpoint,
    CheckpointConfig,
    DataConfig,
    FailureConfig,
    RunConfig,
    ScalingConfig,
    TrainingFailedError,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from fashion.causes import cause, line_of, short_of_memory
from fashion.data.neighbours import forget_after
from fashion.data.stream import FeedActors, steps, stream_options, training_stream
from fashion.errors import InputError, RunLost, TrainingDiverged
from fashion.ray_seam.faults import no_retries_in_vain
from fashion.ray_seam.trainer import Announced, before_abort, trainer_class
from fashion.storage import Store
from fashion.training.board import Board, Registered, Saved, Show, Watcher, ask, last_checkpoint
from fashion.training.checkpoint import NETWORK, read_training_state
from fashion.training.job import Job
from fashion.training.resume_point import ResumePoint, resume_point
from fashion.training.run_record import RUN, open_run
from fashion.training.step_checkpoints import STEPS

FAILURE = "failure.txt"  # in a run's folder: what it failed of, with tracebacks


def fit(job: Job, show: Show, saved: Saved | None = None) -> None:
    """Run, or resume, to the last epoch. `show` is told of each step and epoch in this process, `saved` is
    told of each checkpoint once the run can be resumed from it.

    A finished run returns at once. Raises InputError where the folder holds another run and for bad input wherever it is
    found, RuntimeError where training failed for good, and what `show` or `saved` raise, which ends the run.
    """
    open_run(job.run, job.record)
    if resume_point(job).step >= job.settings.length * job.plan.steps:
        return
    job = job.begun()
    # Beside this process: the death of any other machine must not take it away.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    board = Board.options(scheduling_strategy=here).remote()  # type: ignore[attr-defined]  # ray.remote's stub gives the bare class
    folder, name = job.run.parent()
    r = job.equipment
    workers = r.workers if r.min_workers == r.workers else (r.min_workers, r.workers)
    trainer = trainer_class(group=r.gpu or r.workers > 1)(
        _worker,
        train_loop_config={"job": job, "board": board},
        datasets={"train": lambda: _begin(job, board)},
        dataset_config=_Dealing(job, board),
        scaling_config=ScalingConfig(
            num_workers=workers,  # type: ignore[arg-type]  # a pair is elastic, which Ray's type leaves out
            use_gpu=r.gpu,
            resources_per_worker={"CPU": r.worker_cpus} | ({"GPU": 1} if r.gpu else {}),
        ),
        run_config=RunConfig(
            name=name,
            storage_path=folder,
            storage_filesystem=job.run.fs,  # an address would be taken apart as a URL
            failure_config=FailureConfig(max_failures=r.max_failures),
            checkpoint_config=CheckpointConfig(
                # The best two, so that there is another where the newest is damaged.
                num_to_keep=2,
                checkpoint_score_attribute="score",
                checkpoint_score_order="max",
            ),
            callbacks=[Announced(board), *([Registered(board)] if saved else [])],  # type: ignore[list-item]  # Train's own
        ),
    )
    before_abort(trainer, lambda: last_checkpoint(board))
    try:
        with Watcher(board, show, saved), _interrupts(), no_retries_in_vain():
            trainer.fit()
    except TrainingFailedError as fault:
        raise _told(fault, job.run) from fault
    except RayActorError as fault:
        why = short_of_memory(str(fault)) or "the process that controls the training ended"
        raise RuntimeError(why) from fault
    job.run.delete_folder(STEPS)  # nothing goes on from there any more
    _check_there(job.run)


@contextmanager
def _interrupts() -> Iterator[None]:
    """Ctrl-C is a KeyboardInterrupt as ever. Ray Train's handler of it ends the workers and frees what they hold, and then
    this process with a status of its own; and it stays when the training has long ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGINT, before)


def _begin(job: Job, board: Any) -> ray.data.Dataset:
    """Called at every start of the workers, in the controller: they and the stream go on after the newest checkpoint."""
    point = resume_point(job)
    ask(board.begin.remote(point))
    return _stream(job, point, job.equipment.workers)


def _stream(job: Job, point: ResumePoint, workers: int) -> ray.data.Dataset:
    r = job.equipment
    if job.settings.mining.every:
        forget_after(job.run, point.step // job.plan.steps)
    return training_stream(
        job.table,
        job.plan,
        job.feed(workers),
        job.labels,
        steps=range(point.step, job.settings.length * job.plan.steps),
        actors=FeedActors(start=r.feed_actors, least=r.feed_least, most=r.feed_most, cpus=r.feed_cpus),
    )


class _Dealing(DataConfig):
    """Deals the stream to as many workers as there are. Elastic training knows their number only when they start."""

    def __init__(self, job: Job, board: Any):
        super().__init__(execution_options=stream_options(job.equipment.feed_memory))
        self.job, self.board = job, board

    def configure(self, datasets: dict, world_size: int, *others: Any, **named: Any) -> Any:
        if world_size != self.job.equipment.workers:
            point = ask(self.board.resume_point.remote())
            datasets = {"train": _stream(self.job, point, world_size)}
        return super().configure(datasets, world_size, *others, **named)


def _worker(config: dict) -> None:
    shard = ray.train.get_dataset_shard("train")  # first: the feed starts while what follows is imported and built
    # Here: this module is also loaded by the processes that only watch over the workers.
    import torch
    from ray.train.torch import get_device

    from fashion.losses import build_loss
    from fashion.networks.files import load_network
    from fashion.training.loop import Hooks, Trainer
    from fashion.training.miner import Miner
    from fashion.training.reporter import Reporter
    from fashion.training.validate import Validation

    job, board = config["job"], config["board"]
    # With hard batches, Ray would wait for rows ahead whose neighbours this worker has yet to find.
    ahead = 0 if job.settings.mining.every else 2
    stream = steps(_begun(shard.iter_torch_batches(batch_size=1, drop_last=True, prefetch_batches=ahead)))
    settings, device = job.settings, get_device()
    torch.set_num_threads(job.equipment.threads)
    classes = job.plan.items if job.table.positives == "item" else len(job.table.categories)
    loss = build_loss(settings.loss, dimension=settings.network.dimension, classes=classes, seed=settings.seed)
    start = ask(board.resume_point.remote()).checkpoint
    options = {"steps": job.plan.steps, "device": device, "balance": job.balance, "start": job.first_network}
    if settings.mining.every:
        options["miner"] = Miner(
            job.table,
            job.plan,
            domains=settings.loss.domains,
            size=settings.batch.size,
            crop=settings.batch.crop,
            threads=job.equipment.threads,
        )
    if start:
        with Checkpoint(start.path, start.fs).as_directory() as folder:
            network, _ = load_network(Store(folder), NETWORK)
            network.checkpointing = settings.network.checkpointing
            state, history = read_training_state(folder)
        trainer = Trainer(settings, network, loss, **options)
        trainer.restore(state, history)
    else:
        trainer = Trainer(settings, job.first_network(), loss, **options)
    validation = Validation(
        job.table,
        items=settings.validation.items,
        size=settings.network.side,
        crop=settings.batch.crop,
        transform=settings.network.transform,
        threads=job.equipment.threads,
        ks=settings.validation.ks,
        labelled=job.tables[1:],
    )
    reporter = Reporter(job, trainer, board)
    trainer.run(stream, validation, Hooks(step=reporter.step, epoch=reporter.epoch))
    reporter.end()


def _begun(rows: Iterable[dict]) -> Iterator[dict]:
    """The same rows, of which the first is asked for at once, in a thread of its own."""
    iterator = iter(rows)
    pool = ThreadPoolExecutor(1, "first batch")
    first = pool.submit(next, iterator, None)
    pool.shutdown(wait=False)

    def all_of_them() -> Iterator[dict]:
        if (row := first.result()) is not None:
            yield row
            yield from iterator

    return all_of_them()


def _check_there(run: Store) -> None:
    """Raises InputError where somebody has deleted the run's folder meanwhile."""
    if not run.exists(RUN):
        raise InputError(
            f"run: {run.uri} was deleted while the training ran: its {RUN} is not there any more; the same command goes on "
            "with what is left there, or begins anew"
        )


def _told(fault: TrainingFailedError, run: Store) -> Exception:
    """The error to raise: one line, and where the whole of it is."""
    error = cause(fault)
    if isinstance(error, InputError | RunLost):
        return error
    try:
        _check_there(run)
    except InputError as deleted:
        return deleted
    run.write(FAILURE, str(fault).encode())
    kind = "" if isinstance(error, TrainingDiverged | MemoryError) else f"{type(error).__name__}: "
    return RuntimeError(f"{kind}{line_of(error)} (all of it is in {run.uri}/{FAILURE})")

"""The step that a run goes on from, and the checkpoint that holds what was before it: of Ray Train's, of those between
epochs, and of the one that it was to start from, the newest that is whole."""

from dataclasses import dataclass

from ray.train import Result

from fashion.storage import Store
from fashion.training.checkpoint import NETWORK, TRAINING, checkpoint_epoch
from fashion.training.job import Job
from fashion.training.step_checkpoints import step_checkpoints


@dataclass(frozen=True, kw_only=True)
class ResumePoint:
    """Where a run goes on; the same for the feed and for each worker."""

    step: int = 0  # of the run: the first that is not trained yet
    checkpoint: Store | None = None  # None at the very beginning


def resume_point(job: Job) -> ResumePoint:
    """The newest of a run, looked up in its folder; with `step` epochs x steps where all is done."""
    steps = job.plan.steps
    newest = _registered(job) or job.start
    point = ResumePoint()
    if newest:
        point = ResumePoint(step=steps * (checkpoint_epoch(newest.path) + 1), checkpoint=newest)
    for within in reversed(step_checkpoints(job.run)):
        # The end of the last epoch is a checkpoint of Ray Train's, with a validation, or none.
        step = steps * within.epoch + within.steps
        if point.step < step < steps * job.settings.length and not within.damaged(NETWORK, TRAINING):
            return ResumePoint(step=step, checkpoint=within.store)
    return point


def _registered(job: Job) -> Store | None:
    """The newest that Ray Train knows of."""
    try:
        newest = Result.from_path(job.run.path, job.run.fs).checkpoint
    except RuntimeError:  # nothing registered yet
        return None
    return job.run / newest.path.rpartition("/")[2] if newest else None

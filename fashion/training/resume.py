"""A run that has begun already: to which epoch it goes on, and what is said of that."""

from dataclasses import replace

from fashion.errors import InputError
from fashion.storage import Store
from fashion.training.checkpoint import checkpoints
from fashion.training.run_record import read_run
from fashion.training.settings import TrainSettings


def with_epochs(settings: TrainSettings, run: Store) -> TrainSettings:
    """The settings with the epochs of the run and how often they are validated, where it has begun and none are asked for.
    More than it was begun with are trained after those that are done. Raises InputError for fewer than are done."""
    if not (record := read_run(run)):
        return settings
    begun = record.used
    every = settings.validation.every or begun.validation.every
    settings = replace(settings, validation=replace(settings.validation, every=every))
    if settings.epochs is None or settings.epochs == begun.epochs:
        return replace(settings, epochs=begun.epochs)
    done = max((checkpoint.epoch + 1 for checkpoint in checkpoints(run)), default=0)
    if settings.epochs < done:
        raise InputError(
            f"epochs: found {settings.epochs}, but {run.uri} has {done} done; give {done} or more, or another --run"
        )
    if done >= begun.epochs and settings.interpolate and settings.optimizer.average:
        raise InputError(
            f"epochs: found {settings.epochs}, but {run.uri} has ended after {begun.epochs} between the network it began "
            "with and the average of its weights (interpolate, optimizer.average), and that average is not kept; choose "
            "another --run"
        )
    return settings


def held_epochs(run: Store) -> int | None:
    """The epochs that the run is to have as its folder says; None where it has not begun."""
    record = read_run(run)
    return record.used.epochs if record else None


def goes_on(settings: TrainSettings, *, done: int, held: int | None, steps: int, within: int = 0) -> str | None:
    """A line on a run of which `done` epochs of `steps` steps are trained, and so many steps `within` the next, and `held`
    were to be by now; None where it begins."""
    epochs = settings.length
    before = epochs if held is None else held
    changed = before != epochs
    if not done and not within:
        return None
    if done >= epochs:
        return f"all {epochs} epochs are done" + (f", of the {before} that were to be" if changed else "")
    where = f"step {within} of {steps} in epoch {done + 1}" if within else f"epoch {done}"
    line = f"goes on after {where} of {epochs}"
    if not changed:
        return line
    next_step = done * steps + within
    rates = [
        rate_of(settings, at, total=total)
        for at, total in ((next_step - 1, before * steps), (next_step, epochs * steps))
    ]
    return (
        f"{line}, where {before} were to be: from here the learning rate follows the schedule of {epochs}, so it goes from "
        f"{rates[0]:.2g} to {rates[1]:.2g}, and ends near 0 after epoch {epochs}"
    )


def rate_of(settings: TrainSettings, step: int, *, total: int) -> float:
    """The highest learning rate at a step of a run of `total` steps."""
    from fashion.training.optimise import rate_at  # torch takes a while to import

    o = settings.optimizer
    return settings.learning_rate * rate_at(step, total=total, warmup=o.warmup * total)

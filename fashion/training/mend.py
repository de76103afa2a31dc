"""A run whose newest checkpoint is damaged, or what Ray Train remembers of it, goes on from the newest that is whole."""

from fashion.errors import InputError
from fashion.ray_seam.registered import SNAPSHOT, register, registered
from fashion.storage import Store
from fashion.training.checkpoint import NETWORK, TRAINING, Checkpoint, checkpoints
from fashion.training.history import score
from fashion.training.run_record import RUN
from fashion.training.step_checkpoints import STEPS


def mend_run(run: Store, metric: str) -> str | None:
    """Make the run one that can go on; returns what was wrong in a line, None where nothing was. `metric`: that its
    checkpoints are judged by. Raises InputError where no checkpoint is whole."""
    names = registered(run)
    there = {checkpoint.name: checkpoint for checkpoint in checkpoints(run)}
    if not there and not run.exists(RUN):
        return _forget(run, names)
    if not there and names == []:
        return None
    fault = _fault(there, names)
    if fault is None:
        return None
    whole = [f for f in there.values() if (not names or f.name in names) and not f.damaged(NETWORK, TRAINING)]
    if not whole:
        raise InputError(
            f"{run.uri}: {fault}, and no other checkpoint is whole; take it from a copy, or begin another --run with "
            "network.pretrained set to this one"
        )
    for name in {name.split("/")[0] for name in run.names(recursive=True) if name.startswith("checkpoint_")}:
        if "=" in name and name not in {checkpoint.name for checkpoint in whole}:
            run.delete_folder(name)  # it comes again under the same name
    register(run, [(f.name, {"score": score(f.history[-1], metric), "epoch": f.epoch}) for f in whole])
    return f"note: {fault}; the run goes on from {whole[-1].name}, the newest that is whole"


def _forget(run: Store, names: list[str] | None) -> str | None:
    """A folder that was deleted under a training holds what that wrote afterwards: nothing that can be gone on from."""
    run.delete_folder(STEPS)
    if names == []:
        return None
    run.delete(SNAPSHOT)  # Ray Train would look for what it names
    return f"note: {run.uri} was deleted while a training wrote there, and no checkpoint is left; the run begins anew"


def _fault(there: dict[str, Checkpoint], names: list[str] | None) -> str | None:
    if names is None:
        return "the list of its checkpoints is damaged"
    if not names:  # deleted, or the run was broken off before it was first written
        return "the list of its checkpoints is not there"
    for name in names:
        if name not in there:
            return f"{name} is damaged: it is not there, or not all of it"
    newest = there[names[-1]]
    return (reason := newest.damaged(NETWORK, TRAINING)) and f"{newest.name}/{reason}"

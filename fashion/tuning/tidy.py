"""After trials have ended: what a stop in the middle of writing left in a trial's folder is put right."""

from ray.train import Result

from fashion.storage import Store
from fashion.training.checkpoint import checkpoints
from fashion.training.history import HISTORY, read_history
from fashion.tuning.records import TRIALS, Trial
from fashion.tuning.trial import START


def tidy(sweep: Store, trials: list[Trial]) -> None:
    """Best and last checkpoint of each trial stay, and its history has every epoch of the last one."""
    for trial in trials:
        run = sweep / f"{TRIALS}/{trial.record.name}"
        kept = _registered(run)
        for folder in {
            name.split("/")[0] for name in run.names(recursive=True) if name.startswith("checkpoint_epoch=")
        }:
            if kept and folder not in kept:
                run.delete_folder(folder)
        if trial.record.done:
            run.delete_folder(START)
        if (saved := checkpoints(run)) and len(read_history(run)) < len(saved[-1].history):
            run.write_value(HISTORY, saved[-1].history)


def _registered(run: Store) -> set[str]:
    """Folders of the checkpoints that Ray Train knows of: the best and the last."""
    try:
        registered = Result.from_path(run.path, run.fs).best_checkpoints or []
        return {checkpoint.path.rsplit("/", 1)[1] for checkpoint, _ in registered}
    except RuntimeError:  # it ended before its first
        return set()

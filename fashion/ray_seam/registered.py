"""What Ray Train remembers of a run's checkpoints, in a file of its own in the run's folder."""

from collections.abc import Sequence

from pydantic import ValidationError
from ray.train.v2._internal.execution.checkpoint.checkpoint_manager import (
    _CheckpointManagerState,
    _TrainingResultState,
)

from fashion.storage import Store

SNAPSHOT = "checkpoint_manager_snapshot.json"


def registered(run: Store) -> list[str] | None:
    """Names of the checkpoints that a run goes on from, the newest last; none before its first, None where the file is
    damaged, of which Ray Train would try to start for ever."""
    try:
        snapshot = _CheckpointManagerState.model_validate_json(run.read(SNAPSHOT))
    except FileNotFoundError:
        return []
    except ValidationError:
        return None
    newest = snapshot.latest_checkpoint_result
    names = [checkpoint.checkpoint_dir_name for checkpoint in snapshot.checkpoint_results]
    return (
        [*(name for name in names if name != newest.checkpoint_dir_name), newest.checkpoint_dir_name] if newest else []
    )


def register(run: Store, checkpoints: Sequence[tuple[str, dict]]) -> None:
    """Let these be the run's checkpoints: name and metrics of each, with its `score`, the newest last."""
    results = [_TrainingResultState(checkpoint_dir_name=name, metrics=metrics) for name, metrics in checkpoints]
    order = sorted(range(len(results)), key=lambda i: (results[i].metrics["score"], i))  # as Ray Train keeps them
    state = _CheckpointManagerState(
        checkpoint_results=[results[i] for i in order],
        checkpoint_report_indices=order,
        latest_checkpoint_result=results[-1],
        pending_training_results=[],
        pending_validation_specs=[],
        current_report_index=len(results),
        validated_checkpoint_dir_names=[],
        timed_out_validation_checkpoint_dir_names=[],
        failed_validation_checkpoint_dir_names=[],
    )
    run.write(SNAPSHOT, state.model_dump_json().encode())

"""Whether trying a failed run of Ray Train again can help."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from ray.train.v2._internal.execution.failure_handling import FailureDecision
from ray.train.v2._internal.execution.failure_handling.default import DefaultFailurePolicy
from ray.train.v2.api import data_parallel_trainer
from ray.train.v2.api.exceptions import TrainingFailedError

from fashion.causes import cause
from fashion.errors import InputError, TrainingDiverged


@contextmanager
def no_retries_in_vain() -> Iterator[None]:
    """A run that is started in this block is not tried again after what would happen again."""
    with patch.object(data_parallel_trainer, "create_failure_policy", _Discerning):
        yield


class _Discerning(DefaultFailurePolicy):
    def make_decision(self, training_failed_error: TrainingFailedError) -> FailureDecision:
        if isinstance(cause(training_failed_error), (InputError, TrainingDiverged)):
            return FailureDecision.RAISE
        return super().make_decision(training_failed_error)

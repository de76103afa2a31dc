"""Whether trying a failed run of Ray Train again can help."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from ray.train.v2._internal.exceptions import WorkerGroupStartupFailedError
from ray.train.v2._internal.execution.failure_handling import FailureDecision
from ray.train.v2._internal.execution.failure_handling.default import DefaultFailurePolicy
from ray.train.v2.api import data_parallel_trainer
from ray.train.v2.api.config import FailureConfig
from ray.train.v2.api.exceptions import TrainingFailedError

from fashion.causes import cause
from fashion.errors import InputError, RunLost, TrainingDiverged

STARTS, WITHIN_S = 10, 900.0  # of the workers that fail within so long are the last that are tried


@contextmanager
def no_retries_in_vain() -> Iterator[None]:
    """A run that is started in this block is not tried again after what would happen again."""
    with patch.object(data_parallel_trainer, "create_failure_policy", _Discerning):
        yield


class _Discerning(DefaultFailurePolicy):
    """Ray Train's own tries a start of the workers again for ever, whatever it failed of."""

    def __init__(self, failure_config: FailureConfig):
        super().__init__(failure_config)
        self.failed_starts: deque[float] = deque(maxlen=STARTS)

    def make_decision(self, training_failed_error: TrainingFailedError) -> FailureDecision:
        if isinstance(cause(training_failed_error), (InputError, TrainingDiverged, RunLost)) or self._in_vain(
            training_failed_error
        ):
            return FailureDecision.RAISE
        return super().make_decision(training_failed_error)

    def _in_vain(self, error: TrainingFailedError) -> bool:
        if not isinstance(getattr(error, "controller_failure", None), WorkerGroupStartupFailedError):
            return False
        self.failed_starts.append(time.monotonic())
        return len(self.failed_starts) == STARTS and self.failed_starts[-1] - self.failed_starts[0] < WITHIN_S

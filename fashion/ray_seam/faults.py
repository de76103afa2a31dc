"""What a failed run of Ray Train failed of, by type, and whether trying again can help."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from ray.train import TrainingFailedError
from ray.train.v2._internal.execution.failure_handling import FailureDecision
from ray.train.v2._internal.execution.failure_handling.default import DefaultFailurePolicy
from ray.train.v2.api import data_parallel_trainer

from fashion.errors import InputError, TrainingDiverged

# An exception that crossed several processes is left as text alone.
_NAMED = re.compile(rf"\b({InputError.__name__}|{TrainingDiverged.__name__}): (.+)")
_KINDS = {kind.__name__: kind for kind in (InputError, TrainingDiverged)}


@contextmanager
def no_retries_in_vain():
    """A run that is started in this block is not tried again after what would happen again."""
    with patch.object(data_parallel_trainer, "create_failure_policy", _Discerning):
        yield


class _Discerning(DefaultFailurePolicy):
    def make_decision(self, training_failed_error: TrainingFailedError) -> FailureDecision:
        if isinstance(cause(training_failed_error), (InputError, TrainingDiverged)):
            return FailureDecision.RAISE
        return super().make_decision(training_failed_error)


def cause(fault: BaseException) -> BaseException:
    """What went wrong first: bad input or a training that diverged wherever it was found, else the innermost error."""
    found = list(_causes(fault))
    for error in found:
        if isinstance(error, (InputError, TrainingDiverged)):
            return _KINDS[InputError.__name__ if isinstance(error, InputError) else TrainingDiverged.__name__](
                _message(error)
            )
    for error in found:
        if named := _NAMED.search(str(error)):
            return _KINDS[named[1]](named[2])
    return found[-1]


def _causes(fault: BaseException) -> Iterator[BaseException]:
    """The error and all that it wraps, the outermost first."""
    seen: set[int] = set()
    left = [fault]
    while left:
        error = left.pop(0)
        if not isinstance(error, BaseException) or id(error) in seen:
            continue
        seen.add(id(error))
        yield error
        left += [*(getattr(error, "worker_failures", None) or {}).values()]
        left += [getattr(error, name, None) for name in ("controller_failure", "_base_exc", "cause", "__cause__")]


def _message(error: BaseException) -> str:
    """The message alone, of an error whose text Ray has put a traceback before."""
    named = _NAMED.findall(str(error))
    return named[-1][1] if named else str(error)

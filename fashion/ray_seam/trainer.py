"""Ray Train in a Ray of the job's own: fewer processes, which start and end sooner."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any
from unittest.mock import patch

import ray
from ray.train.v2._internal import constants
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.callback import ControllerCallback
from ray.train.v2.api import data_parallel_trainer
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from fashion.capacity import owned


def trainer_class(*, group: bool) -> type[DataParallelTrainer]:
    """Ray Train's trainer for workers that join in a torch process group, or for a single worker that needs none: then
    the processes that watch over it need not import torch."""
    if not group:
        return _Lean if owned() else DataParallelTrainer
    from ray.train.torch import TorchTrainer

    return type("LeanTorchTrainer", (_Lean, TorchTrainer), {}) if owned() else TorchTrainer


class _Lean(DataParallelTrainer):
    """Without the actor that frees a dead controller's places, which asks the dashboard whether it lives, for twelve seconds
    at the end: this Ray ends with its only job. And without environment variables that all processes have already:
    with them, none of those that wait for work could be used, and each starts by way of another."""

    def _create_default_callbacks(self) -> list:
        callbacks = super()._create_default_callbacks()
        return [c for c in callbacks if not isinstance(c, PlacementGroupCleanerCallback)] + [_Inherited()]

    def _initialize_and_run_controller(self, **arguments: Any) -> Any:
        with patch.object(data_parallel_trainer, "get_env_vars_to_propagate", _Nothing):
            return super()._initialize_and_run_controller(**arguments)


def before_abort(trainer: DataParallelTrainer, act: Callable[[], None]) -> None:
    """Let the first Ctrl-C do `act` before Ray Train's handler, which ends the workers; the second no longer waits."""
    register = trainer._register_sigint_handler

    def registered(controller: Any) -> None:
        register(controller)
        handler = signal.getsignal(signal.SIGINT)
        assert callable(handler)  # Ray Train's own
        heard = []

        def act_first(number: int, frame: FrameType | None) -> None:
            heard.append(number)
            if len(heard) == 1:
                act()
            handler(number, frame)

        signal.signal(signal.SIGINT, act_first)

    trainer._register_sigint_handler = registered  # type: ignore[method-assign]  # of this trainer alone


@dataclass(frozen=True, kw_only=True)
class ControllerStarted:
    """What is pinned up of a controller."""

    controller: ray.actor.ActorHandle


class Announced(ControllerCallback):
    """Pins the controller up, in whose process this runs, for whoever wants the run to end."""

    def __init__(self, board: Any):
        self.board = board

    def after_controller_start(self, train_run_context: Any) -> None:
        self.board.post.remote(ControllerStarted(controller=ray.get_runtime_context().current_actor))


class _Nothing(dict):
    """Environment variables that stay none."""

    def setdefault(self, key: Any, default: Any = None) -> Any:
        return default


class _Inherited(ControllerCallback):
    """In the controller: its workers inherit their environment too."""

    def after_controller_start(self, train_run_context: Any) -> None:
        constants.ENV_VARS_TO_PROPAGATE.clear()

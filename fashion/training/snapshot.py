"""A copy of all that a checkpoint holds, which training does not change any more: what is written while it goes on."""

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from fashion.training.checkpoint import write_checkpoint
from fashion.training.history import EpochRow
from fashion.training.run_record import RunRecord

if TYPE_CHECKING:
    from fashion.networks.model import Network
    from fashion.training.loop import Trainer


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Of a training after a step."""

    network: "Network"  # the one that goes on: of it, what does not change
    weights: dict[str, torch.Tensor]
    state: dict
    history: list[EpochRow]

    @staticmethod
    def of(trainer: "Trainer") -> "Snapshot":
        """Copies in the memory of the CPU, which need none of a GPU's."""
        weights, state = copied(trainer.kept.state_dict()), copied(trainer.state())
        return Snapshot(network=trainer.kept, weights=weights, state=state, history=list(trainer.history))

    def write(self, folder: str, run: RunRecord) -> None:
        """As `write_checkpoint` does it."""
        write_checkpoint(folder, self.network, self.state, history=self.history, run=run, weights=self.weights)


def copied(value: Any) -> Any:
    """Nested dictionaries, lists and tuples with a copy on the CPU of each tensor in them."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        own = copy.copy(value)  # a state dict is a dictionary with a version
        own.update({name: copied(inner) for name, inner in value.items()})
        return own
    if isinstance(value, list | tuple):
        return type(value)(copied(inner) for inner in value)
    return value

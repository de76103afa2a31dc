"""The training loop, in plain PyTorch: what it reads from and reports to is handed in."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import torch

from fashion.errors import TrainingDiverged
from fashion.losses import MetricLoss
from fashion.losses.labels import Balance
from fashion.networks.model import Network
from fashion.training.autocast import quick_depthwise
from fashion.training.averages import Average, between
from fashion.training.batches import Batches, Stream
from fashion.training.distributed import average_gradients, bare, replicate, share_buffers, world
from fashion.training.events import StepDone
from fashion.training.history import EpochRow, score
from fashion.training.lora import Additions
from fashion.training.miner import Miner
from fashion.training.optimise import Backbone, build_optimizer, set_rate
from fashion.training.precision import BF16, quicker, settled
from fashion.training.randomness import random_state, set_random_state
from fashion.training.resume import rate_of
from fashion.training.settings import TrainSettings
from fashion.training.step import StepContext, backward
from fashion.training.tally import EpochTally
from fashion.training.tasks import Tasks
from fashion.training.validate import Validation

SHARES = (0.9, 0.8, 0.7, 0.6, 0.5)  # of the tuned weights, with settings.interpolate


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What the loop calls outside."""

    step: Callable[[StepDone], None]  # after each step
    epoch: Callable[
        [EpochRow, bool], None
    ]  # after each epoch: its row of the history, and whether to write a checkpoint


class Trainer:
    """Network, loss and optimiser of one worker, and what a checkpoint needs to go on exactly.

    `kept` is the network that is validated and saved: the trained one (`bare(network)`, with its additions summed in), the
    average of its weights, or at the very end one between start and end.
    """

    def __init__(
        self,
        settings: TrainSettings,
        network: Network,
        loss: MetricLoss,
        *,
        steps: int,
        device: torch.device,
        balance: Balance | None = None,
        start: Callable[[], Network] | None = None,
        miner: Miner | None = None,
    ):
        """`balance`: of the attributes, for a network that predicts labels. `start`: makes the network that the run began
        with, for settings.interpolate. `miner`: finds the neighbours of hard batches."""
        self.settings, self.steps, self.device, self.start = settings, steps, device, start
        self.miner = miner
        network = network.to(device).to(memory_format=torch.channels_last)
        if device.type == "cuda" and world() > 1:
            network = cast(Network, torch.nn.SyncBatchNorm.convert_sync_batchnorm(network))
        if device.type == "cpu":
            quick_depthwise(network)
        self.loss = loss.to(device)
        self.additions: Additions[Network] | None = None
        if settings.optimizer.lora:
            self.additions = Additions(network, settings.optimizer.lora, seed=settings.seed)
        self.optimizer = build_optimizer(network, self.loss, settings.optimizer)
        self.backbone = Backbone(network)
        self.kept = self.additions.network if self.additions else network
        self.average: Average[Network] | None = None
        if settings.optimizer.average:
            self.average = Average(self.kept, settings.optimizer.average)
            self.kept = self.average.network
        self.precision = settled(settings.precision, device)
        self.tasks = Tasks(settings.tasks, balance.to(device)) if balance else None
        self._replicate(network)
        self.next_epoch = 0  # the one that is under way, or comes next
        self.tally = EpochTally()  # of it
        self.history: list[EpochRow] = []

    def _replicate(self, network: torch.nn.Module) -> None:
        """Anew when other parameters are trained: DDP has to know which."""
        s = self.settings
        self.network = replicate(network, self.device)
        stepped = cast(torch.nn.Module, torch.compile(self.network)) if s.compile else self.network
        self.context = StepContext(
            stepped, self.loss, s.augmentation, s.batch.chunk, self.precision == BF16, s.seed, self.tasks
        )

    def state(self) -> dict:
        """Tensors and plain values beside the weights of `kept`, after any step: those of the training, not copies."""
        network = bare(self.network)
        return {
            "optimizer": self.optimizer.state_dict(),
            "loss": self.loss.state_dict(),
            "next_epoch": self.next_epoch,
            "precision": self.precision,
            "network": network.state_dict() if self.kept is not network else None,
            "averaged": self.average.updates if self.average else 0,
            "tally": self.tally.state() if self.tally.steps else None,
            "random": random_state(self.device),
        }

    def restore(self, state: dict, history: list[EpochRow]) -> None:
        """To be called with the network of the checkpoint in place."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.loss.load_state_dict(state["loss"])
        self.next_epoch, self.precision, self.history = state["next_epoch"], state["precision"], history
        self.context = replace(self.context, autocast=self.precision == BF16)
        if state["network"] is not None:
            bare(self.network).load_state_dict(state["network"])
        if self.average:
            self.average.updates = state["averaged"]
        # Checkpoints of before these were kept lack them.
        if state.get("tally"):
            self.tally = EpochTally.restored(state["tally"], self.device)
        if "random" in state:
            set_random_state(self.device, state["random"])

    def run(self, stream: Stream, validation: Validation, hooks: Hooks) -> None:
        """Train from where it is to the last epoch."""
        pairs = self.settings.loss.positives == "pair"
        if self.miner and self.miner.lacking(self.next_epoch):
            self._mine(self.miner, self.next_epoch)
        batches = Batches(stream, self.device, pairs=pairs, truth=self.tasks is not None)
        for epoch in range(self.next_epoch, self.settings.length):
            row = self._epoch(epoch, batches, hooks)
            last = epoch == self.settings.length - 1
            judged = last or (epoch + 1) % (self.settings.validation.every or 1) == 0
            if judged:
                began = time.perf_counter()
                measured = self._validate(validation, last)
                row = replace(row, **measured, validation_s=time.perf_counter() - began)
            if self.miner and not last and self.miner.due(epoch + 1):
                row = replace(row, **self._mine(self.miner, epoch + 1))
            self.next_epoch, self.tally = epoch + 1, EpochTally()
            self.history.append(row)
            hooks.epoch(row, judged)

    def _mine(self, miner: Miner, epoch: int) -> dict:
        share_buffers(self.kept)
        return miner.refresh(self.kept, epoch, autocast=self.precision == BF16)

    def _validate(self, validation: Validation, last: bool) -> dict:
        """In the precision of the training: epochs are compared with one another only."""
        share_buffers(self.kept)
        autocast = self.precision == BF16
        best = validation.measure(self.kept, autocast=autocast)
        if not (last and self.settings.interpolate):
            return best
        assert self.start is not None  # where weights are interpolated
        metric, start, tuned = self.settings.validation.metric, self.start().to(self.device), self.kept
        scores, chosen = {"1.0": _score(best, metric)}, 1.0
        for share in SHARES:
            network = between(start, tuned, share)
            measured = validation.measure(network, autocast=autocast)
            scores[str(share)] = _score(measured, metric)
            if _score(measured, metric) > _score(best, metric):
                best, chosen, self.kept = measured, share, network
        return best | {"interpolation": chosen, "interpolations": scores}

    def _epoch(self, epoch: int, batches: Batches, hooks: Hooks) -> EpochRow:
        """Train the steps that are left of the epoch; returns its row of the history, without validation."""
        if not self.tally.steps:
            self.tally = EpochTally()  # its time counts from here
        self.loss.train()
        self._train_mode()
        for step in range(self.tally.steps, self.steps):
            hooks.step(self._step(epoch, step, batches))
        means = self.tally.means()
        if not all(map(math.isfinite, means.values())):
            raise _diverged(epoch, f"the loss is {means['loss']}")
        if not bool(torch.nn.utils.get_total_norm(list(self.network.parameters())).isfinite()):
            raise _diverged(epoch, "the weights are no longer finite")
        rate = self._rate((epoch + 1) * self.steps - 1)
        figures = self.tally.figures()
        loss = means.pop("loss")
        return EpochRow(
            epoch=epoch, learning_rate=rate, precision=self.precision, loss=loss, statistics=means, **figures
        )

    def _step(self, epoch: int, step: int, batches: Batches) -> StepDone:
        start = time.perf_counter()
        batch = batches.next(epoch, step)
        ready = time.perf_counter()
        self._settle(epoch * self.steps + step)
        if self.precision is None:
            self.precision = quicker(self.context, batch)
            self.context = replace(self.context, autocast=self.precision == BF16)
        self.optimizer.zero_grad(set_to_none=True)
        result = backward(self.context, batch, epoch=epoch, step=step)
        average_gradients(self.loss)
        if self.settings.optimizer.clip:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.optimizer.clip)
        self.optimizer.step()
        trained = bare(self.network)
        if self.additions:
            self.additions.update(trained)
            trained = self.additions.network
        if self.average:
            self.average.update(trained)
        images = batch.pictures * world()
        self.tally.add(result, images=images, waited_s=ready - start)
        # A loss is read from the GPU only to be shown: now and then.
        shown = self.device.type == "cpu" or step % 10 == 0
        loss = float(result.loss.detach()) if shown else None
        if loss is not None and not math.isfinite(loss):
            raise _diverged(epoch, f"step {step}: the loss is {loss}")
        step_s = time.perf_counter() - ready
        return StepDone(epoch=epoch, step=step, loss=loss, wait_s=ready - start, step_s=step_s, images=images)

    def _settle(self, step: int) -> None:
        """What is trained in this step of the run, and at which rate."""
        o = self.settings.optimizer
        frozen = len(self.backbone.stages) if step < o.freeze_epochs * self.steps else self.settings.frozen_stages
        if frozen != self.backbone.frozen:
            self.backbone.freeze(frozen)
            self._replicate(bare(self.network))
            self._train_mode()
        set_rate(self.optimizer, self._rate(step))

    def _rate(self, step: int) -> float:
        """The highest learning rate in this step of the run."""
        return rate_of(self.settings, step, total=self.settings.length * self.steps)

    def _train_mode(self) -> None:
        self.network.train()
        self.backbone.settle()


def _score(measured: dict, metric: str) -> float:
    """Of a validation."""
    return score(EpochRow(epoch=0, **measured), metric)


def _diverged(epoch: int, what: str) -> TrainingDiverged:
    return TrainingDiverged(
        f"epoch {epoch}, {what}; try a lower optimizer.learning_rate, a longer optimizer.warmup or optimizer.clip 1"
    )

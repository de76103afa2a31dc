"""The training loop, in plain PyTorch: what it reads from and reports to is handed in."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from fashion.errors import TrainingDiverged
from fashion.losses import MetricLoss, advice
from fashion.losses.labels import Balance
from fashion.training.autocast import quick_depthwise
from fashion.training.averages import Average, between
from fashion.training.batches import Batches, Stream
from fashion.training.checkpoint import score
from fashion.training.distributed import average_gradients, bare, replicate, share_buffers, world
from fashion.training.events import StepDone
from fashion.training.miner import Miner
from fashion.training.optimise import Backbone, build_optimizer, rate_at, set_rate
from fashion.training.precision import BF16, quicker, settled
from fashion.training.settings import TrainSettings
from fashion.training.step import StepContext, backward
from fashion.training.tasks import Tasks
from fashion.training.validate import Validation

SHARES = (0.9, 0.8, 0.7, 0.6, 0.5)  # of the tuned weights, with settings.interpolate


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What the loop calls outside."""

    step: Callable[[StepDone], None]  # after each step
    epoch: Callable[[dict, bool], None]  # after each epoch: its row of the history, and whether to write a checkpoint


class Trainer:
    """Network, loss and optimiser of one worker, and what a checkpoint needs to go on exactly.

    `kept` is the network that is validated and saved: the trained one (`bare(network)`), the average of its weights, or
    at the very end one between start and end.
    """

    def __init__(
        self,
        settings: TrainSettings,
        network: torch.nn.Module,
        loss: MetricLoss,
        *,
        steps: int,
        device: torch.device,
        balance: Balance | None = None,
        start: Callable[[], torch.nn.Module] | None = None,
        miner: Miner | None = None,
    ):
        """`balance`: of the attributes, for a network that predicts labels. `start`: makes the network that the run began
        with, for settings.interpolate. `miner`: finds the neighbours of hard batches."""
        self.settings, self.steps, self.device, self.start = settings, steps, device, start
        self.miner = miner
        network = network.to(device, memory_format=torch.channels_last)
        if device.type == "cuda" and world() > 1:
            network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)
        if device.type == "cpu":
            quick_depthwise(network)
        self.loss = loss.to(device)
        self.optimizer = build_optimizer(network, self.loss, settings.optimizer)
        self.backbone = Backbone(network)
        self.average = Average(network, settings.optimizer.average) if settings.optimizer.average else None
        self.kept = self.average.network if self.average else network
        self.precision = settled(settings.precision, device)
        self.tasks = balance and Tasks(
            settings.tasks, Balance(balance.present_A.to(device), balance.absent_A.to(device))
        )
        self._replicate(network)
        self.next_epoch = 0
        self.history: list[dict] = []

    def _replicate(self, network: torch.nn.Module) -> None:
        """Anew when other parameters are trained: DDP has to know which."""
        s = self.settings
        self.network = replicate(network, self.device)
        stepped = torch.compile(self.network) if s.compile else self.network
        self.context = StepContext(
            stepped, self.loss, s.augmentation, s.batch.chunk, self.precision == BF16, s.seed, self.tasks
        )

    def state(self) -> dict:
        """Tensors and plain values beside the weights of `kept`."""
        network = bare(self.network)
        return {
            "optimizer": self.optimizer.state_dict(),
            "loss": self.loss.state_dict(),
            "next_epoch": self.next_epoch,
            "precision": self.precision,
            "network": network.state_dict() if self.kept is not network else None,
            "averaged": self.average.updates if self.average else 0,
        }

    def restore(self, state: dict, history: list[dict]) -> None:
        """To be called with the network of the checkpoint in place."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.loss.load_state_dict(state["loss"])
        self.next_epoch, self.precision, self.history = state["next_epoch"], state["precision"], history
        self.context = replace(self.context, autocast=self.precision == BF16)
        if state["network"] is not None:
            bare(self.network).load_state_dict(state["network"])
        if self.average:
            self.average.updates = state["averaged"]

    def run(self, stream: Stream, validation: Validation, hooks: Hooks) -> None:
        """Train from `next_epoch` to the last epoch."""
        pairs = self.settings.loss.positives == "pair"
        if self.miner and self.miner.lacking(self.next_epoch):
            self._mine(self.next_epoch)
        batches = Batches(stream, self.device, pairs=pairs, truth=self.tasks is not None)
        for epoch in range(self.next_epoch, self.settings.epochs):
            row = self._epoch(epoch, batches, hooks)
            last = epoch == self.settings.epochs - 1
            judged = last or (epoch + 1) % (self.settings.validation.every or 1) == 0
            if judged:
                began = time.perf_counter()
                row |= self._validate(validation, last)
                row["validation_s"] = time.perf_counter() - began
            if self.miner and not last and self.miner.due(epoch + 1):
                row |= self._mine(epoch + 1)
            self.next_epoch = epoch + 1
            self.history.append(row)
            hooks.epoch(row, judged)

    def _mine(self, epoch: int) -> dict:
        share_buffers(self.kept)
        return self.miner.refresh(self.kept, epoch, autocast=self.precision == BF16)

    def _validate(self, validation: Validation, last: bool) -> dict:
        """In the precision of the training: epochs are compared with one another only."""
        share_buffers(self.kept)
        autocast = self.precision == BF16
        best = validation.measure(self.kept, autocast=autocast)
        if not (last and self.settings.interpolate):
            return best
        metric, start, tuned = self.settings.validation.metric, self.start().to(self.device), self.kept
        found, chosen = {"1.0": score(best, metric)}, 1.0
        for share in SHARES:
            network = between(start, tuned, share)
            measured = validation.measure(network, autocast=autocast)
            found[str(share)] = score(measured, metric)
            if score(measured, metric) > score(best, metric):
                best, chosen, self.kept = measured, share, network
        return best | {"interpolation": chosen, "interpolations": found}

    def _epoch(self, epoch: int, batches: Batches, hooks: Hooks) -> dict:
        began = time.perf_counter()
        waited, sums, tasks, images = 0.0, {}, {}, 0
        self.loss.train()
        self._train_mode()
        for step in range(self.steps):
            start = time.perf_counter()
            batch = batches.next(epoch, step)
            ready = time.perf_counter()
            rate = self._settle(epoch * self.steps + step)
            if self.precision is None:
                self.precision = quicker(self.context, batch)
                self.context = replace(self.context, autocast=self.precision == BF16)
            self.optimizer.zero_grad(set_to_none=True)
            result = backward(self.context, batch, epoch=epoch, step=step)
            average_gradients(self.loss)
            if self.settings.optimizer.clip:
                torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.optimizer.clip)
            self.optimizer.step()
            if self.average:
                self.average.update(bare(self.network))
            for name, value in {"loss": result.loss.detach(), **result.statistics}.items():
                sums[name] = sums.get(name, 0) + value
            for name, part in result.sums.items():
                total, count = tasks.get(name, (0, 0))
                tasks[name] = total + part.total, count + part.count
            waited += ready - start
            images += batch.pictures * world()
            # A loss is read from the GPU only to be shown: now and then.
            shown = self.device.type == "cpu" or step % 10 == 0
            loss = float(result.loss.detach()) if shown else None
            if shown and not math.isfinite(loss):
                raise _diverged(epoch, f"step {step}: the loss is {loss}")
            hooks.step(
                StepDone(
                    epoch=epoch,
                    step=step,
                    loss=loss,
                    wait_s=ready - start,
                    step_s=time.perf_counter() - ready,
                    images=batch.pictures * world(),
                )
            )
        means = {name: float(value) / self.steps for name, value in sums.items()}
        means |= {f"loss_{name}": float(total) / max(1.0, float(count)) for name, (total, count) in tasks.items()}
        if not all(map(math.isfinite, means.values())):
            raise _diverged(epoch, f"the loss is {means['loss']}")
        if not bool(torch.nn.utils.get_total_norm(list(self.network.parameters())).isfinite()):
            raise _diverged(epoch, "the weights are no longer finite")
        seconds = time.perf_counter() - began
        return {
            "epoch": epoch, "learning_rate": rate, "precision": self.precision, **means, "images": images,
            "seconds": seconds, "images_per_s": images / seconds, "data_wait_s": waited,
            "step_s": (seconds - waited) / self.steps, "advice": advice(means),
        }  # fmt: skip

    def _settle(self, step: int) -> float:
        """What is trained in this step of the run, and the highest rate of it."""
        o = self.settings.optimizer
        frozen = len(self.backbone.stages) if step < o.freeze_epochs * self.steps else self.settings.frozen_stages
        if frozen != self.backbone.frozen:
            self.backbone.freeze(frozen)
            self._replicate(bare(self.network))
            self._train_mode()
        total = self.settings.epochs * self.steps
        rate = self.settings.learning_rate * rate_at(step, total=total, warmup=o.warmup * total)
        set_rate(self.optimizer, rate)
        return rate

    def _train_mode(self) -> None:
        self.network.train()
        self.backbone.settle()


def _diverged(epoch: int, what: str) -> TrainingDiverged:
    return TrainingDiverged(
        f"epoch {epoch}, {what}; try a lower optimizer.learning_rate, a longer optimizer.warmup or optimizer.clip 1"
    )

"""The training loop, in plain PyTorch: what it reads from and reports to is handed in."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from fashion.data.label_pictures import PREFIX
from fashion.losses import MetricLoss, advice
from fashion.losses.labels import Balance, Labels
from fashion.training.distributed import average_gradients, bare, rank, replicate, world
from fashion.training.optimise import build_optimizer, rate_at, set_rate
from fashion.training.settings import TrainSettings
from fashion.training.step import Batch, Labelled, StepContext, backward
from fashion.training.tasks import Tasks
from fashion.training.validate import Validation

# This worker's micro-batch of every step, as fashion.data.stream.steps yields them.
Stream = Iterator[dict[str, torch.Tensor]]


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What the loop calls outside."""

    step: Callable[[dict], None]  # after each step: epoch, step, loss, times
    epoch: Callable[[dict, bool], None]  # after each epoch: its row of the history, and whether to write a checkpoint


class Trainer:
    """Network, loss and optimiser of one worker, and what a checkpoint needs to go on exactly."""

    def __init__(
        self,
        settings: TrainSettings,
        network: torch.nn.Module,
        loss: MetricLoss,
        *,
        steps: int,
        device: torch.device,
        balance: Balance | None = None,
    ):
        """`balance`: of the attributes, for a network that predicts labels."""
        self.settings, self.steps, self.device = settings, steps, device
        network = network.to(device, memory_format=torch.channels_last)
        if device.type == "cuda" and world() > 1:
            network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)
        self.network = replicate(network, device)
        self.loss = loss.to(device)
        self.optimizer = build_optimizer(bare(self.network), self.loss, settings.optimizer)
        self.autocast = device.type == "cuda"
        tasks = balance and Tasks(settings.tasks, Balance(balance.present_A.to(device), balance.absent_A.to(device)))
        self.context = StepContext(
            self.network, self.loss, settings.augmentation, settings.batch.chunk, self.autocast, settings.seed, tasks
        )
        self.next_epoch = 0
        self.history: list[dict] = []

    def state(self) -> dict:
        """Tensors and plain values beside the network's weights."""
        return {"optimizer": self.optimizer.state_dict(), "loss": self.loss.state_dict(), "next_epoch": self.next_epoch}

    def restore(self, state: dict, history: list[dict]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.loss.load_state_dict(state["loss"])
        self.next_epoch, self.history = state["next_epoch"], history

    def run(self, stream: Stream, validation: Validation, hooks: Hooks) -> None:
        """Train from `next_epoch` to the last epoch."""
        self.network.train()
        self.loss.train()
        for epoch in range(self.next_epoch, self.settings.epochs):
            row = self._epoch(epoch, stream, hooks)
            last = epoch == self.settings.epochs - 1
            judged = last or (epoch + 1) % self.settings.validation.every == 0
            if judged:
                began = time.perf_counter()
                row |= validation.measure(bare(self.network), autocast=self.autocast)
                row["validation_s"] = time.perf_counter() - began
            self.next_epoch = epoch + 1
            self.history.append(row)
            hooks.epoch(row, judged)

    def _epoch(self, epoch: int, stream: Stream, hooks: Hooks) -> dict:
        began = time.perf_counter()
        waited, sums, tasks, images = 0.0, {}, {}, 0
        for step in range(self.steps):
            start = time.perf_counter()
            batch = self._next(stream, epoch, step)
            ready = time.perf_counter()
            rate = self._set_rate(epoch * self.steps + step)
            self.optimizer.zero_grad(set_to_none=True)
            result = backward(self.context, batch, epoch=epoch, step=step)
            average_gradients(self.loss)
            if self.settings.optimizer.clip:
                torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.optimizer.clip)
            self.optimizer.step()
            for name, value in {"loss": result.loss.detach(), **result.statistics}.items():
                sums[name] = sums.get(name, 0) + value
            for name, part in result.sums.items():
                total, count = tasks.get(name, (0, 0))
                tasks[name] = total + part.total, count + part.count
            waited += ready - start
            images += batch.pictures * world()
            # A loss is read from the GPU only to be shown: now and then.
            shown = self.device.type == "cpu" or step % 10 == 0
            hooks.step(
                {"epoch": epoch, "step": step, "loss": float(result.loss.detach()) if shown else None,
                 "wait_s": ready - start, "step_s": time.perf_counter() - ready, "images": batch.pictures * world()}
            )  # fmt: skip
        means = {name: float(value) / self.steps for name, value in sums.items()}
        means |= {f"loss_{name}": float(total) / max(1.0, float(count)) for name, (total, count) in tasks.items()}
        if not all(map(_finite, means.values())):
            raise FloatingPointError(
                f"epoch {epoch}: the loss is {means['loss']}; try a lower optimizer.learning_rate, a longer "
                "optimizer.warmup_epochs or optimizer.clip 1"
            )
        seconds = time.perf_counter() - began
        return {
            "epoch": epoch, "learning_rate": rate, **means, "images": images, "seconds": seconds,
            "images_per_s": images / seconds, "data_wait_s": waited, "step_s": (seconds - waited) / self.steps,
            "advice": advice(means),
        }  # fmt: skip

    def _set_rate(self, step: int) -> float:
        o = self.settings.optimizer
        rate = o.learning_rate * rate_at(
            step, total=self.settings.epochs * self.steps, warmup=o.warmup_epochs * self.steps
        )
        set_rate(self.optimizer, rate)
        return rate

    def _next(self, stream: Stream, epoch: int, step: int) -> Batch:
        part = next(stream, None)
        if part is None:
            raise RuntimeError(f"the training stream ended at epoch {epoch}, step {step}, before the plan's end")
        found, expected = (tuple(int(part[name]) for name in ("epoch", "step", "slot"))), (epoch, step, rank())
        if found != expected:
            # A stream out of step would pair embeddings of different batches: stop rather than train on nonsense.
            raise RuntimeError(f"the stream gave (epoch, step, slot) {found}, expected {expected}")
        b, K = part["domain"].shape
        to_device = lambda x: x.flatten().to(self.device, non_blocking=True)  # noqa: E731
        return Batch(
            images=part["images"].flatten(0, 1).to(self.device, non_blocking=True),
            labels=to_device(part["label"][:, None].expand(b, K)),
            domains=to_device(part["domain"]),
            pairs=to_device(part["pair"]) if self.settings.loss.positives == "pair" else None,
            place=to_device(rank() * b * K + torch.arange(b * K)),
            labelled=self._labelled(part),
            truth=self._truth(part) if self.context.tasks else None,
        )

    def _labelled(self, part: dict[str, torch.Tensor]) -> Labelled | None:
        """The pictures that are there for their labels alone."""
        if PREFIX + "images" not in part:
            return None
        images, domains = (part[PREFIX + name].to(self.device, non_blocking=True) for name in ("images", "domain"))
        place = rank() * len(images) + torch.arange(len(images))
        return Labelled(images, domains, place.to(self.device, non_blocking=True))

    def _truth(self, part: dict[str, torch.Tensor]) -> Labels:
        """The labels of the views, then of the other labelled pictures."""
        truth = self._labels(lambda name: part[name].flatten(0, 1) if name in part else None)
        others = PREFIX + "images" in part
        return truth.followed_by(self._labels(lambda name: part.get(PREFIX + name))) if others else truth

    def _labels(self, column: Callable[[str], torch.Tensor | None]) -> Labels:
        category = column("category")
        named = (column(name) for name in ("attributes", "attributes_known"))
        known = (torch.zeros(len(category), 0, dtype=torch.bool) if x is None else x.bool() for x in named)
        return Labels(category, *known, column("landmarks")).map(lambda x: x.to(self.device, non_blocking=True))


def _finite(value: float) -> bool:
    return value == value and abs(value) != float("inf")

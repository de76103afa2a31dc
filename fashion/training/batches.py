"""From the stream's rows to a worker's batches on the training device."""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import fields, is_dataclass
from typing import Any

import torch

from fashion.data.label_pictures import PREFIX
from fashion.losses.labels import Labels
from fashion.training.distributed import rank
from fashion.training.step import Batch, Labelled

# This worker's micro-batch of every step, as fashion.data.stream.steps yields them.
Stream = Iterator[dict[str, torch.Tensor]]

LABELS = ("category", "attributes", "attributes_known", "landmarks")  # columns; attributes where any are predicted


class Batches:
    """The batches of a stream, in the order of the plan.

    On a GPU they are copied from pinned memory beside the computation: nothing here waits for the device, so the copy of
    a batch runs while the step before it does.
    """

    def __init__(self, stream: Stream, device: torch.device, *, pairs: bool, truth: bool):
        """`pairs`, `truth`: whether the loss asks for annotated pairs, and the network's tasks for labels."""
        self.stream, self.device, self.pairs, self.truth = stream, device, pairs, truth
        self.copies = torch.cuda.Stream(device) if device.type == "cuda" else None

    def next(self, epoch: int, step: int) -> Batch:
        """The batch of this step. Raises RuntimeError where the stream gives another, or none."""
        part = next(self.stream, None)
        if part is None:
            raise RuntimeError(f"the training stream ended at epoch {epoch}, step {step}, before the plan's end")
        place, expected = (tuple(int(part[name]) for name in ("epoch", "step", "slot"))), (epoch, step, rank())
        if place != expected:
            # A stream out of step would pair embeddings of different batches: stop rather than train on nonsense.
            raise RuntimeError(f"the stream gave (epoch, step, slot) {place}, expected {expected}")
        with torch.cuda.stream(self.copies) if self.copies else nullcontext():
            batch = self._batch(part)
        if self.copies:
            computing = torch.cuda.current_stream(self.device)
            computing.wait_stream(self.copies)
            for tensor in _tensors(batch):
                if tensor.is_cuda:
                    tensor.record_stream(computing)  # its memory is not given to a later copy while a step reads it
        return batch

    def _batch(self, part: dict[str, torch.Tensor]) -> Batch:
        b, K = part["domain"].shape
        return Batch(
            images=self._put(part["images"].flatten(0, 1)),
            labels=self._put(part["label"][:, None].expand(b, K).flatten()),
            domains=self._put(part["domain"].flatten()),
            pairs=self._put(part["pair"].flatten()) if self.pairs else None,
            place=rank() * b * K + torch.arange(b * K),
            labelled=self._labelled(part),
            truth=self._truth(part) if self.truth else None,
        )

    def _put(self, x: torch.Tensor) -> torch.Tensor:
        return x.pin_memory().to(self.device, non_blocking=True) if self.copies else x.to(self.device)

    def _labelled(self, part: dict[str, torch.Tensor]) -> Labelled | None:
        """The pictures that are there for their labels alone."""
        if PREFIX + "images" not in part:
            return None
        images, domains = (self._put(part[PREFIX + name]) for name in ("images", "domain"))
        return Labelled(images, domains, rank() * len(images) + torch.arange(len(images)))

    def _truth(self, part: dict[str, torch.Tensor]) -> Labels:
        """The labels of the views, then of the other labelled pictures."""
        truth = self._labels({name: part[name].flatten(0, 1) for name in LABELS if name in part})
        if PREFIX + "images" not in part:
            return truth
        return truth.followed_by(self._labels({name: part[PREFIX + name] for name in LABELS if PREFIX + name in part}))

    def _labels(self, columns: Mapping[str, torch.Tensor]) -> Labels:
        category_N = columns["category"]
        none_N0 = torch.zeros(len(category_N), 0, dtype=torch.bool)
        attributes, known = (columns.get(name, none_N0).bool() for name in ("attributes", "attributes_known"))
        return Labels(category_N, attributes, known, columns["landmarks"]).map(self._put)


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    return [x for f in fields(value) for x in _tensors(getattr(value, f.name))] if is_dataclass(value) else []

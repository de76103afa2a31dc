"""The checkpoints in a run's folder.

run.json                     settings, data, seed, versions: what the run is (run_record.py)
history.json                 one row an epoch (history.py)
checkpoint_epoch=0007/       network.safetensors, training.pt, checkpoint.json
steps/                       the same between two epochs (step_checkpoints.py)
"""

import hashlib
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fashion.causes import line_of
from fashion.errors import InputError
from fashion.json_values import left_out, to_plain
from fashion.retrieval.gate.statistics import wilson
from fashion.storage import Store
from fashion.training.history import EpochRow, score
from fashion.training.run_record import DataRecord, RunRecord, read_run
from fashion.unpickling import quiet_unpickling

if TYPE_CHECKING:  # whoever looks for a run's files needs no torch
    import torch

    from fashion.networks.model import Network

CHECKPOINT, NETWORK, TRAINING = "checkpoint.json", "network.safetensors", "training.pt"
CHUNK = 64 << 20  # bytes read at once
CRC = "crc32:"  # before a checksum of that kind
_NAME = re.compile(r"checkpoint_epoch=(\d+)")


def checkpoint_name(epoch: int) -> str:
    return f"checkpoint_epoch={epoch:04d}"


def checkpoint_epoch(path: str) -> int:
    """The epoch of a checkpoint, from the path of its folder."""
    match = _NAME.search(path)
    assert match  # a name that `checkpoint_name` made
    return int(match[1])


@dataclass(frozen=True, kw_only=True)
class CheckpointRecord:
    """checkpoint.json."""

    fingerprint: str  # of the network
    history: list[EpochRow]  # empty within the first epoch
    epoch: int  # the one that it was written after, or within
    steps: int | None = left_out()  # done of the epoch, where it was written within one
    seed: int = 0
    crop: str | None
    data: DataRecord | None = None
    versions: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] | None = left_out()  # name -> checksum; the first versions wrote none, or that of TRAINING
    training: str | None = left_out()


def write_checkpoint(
    folder: str,
    network: "Network",
    state: dict,
    *,
    history: list[EpochRow],
    run: RunRecord,
    weights: "Mapping[str, torch.Tensor] | None" = None,
) -> str:
    """Fill a local folder with the network, the training state (tensors and plain values) and the history so far;
    returns the network's fingerprint. `weights`: a copy of the network's state dict, where it has changed since."""
    import torch

    from fashion.networks.files import save_network

    store = Store(folder)
    within = state.get("tally")  # of an epoch that is under way
    record = CheckpointRecord(
        fingerprint="",
        history=history,
        epoch=state["next_epoch"] if within else history[-1].epoch,
        steps=within["steps"] if within else None,
        seed=run.used.seed,
        crop=run.used.batch.crop,
        data=run.data,
        versions=run.versions,
    )
    extra = {name: value for name, value in to_plain(record).items() if name not in ("fingerprint", "history")}
    digest = save_network(store, NETWORK, network, extra, weights)
    torch.save(state, Path(folder) / TRAINING)
    files = {name: _checksum(store, name, CRC) for name in (NETWORK, TRAINING)}
    store.write_value(CHECKPOINT, replace(record, fingerprint=digest, files=files))
    return digest


def put_checkpoint(target: Store, fill: Callable[[str], None]) -> None:
    """Put what `fill` writes to a local folder, by `write_checkpoint`, there. `checkpoint.json`, without which there is
    none, goes first and comes last; of one that cannot be written nothing is left."""
    if target.exists(CHECKPOINT):
        target.delete(CHECKPOINT)
    if target.local:
        Path(target.path).mkdir(parents=True, exist_ok=True)
        try:
            fill(target.path)
        except BaseException:
            shutil.rmtree(target.path, ignore_errors=True)
            raise
        return
    with tempfile.TemporaryDirectory() as folder:
        fill(folder)
        for name in (NETWORK, TRAINING, CHECKPOINT):
            with pa.memory_map(str(Path(folder) / name)) as file:
                target.write(name, file.read_buffer())


def read_training_state(folder: str) -> tuple[dict, list[EpochRow]]:
    """The training state and the history of a local checkpoint folder; nothing in it is executed. Raises InputError where
    it is damaged."""
    import torch

    checkpoint = Checkpoint.read(Store(folder))
    if reason := checkpoint.damaged(TRAINING):
        raise InputError(
            f"{checkpoint_name(checkpoint.epoch)}/{reason}; take it from a copy, or begin another --run with "
            "network.pretrained set to this one"
        )
    try:
        with quiet_unpickling():
            return torch.load(Path(folder) / TRAINING, map_location="cpu", weights_only=True), checkpoint.history
    except (UnpicklingError, RuntimeError, EOFError) as fault:  # one that torch did not write
        raise InputError(
            f"{checkpoint_name(checkpoint.epoch)}/{TRAINING} holds no training state ({line_of(fault)}); take it from a copy"
        ) from None


def _checksum(store: Store, name: str, like: str) -> str:
    """Of the kind that `like` is: earlier versions' took as long as all the rest of writing a checkpoint. torch reads its
    own file without comparing its checksums. Raises FileNotFoundError."""
    with store.fs.open_input_stream(store.at(name)) as stream:
        chunks = iter(lambda: stream.read(CHUNK), b"")
        if like.startswith(CRC):
            return f"{CRC}{reduce(lambda crc, chunk: zlib.crc32(chunk, crc), chunks, 0):08x}"
        digest = hashlib.blake2b(digest_size=8)
        for chunk in chunks:
            digest.update(chunk)
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint in a run's folder."""

    store: Store
    record: CheckpointRecord

    @staticmethod
    def read(store: Store) -> "Checkpoint":
        """The one of this folder. Raises FileNotFoundError, and InputError where it is damaged."""
        return Checkpoint(store=store, record=store.read_value(CHECKPOINT, CheckpointRecord))

    @property
    def name(self) -> str:
        """Of its folder in the run's."""
        return self.store.uri.rpartition("/")[2]

    @property
    def epoch(self) -> int:
        """The one that it was written after, or within."""
        return self.record.epoch

    @property
    def steps(self) -> int:
        """Of its epoch, where it was written within one; else 0."""
        return self.record.steps or 0

    def damaged(self, *names: str) -> str | None:
        """The first of its files that is not what was written, in words; None where all are, as far as it says how they
        were: the first versions did not."""
        written: Mapping[str, str | None] = self.record.files or {TRAINING: self.record.training}
        for name in names:
            expected = written.get(name)
            try:
                found = _checksum(self.store, name, expected or CRC)
            except FileNotFoundError:
                return f"{name} of the run is damaged: it is not there"
            if found != (expected or found):
                return f"{name} of the run is damaged: it is not what was written"
        return None

    @property
    def history(self) -> list[EpochRow]:
        return self.record.history

    @property
    def fingerprint(self) -> str:
        """Of its network."""
        return self.record.fingerprint

    def network(self) -> tuple["Network", dict]:
        from fashion.networks.files import load_network

        return load_network(self.store, NETWORK)


def checkpoints(run: Store) -> list[Checkpoint]:
    """All finished checkpoints of a run, oldest first. One that was not written to its end, or is damaged so that it cannot
    be told what it is, is none."""
    finished = []
    names = set(run.names(recursive=True))
    for name in sorted(names):
        folder = name.removesuffix(f"/{CHECKPOINT}")
        if _NAME.match(name) and name != folder and f"{folder}/{NETWORK}" in names:
            with suppress(InputError):
                finished.append(Checkpoint.read(run / folder))
    return [checkpoint for checkpoint in finished if checkpoint.history]


def best_checkpoint(
    run: Store, metric: str | None = None, note: Callable[[str], None] = lambda line: None
) -> Checkpoint:
    """The checkpoint to use, by validation `metric`, by default the one that the run was to be judged by: the newest,
    unless another's own epoch was better by more than chance (their 99 % intervals, Wilson, lie apart).

    The rate has come down to nothing at the newest, and the best of many noisy epochs is partly luck. On 24 photographed
    items it was worth 3 points on the test part. One whose network is damaged is left out, and `note` told so. Raises
    InputError where there is none."""
    if metric is None:
        record = read_run(run)
        metric = record.used.validation.metric if record else "recall@1"
    left, reason = checkpoints(run), None
    while left:
        chosen = _best(left, metric)
        reason = chosen.damaged(NETWORK)
        if not reason:
            return chosen
        left.remove(chosen)
        note(f"{run.uri}/{chosen.name}/{reason}; an earlier checkpoint is used")
    if reason:
        raise InputError(f"{run.uri}: {reason}, and no other checkpoint is whole; take it from a copy, or train again")
    raise InputError(f"{run.uri}: no checkpoint there; expected the folder of a training run (jobs/train.py --run)")


def _best(there: list[Checkpoint], metric: str) -> Checkpoint:
    newest = there[-1].history[-1]
    best = max(there, key=lambda c: (score(c.history[-1], metric), c.epoch))
    value, queries = score(newest, metric), newest.queries or 0
    least = wilson(score(best.history[-1], metric) * queries, queries, z=2.576)[0] if queries else 1.0
    chance = queries and value >= 0 and least <= wilson(value * queries, queries, z=2.576)[1]
    return there[-1] if chance else best

"""A run's files, and the checkpoints in it.

run.json                     settings, data, seed, versions: what the run is
history.json                 one row an epoch
checkpoint_epoch=0007/       network.safetensors, training.pt, checkpoint.json
steps/                       the same between two epochs (step_checkpoints.py)
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING

from fashion.causes import line_of
from fashion.errors import InputError
from fashion.identity import check_same
from fashion.retrieval.gate.statistics import wilson
from fashion.storage import Store

if TYPE_CHECKING:  # whoever looks for a run's files needs no torch
    import torch

    from fashion.networks.model import EmbeddingNetwork

RUN, HISTORY, CHECKPOINT, NETWORK, TRAINING = (
    "run.json", "history.json", "checkpoint.json", "network.safetensors", "training.pt",
)  # fmt: skip
# What is read of them.
HISTORY_SHAPE = [{"epoch": int, "seconds?": float, "validation_s?": float, "recall?": {"*": float}, "queries?": int}]
SHAPE = {
    "epoch": int,
    "steps?": int,
    "fingerprint": str,
    "crop": str | None,
    "history": HISTORY_SHAPE,  # empty within the first epoch
    "files?": {"*": str},
}
EPOCH_SHAPE = SHAPE | {"history": [*HISTORY_SHAPE, ...]}
RUN_SHAPE = {"settings": {"epochs": int}, "data": {"fingerprint": str, "labels?": [{"fingerprint": str}]}}
JUDGED = {"settings": {"validation": {"metric": str}}}
CHUNK = 64 << 20  # bytes read at once
_NAME = re.compile(r"checkpoint_epoch=(\d+)")


def checkpoint_name(epoch: int) -> str:
    return f"checkpoint_epoch={epoch:04d}"


def checkpoint_epoch(path: str) -> int:
    """The epoch of a checkpoint, from the path of its folder."""
    return int(_NAME.search(path)[1])


def score(row: dict, metric: str) -> float:
    """The value of `recall@k`, `map` or `mrr` in a row of the history; -1 where the epoch was not validated."""
    if metric.startswith("recall@"):
        return row.get("recall", {}).get(metric.removeprefix("recall@"), -1.0)
    return row.get(metric, -1.0)


def write_checkpoint(
    folder: str,
    network: "EmbeddingNetwork",
    state: dict,
    *,
    history: list[dict],
    run: dict,
    weights: "Mapping[str, torch.Tensor] | None" = None,
) -> str:
    """Fill a local folder with the network, the training state (tensors and plain values) and the history so far;
    returns the network's fingerprint. `weights`: a copy of the network's state dict, where it has changed since."""
    import torch

    from fashion.networks.files import save_network

    store = Store(folder)
    within = state.get("tally")  # of an epoch that is under way
    epoch = {"epoch": state["next_epoch"], "steps": within["steps"]} if within else {"epoch": history[-1]["epoch"]}
    about = epoch | {"seed": run["settings"]["seed"], "crop": run["settings"]["batch"]["crop"]}
    about |= {"data": run["data"], "versions": run["versions"]}
    digest = save_network(store, NETWORK, network, about, weights)
    torch.save(state, Path(folder) / TRAINING)
    about["files"] = {name: _digest(store, name) for name in (NETWORK, TRAINING)}
    store.write_json(CHECKPOINT, {"fingerprint": digest, "history": history, **about})
    return digest


def read_training_state(folder: str) -> tuple[dict, list[dict]]:
    """The training state and the history of a local checkpoint folder; nothing in it is executed. Raises InputError where
    it is damaged."""
    import torch

    found = Found(store=Store(folder), about=Store(folder).read_json(CHECKPOINT, SHAPE))
    if reason := found.damaged(TRAINING):
        raise InputError(
            f"{checkpoint_name(found.epoch)}/{reason}; take it from a copy, or begin another --run with "
            "network.pretrained set to this one"
        )
    try:
        return torch.load(Path(folder) / TRAINING, map_location="cpu", weights_only=True), found.history
    except (UnpicklingError, RuntimeError, EOFError) as fault:  # one that torch did not write
        raise InputError(
            f"{checkpoint_name(found.epoch)}/{TRAINING} holds no training state ({line_of(fault)}); take it from a copy"
        ) from None


def _digest(store: Store, name: str) -> str:
    """torch reads its own file without comparing its checksums. Raises FileNotFoundError."""
    digest = hashlib.blake2b(digest_size=8)
    with store.fs.open_input_stream(store.at(name)) as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Found:
    """A checkpoint in a run's folder."""

    store: Store
    about: dict  # checkpoint.json

    @property
    def name(self) -> str:
        """Of its folder in the run's."""
        return self.store.uri.rpartition("/")[2]

    @property
    def epoch(self) -> int:
        """The one that it was written after, or within."""
        return self.about["epoch"]

    @property
    def steps(self) -> int:
        """Of its epoch, where it was written within one; else 0."""
        return self.about.get("steps", 0)

    def damaged(self, *names: str) -> str | None:
        """The first of its files that is not what was written, in words; None where all are, as far as it says how they
        were: the first versions did not."""
        written = self.about.get("files") or {TRAINING: self.about.get("training")}
        for name in names:
            try:
                digest = _digest(self.store, name)
            except FileNotFoundError:
                return f"{name} of the run is damaged: it is not there"
            if digest != (written.get(name) or digest):
                return f"{name} of the run is damaged: it is not what was written"
        return None

    @property
    def history(self) -> list[dict]:
        return self.about["history"]

    def network(self) -> tuple["EmbeddingNetwork", dict]:
        from fashion.networks.files import load_network

        return load_network(self.store, NETWORK)


def checkpoints(run: Store) -> list[Found]:
    """All finished checkpoints of a run, oldest first. One that was not written to its end, or is damaged so that it cannot
    be told what it is, is none."""
    found = []
    names = set(run.names(recursive=True))
    for name in sorted(names):
        folder = name.removesuffix(f"/{CHECKPOINT}")
        if _NAME.match(name) and name != folder and f"{folder}/{NETWORK}" in names:
            with suppress(InputError):
                found.append(Found(store=run / folder, about=(run / folder).read_json(CHECKPOINT, EPOCH_SHAPE)))
    return found


def best_checkpoint(run: Store, metric: str | None = None, note: Callable[[str], None] = lambda line: None) -> Found:
    """The checkpoint to use, by validation `metric`, by default the one that the run was to be judged by: the newest,
    unless another's own epoch was better by more than chance (their 99 % intervals, Wilson, lie apart).

    The rate has come down to nothing at the newest, and the best of many noisy epochs is partly luck. On 24 photographed
    items it was worth 3 points on the test part. One whose network is damaged is left out, and `note` told so. Raises
    InputError where there is none."""
    if metric is None:
        metric = run.read_json(RUN, JUDGED)["settings"]["validation"]["metric"] if run.exists(RUN) else "recall@1"
    found, reason = checkpoints(run), None
    while found:
        chosen = _best(found, metric)
        reason = chosen.damaged(NETWORK)
        if not reason:
            return chosen
        found.remove(chosen)
        note(f"{run.uri}/{chosen.name}/{reason}; an earlier checkpoint is used")
    if reason:
        raise InputError(f"{run.uri}: {reason}, and no other checkpoint is whole; take it from a copy, or train again")
    raise InputError(f"{run.uri}: no checkpoint there; expected the folder of a training run (jobs/train.py --run)")


def _best(found: list[Found], metric: str) -> Found:
    newest = found[-1].history[-1]
    best = max(found, key=lambda c: (score(c.history[-1], metric), c.epoch))
    value, queries = score(newest, metric), newest.get("queries", 0)
    least = wilson(score(best.history[-1], metric) * queries, queries, z=2.576)[0] if queries else 1.0
    chance = queries and value >= 0 and least <= wilson(value * queries, queries, z=2.576)[1]
    return found[-1] if chance else best


def open_run(store: Store, run: dict) -> None:
    """Write what the run is, or check that the folder holds the very same run, but for its number of epochs, which is
    written there. Raises InputError otherwise."""
    if not store.exists(RUN):
        store.write_json(RUN, run)
        return
    held = store.read_json(RUN, RUN_SHAPE)
    epochs = {"epochs": run["settings"]["epochs"]}
    check_same(store, "a run", _fingerprints(held), _fingerprints(run), "choose another --run")
    advice = "use its settings, or choose another --run"
    check_same(store, "a run", held["settings"] | epochs, run["settings"], advice)
    if held["settings"]["epochs"] != epochs["epochs"]:
        store.write_json(RUN, held | {"settings": held["settings"] | epochs})


def _fingerprints(run: dict) -> dict:
    """Of its item table and of those of --labels."""
    data = run["data"]
    return {"data": data["fingerprint"], "labels": [table["fingerprint"] for table in data.get("labels", [])]}

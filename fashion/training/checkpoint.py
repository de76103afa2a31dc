"""A run's files, and the checkpoints in it.

run.json                     settings, data, seed, versions: what the run is
history.json                 one row an epoch
checkpoint_epoch=0007/       network.safetensors, training.pt, checkpoint.json
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fashion.errors import InputError
from fashion.identity import check_same
from fashion.retrieval.gate.statistics import wilson
from fashion.storage import Store

if TYPE_CHECKING:  # whoever looks for a run's files needs no torch
    from fashion.networks.model import EmbeddingNetwork

RUN, HISTORY, CHECKPOINT, NETWORK, TRAINING = (
    "run.json", "history.json", "checkpoint.json", "network.safetensors", "training.pt",
)  # fmt: skip
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


def write_checkpoint(folder: str, network: "EmbeddingNetwork", state: dict, *, history: list[dict], run: dict) -> str:
    """Fill a local folder with the network, the training state (tensors and plain values) and the history so far;
    returns the network's fingerprint."""
    import torch

    from fashion.networks.files import save_network

    store = Store(folder)
    about = {"epoch": history[-1]["epoch"], "seed": run["settings"]["seed"], "crop": run["settings"]["batch"]["crop"]}
    about |= {"data": run["data"], "versions": run["versions"]}
    digest = save_network(store, NETWORK, network, about)
    torch.save(state, Path(folder) / TRAINING)
    about["training"] = _digest(Path(folder) / TRAINING)
    store.write_json(CHECKPOINT, {"fingerprint": digest, "history": history, **about})
    return digest


def read_training_state(folder: str) -> tuple[dict, list[dict]]:
    """The training state and the history of a local checkpoint folder; nothing in it is executed. Raises InputError where
    it is damaged."""
    import torch

    about = json.loads((Path(folder) / CHECKPOINT).read_text())
    if "training" in about and _digest(Path(folder) / TRAINING) != about["training"]:  # older ones do not say
        raise InputError(
            f"{checkpoint_name(about['epoch'])}/{TRAINING} of the run is damaged: it is not what was written; take it "
            "from a copy, or begin another --run with network.pretrained set to this one"
        )
    return torch.load(Path(folder) / TRAINING, map_location="cpu", weights_only=True), about["history"]


def _digest(file: Path) -> str:
    """torch reads such a file without comparing its checksums."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=8)).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Found:
    """A checkpoint in a run's folder."""

    store: Store
    about: dict  # checkpoint.json

    @property
    def epoch(self) -> int:
        return self.about["epoch"]

    @property
    def history(self) -> list[dict]:
        return self.about["history"]

    def network(self) -> tuple["EmbeddingNetwork", dict]:
        from fashion.networks.files import load_network

        return load_network(self.store, NETWORK)


def checkpoints(run: Store) -> list[Found]:
    """All finished checkpoints of a run, oldest first."""
    found = []
    for name in run.names(recursive=True):
        if _NAME.match(name) and name.endswith(f"/{CHECKPOINT}"):
            folder = run / name.removesuffix(f"/{CHECKPOINT}")
            found.append(Found(store=folder, about=folder.read_json(CHECKPOINT)))
    return found


def best_checkpoint(run: Store, metric: str | None = None) -> Found:
    """The checkpoint to use, by validation `metric`, by default the one that the run was to be judged by: the newest,
    unless another's own epoch was better by more than chance (outside of the newest one's 99 % interval, Wilson).

    The rate has come down to nothing at the newest, and the best of many noisy epochs is partly luck. On 24 photographed
    items it was worth 3 points on the test part. Raises InputError where there is none."""
    if metric is None:
        metric = run.read_json(RUN)["settings"]["validation"]["metric"] if run.exists(RUN) else "recall@1"
    found = checkpoints(run)
    if not found:
        raise InputError(f"{run.uri}: no checkpoint there; expected the folder of a training run (jobs/train.py --run)")
    newest = found[-1].history[-1]
    best = max(found, key=lambda c: (score(c.history[-1], metric), c.epoch))
    value, queries = score(newest, metric), newest.get("queries", 0)
    chance = queries and value >= 0 and score(best.history[-1], metric) <= wilson(value * queries, queries, z=2.576)[1]
    return found[-1] if chance else best


def open_run(store: Store, run: dict) -> None:
    """Write what the run is, or check that the folder holds the very same run, but for its number of epochs, which is
    written there. Raises InputError otherwise."""
    if not store.exists(RUN):
        store.write_json(RUN, run)
        return
    held = store.read_json(RUN)
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

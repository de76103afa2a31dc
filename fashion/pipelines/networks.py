"""Which of a run's networks a job takes, and how it is used to embed."""

import logging
from typing import TYPE_CHECKING

from fashion.errors import InputError
from fashion.retrieval.settings import EmbedSettings
from fashion.storage import Store
from fashion.training.checkpoint import NETWORK, Checkpoint, best_checkpoint, checkpoints
from fashion.training.start import START

if TYPE_CHECKING:
    from fashion.retrieval.embedder import Embedder

log = logging.getLogger(__name__)


def best_network(run: Store) -> Checkpoint:
    """The run's best checkpoint by the metric that it was validated with. Raises InputError where there is none."""
    return best_checkpoint(run, note=lambda line: log.warning(f"note: {line}"))


def embedder_of(checkpoint: Checkpoint, settings: EmbedSettings, *, baselines: bool = False) -> "Embedder":
    """The checkpoint's network, shown pictures as in its training."""
    from fashion.retrieval.embedder import Embedder

    network, _ = checkpoint.network()
    run = Store(checkpoint.store.uri.rpartition("/")[0])
    used = {name: getattr(settings, name) for name in ("batch", "precision", "dtype")}
    return Embedder(
        folder=checkpoint.store,
        file=NETWORK,
        fingerprint=checkpoint.fingerprint,
        size=network.settings.side,
        crop=checkpoint.record.crop or "whole",
        transform=network.settings.transform,
        first=(run, START) if baselines and run.exists(START) else None,
        baselines=baselines,
        **used,
    )


def network_with(run: Store, fingerprint: str) -> Checkpoint:
    """The run's checkpoint whose network has this fingerprint. Raises InputError where it has no such one."""
    there = checkpoints(run)
    for checkpoint in there:
        if checkpoint.fingerprint == fingerprint:
            return checkpoint
    fingerprints = ", ".join(checkpoint.fingerprint for checkpoint in there) or "none"
    raise InputError(
        f"run: the catalogue was embedded by network {fingerprint}, {run.uri} has {fingerprints}; give the run that it was "
        "embedded with, or embed it again with jobs/embed.py"
    )

"""What a run does where its settings are left open: decided by the data and the network."""

from dataclasses import replace
from typing import Literal

from fashion.data.table import ItemTable
from fashion.errors import InputError
from fashion.networks.settings import RESNET10, NetworkSettings
from fashion.training.settings import TrainSettings

# Side of the training pictures over network.size: for published weights, and for resnet10, whose sides halve evenly.
TRAINED_AT, NARROW_AT, NARROW_SIDE = 0.75, 0.8, 16
# Epochs and steps that a run has at least whose epochs are not set, from weights that know something and from random ones.
TUNED, FROM_RANDOM = (12, 160), (30, 1000)
JUDGED = 50  # times that a run is validated at most: on a small table a hundred short epochs spend a tenth of it there


def settle(settings: TrainSettings, table: ItemTable, steps: int) -> TrainSettings:
    """The settings with what was left open decided by the data: the loss's comparison across domains, the crop, and the
    epochs, of so many `steps` each, and which of them are validated."""
    domains = table.manifest.domains
    wanted = settings.loss.domains or ("cross" if len(domains) > 1 else "any")
    if wanted == "cross" and len(domains) < 2:
        raise InputError(
            f"loss.domains: found cross, and the data has {domains[0]} photos only; set any, or leave it out"
        )
    epochs = settings.epochs or usual_epochs(steps, settings.network)
    return replace(
        settings,
        loss=replace(settings.loss, domains=wanted),
        batch=replace(settings.batch, crop=settings.batch.crop or usual_crop(table)),
        validation=replace(settings.validation, every=settings.validation.every or -(-epochs // JUDGED)),
        epochs=epochs,
    )


def usual_crop(table: ItemTable) -> Literal["whole", "box"]:
    """box where at least half of the training pictures have one that they are not cut to already."""
    counts = table.manifest.labels["train"]
    whole = table.manifest.used.crop or 2 * counts.boxes < counts.images
    return "whole" if whole else "box"


def usual_epochs(steps: int, network: NetworkSettings) -> int:
    """Epochs of `steps` each where none are asked for."""
    least_epochs, least_steps = TUNED if network.pretrained else FROM_RANDOM
    return max(least_epochs, -(-least_steps // steps))


def training_size(settings: TrainSettings) -> int:
    """Side of the training pictures, in pixels. Raises InputError for one that the network cannot take."""
    network, wanted = settings.network, settings.batch.size
    size = wanted or _usual_size(network)
    if size == network.side or _takes(network, size):
        return size
    if wanted:
        raise InputError(
            f"batch.size: found {wanted}, but {network.name} takes pictures of network.size ({network.size}) alone; leave "
            "it out, or set that"
        )
    return network.side


def _usual_size(network: NetworkSettings) -> int:
    if network.published:
        return round(TRAINED_AT * network.side)
    if network.name == RESNET10:
        return min(network.side, max(1, round(NARROW_AT * network.side / NARROW_SIDE)) * NARROW_SIDE)
    return network.side


def _takes(network: NetworkSettings, size: int) -> bool:
    if replace(network, size=size).certain:
        return True
    from fashion.networks.check import takes_size

    return takes_size(network, size)

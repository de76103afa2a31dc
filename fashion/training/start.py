"""What a run's network starts from: found, fetched and checked once, before Ray starts and any worker does."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from fashion.errors import InputError
from fashion.networks.settings import WEIGHTS_FILE, NetworkSettings
from fashion.networks.shipped import SIDE, TRANSFORM, checked, shipped_file
from fashion.networks.transform import Transform, usual
from fashion.storage import Store
from fashion.training.checkpoint import NETWORK, best_checkpoint
from fashion.training.run_record import RUN, read_run

if TYPE_CHECKING:  # where the seed decides all, torch is not needed
    import torch

    from fashion.networks.model import Network
    from fashion.vocabulary import Vocabulary

START = "start.safetensors"  # a run's copy of its network before the first step, where that is more than a seed


@dataclass(frozen=True, kw_only=True)
class Start:
    """`settings`, with the transform that the weights expect, and the weights: a backbone's, or a network of ours. None
    of either where the seed decides all, the run has its own copy already, or each worker has the package's file."""

    settings: NetworkSettings
    weights: "Mapping[str, torch.Tensor] | None" = None
    other: "Network | None" = None
    said: str | None = None  # what is taken from where

    @property
    def fetched(self) -> bool:
        """Whether it has weights that only this process has."""
        return self.weights is not None or self.other is not None

    def network(self, *, seed: int, vocabulary: "Vocabulary | None" = None) -> "Network":
        """The first network. Raises InputError where the weights do not fit."""
        from fashion.networks.model import build_network, new_network

        if not self.fetched:
            return build_network(self.settings, seed=seed, vocabulary=vocabulary)
        network = new_network(self.settings, self.weights, seed=seed, vocabulary=vocabulary)
        if self.other is not None:
            from fashion.networks.takeover import take_over

            take_over(network, self.other)
        return network


def find_start(settings: NetworkSettings, run: Store | None = None) -> Start:
    """What the settings' network starts from; all of it is checked. A `run` that has begun has its own copy, and asks
    for nothing a second time. Raises InputError."""
    if settings.pretrained is None:
        return Start(settings=settings)
    if run is not None and (record := read_run(run)):
        settings = settings.showing(_transform_of(record.used.network, settings.name))
        if run.exists(START):
            return Start(settings=settings)
    try:
        return _found(settings)
    except InputError:
        raise
    except OSError as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"network.pretrained: {settings.pretrained} could not be read: {reason}") from None


def _transform_of(network: Mapping[str, Any], name: str) -> Transform:
    """What a run with these settings shows its network; one of before networks carried a transform shows the usual."""
    return replace(usual(name), **{key: value for key, value in network.items() if key in asdict(usual(name))})


def _found(settings: NetworkSettings) -> Start:
    if settings.certain and (file := shipped_file(settings.name)):
        checked(file)
        return Start(settings=settings.showing(TRANSFORM), said=_said(settings, SIDE))
    from fashion.networks.files import is_network, read_network
    from fashion.networks.model import new_network

    where = settings.pretrained or ""
    store, name = (None, "") if settings.published else _file(where)
    if store and store.exists(name) and is_network(data := store.read(name)):
        from fashion.networks.takeover import take_over

        other, _ = read_network(data, f"{store.uri}/{name}")
        settings = settings.showing(other.settings.transform)
        taken = take_over(new_network(settings, None, seed=0, vocabulary=other.vocabulary), other)
        return Start(settings=settings, other=other, said=f"{taken} from {store.uri}/{name}")
    from fashion.networks.pretrained import read_weights
    from fashion.networks.records import recorded

    transform, side = recorded(settings)
    weights = read_weights(settings)
    start = Start(settings=settings.showing(transform), weights=weights, said=_said(settings, side))
    start.network(seed=0)
    return start


def _said(settings: NetworkSettings, side: int | None) -> str:
    return f"backbone from {settings.pretrained}" + (f", trained at {side} pixels" if side else "")


def _file(where: str) -> tuple[Store, str]:
    """The folder and the name of the file that `where` names; of a run's folder, its best network."""
    if where.endswith(WEIGHTS_FILE):
        folder, _, name = where.rpartition("/")
        return Store(folder or "."), name
    store = Store(where)
    if store.exists(NETWORK):
        return store, NETWORK
    if store.exists(RUN):
        return best_checkpoint(store).store, NETWORK
    raise InputError(
        f"network.pretrained: {where}: no run, checkpoint or {WEIGHTS_FILE} file there; expected the folder of a training "
        f"run (with {RUN}), of one of its checkpoints (with {NETWORK}), or a {WEIGHTS_FILE} file"
    )

"""Settings of a training run changed by name: `loss.margin` -> 0.3."""

from dataclasses import is_dataclass, replace
from functools import cache
from operator import attrgetter
from typing import Any, Literal, get_args, get_origin

from fashion.errors import InputError
from fashion.networks.settings import AUTO, NetworkSettings
from fashion.setting_types import expected, options, suggestion, types_of
from fashion.training.settings import TrainSettings

Values = dict[str, Any]


@cache
def setting_types() -> dict[str, Any]:
    """Every setting of a training run by its dotted name, with its type."""
    return {name: kind for name, kind in types_of(TrainSettings).items() if not is_dataclass(kind)}


def check_name(name: str) -> None:
    """Raise InputError where no setting of a training run has this name."""
    known = setting_types()
    if name in known:
        return
    hint = suggestion(name, known, "jobs/train.py --help lists the settings")
    raise InputError(f"space.{name}: train.py has no such setting; {hint}")


def convert(name: str, value: Any) -> Any:
    """The value as the setting's type. Raises InputError where it is of another one."""
    kind = setting_types()[name]
    for option in options(kind):
        accepted, converted = _as(option, value)
        if accepted:
            return converted
    raise InputError(f"space.{name}: found {value!r}, expected {expected(kind)}")


def _as(kind: Any, value: Any) -> tuple[bool, Any]:
    if get_origin(kind) is Literal:
        return value in get_args(kind), value
    if kind is type(None):
        return value is None, value
    if isinstance(value, bool) or kind is bool:
        return kind is bool and isinstance(value, bool), value
    if kind is float:
        if isinstance(value, str):  # YAML reads 1e-4, without a point, as text
            try:
                return True, float(value)
            except ValueError:
                return False, value
        return isinstance(value, int | float), float(value) if isinstance(value, int | float) else value
    if kind is int:
        whole = isinstance(value, int) or (isinstance(value, float) and value == int(value))
        return whole, int(value) if whole else value
    return isinstance(value, kind), value


def written(value: Any) -> str:
    """A setting's value as people write it."""
    return f"{value:.4g}" if isinstance(value, float) else "none" if value is None else str(value)


def override(base: TrainSettings, values: Values) -> TrainSettings:
    """`base` with the named settings changed, all at once. What `base` has as its network has it by default is, for another
    network, as that one has it. Raises InputError where the result is no valid run."""
    if values.get("network.name", base.network.name) != base.network.name:
        values = _left_open(base) | values
    tree: dict = {}
    for name, value in values.items():
        *groups, leaf = name.split(".")
        place = tree
        for group in groups:
            place = place.setdefault(group, {})
        place[leaf] = value
    return _replace(base, tree)


def _left_open(base: TrainSettings) -> Values:
    """Of the settings whose default depends on the network: those that are as the default has it."""
    default = TrainSettings(network=NetworkSettings(name=base.network.name))
    follow = {"network.size": None, "network.pretrained": AUTO, "optimizer.learning_rate": None}
    return {name: value for name, value in follow.items() if attrgetter(name)(base) == attrgetter(name)(default)}


def _replace(settings: Any, tree: dict) -> Any:
    changed = {
        name: _replace(getattr(settings, name), value) if is_dataclass(getattr(settings, name)) else value
        for name, value in tree.items()
    }
    return replace(settings, **changed)

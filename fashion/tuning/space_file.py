"""A search space as a sweep's YAML has it.

loss.name: {choice: [triplet, improved-triplet]}
loss.margin: {loguniform: [0.05, 1.0]}
loss.bound: {uniform: [0.01, {below: loss.margin}], when: {loss.name: improved-triplet}}
network.dimension: {integers: [32, 256]}
"""

from typing import Any

from fashion.errors import InputError
from fashion.tuning.domains import Choice, Domain, Range, RangeBelow
from fashion.tuning.overrides import check_name, convert
from fashion.tuning.space import Dimension, Space

KINDS = ("choice", "uniform", "loguniform", "integers")


def parse_space(raw: dict) -> Space:
    """The space of a YAML mapping. Raises InputError for an unknown setting, a malformed range or a circle."""
    if not isinstance(raw, dict) or not raw:
        raise InputError("space: empty; expected train.py's settings and what to search, as in jobs/configs/sweep.yaml")
    return Space(tuple(_ordered([_dimension(str(name), spec) for name, spec in raw.items()])))


def _dimension(name: str, spec: Any) -> Dimension:
    check_name(name)
    where = f"space.{name}"
    kinds = [key for key in spec if key != "when"] if isinstance(spec, dict) else []
    if len(kinds) != 1 or kinds[0] not in KINDS:
        raise InputError(f"{where}: found {spec!r}, expected one of {', '.join(KINDS)}, such as {{choice: [1, 2]}}")
    kind, value = kinds[0], spec[kinds[0]]
    if not isinstance(value, list) or not value:
        raise InputError(f"{where}: found {kind} {value!r}, expected a list")
    domain: Domain = _choice(name, value) if kind == "choice" else _range(name, kind, value)
    return Dimension(name=name, domain=domain, when=_conditions(name, spec.get("when", {})))


def _choice(name: str, value: list) -> Choice:
    values = tuple(convert(name, v) for v in value)
    if len(set(values)) != len(values):
        raise InputError(f"space.{name}: found a value twice in {value}, expected each once")
    return Choice(values)


def _range(name: str, kind: str, value: list) -> Range | RangeBelow:
    where, whole = f"space.{name}", kind == "integers"
    if len(value) != 2:
        raise InputError(f"{where}: found {kind} {value}, expected two ends, [lowest, highest]")
    low, high, below = convert(name, value[0]), value[1], None
    if isinstance(high, dict):
        if set(high) != {"below"} or whole:
            raise InputError(f"{where}: found {high}, expected a number, or {{below: SETTING}} for uniform, loguniform")
        below = str(high["below"])
    else:
        high = convert(name, high)
    for end in (low,) if below else (low, high):
        if isinstance(end, bool) or not isinstance(end, int | float):
            raise InputError(f"{where}: found {end!r} in {kind}, expected a number; use choice for other values")
    if not below and not low < high:
        raise InputError(f"{where}: found {kind} {value}, expected the lower end first, below the upper one")
    if kind == "loguniform" and not low > 0:
        raise InputError(f"{where}: found loguniform from {low:g}, expected an end above 0; use uniform")
    if not whole and isinstance(convert(name, low), int):
        raise InputError(f"{where}: found {kind} of a setting of whole numbers, expected integers or choice")
    log = kind == "loguniform"
    return RangeBelow(low, below, log=log) if below else Range(low, high, log=log, whole=whole)


def _conditions(name: str, raw: Any) -> tuple[tuple[str, tuple], ...]:
    if not isinstance(raw, dict):
        raise InputError(f"space.{name}: found when {raw!r}, expected {{SETTING: value}} or {{SETTING: [values]}}")
    conditions = []
    for other, wanted in raw.items():
        check_name(str(other))
        values = wanted if isinstance(wanted, list) else [wanted]
        conditions.append((str(other), tuple(convert(other, value) for value in values)))
    return tuple(conditions)


def _ordered(dimensions: list[Dimension]) -> list[Dimension]:
    """Each after what it needs, otherwise in the order given."""
    names = {d.name: d for d in dimensions}
    for d in dimensions:
        for other in sorted(d.needs):
            if other not in names:
                raise InputError(f"space.{d.name}: refers to {other}, which is not searched; search it, or drop this")
        for other, wanted in d.when:
            domain = names[other].domain
            if isinstance(domain, Choice) and not set(wanted) <= set(domain.values):
                missing = sorted(map(str, set(wanted) - set(domain.values)))
                raise InputError(f"space.{d.name}: when {other} is {', '.join(missing)}, which is none of its choices")
    done: list[Dimension] = []
    left = list(dimensions)
    while left:
        ready = next((d for d in left if d.needs <= {e.name for e in done}), None)
        if ready is None:
            raise InputError(f"space.{left[0].name}: refers to itself, through {', '.join(sorted(left[0].needs))}")
        done.append(ready)
        left.remove(ready)
    return done

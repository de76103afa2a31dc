"""The names of torchvision's networks and of their published weights, read from its source: importing it takes three
seconds, and a wrong setting is to be told at once."""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_NETWORK = re.compile(r"^@register_model\(\)$.*?^def (\w+)\(.*?\bweights: (?:Optional\[)?(\w+)", re.M | re.S)
_WEIGHTS = re.compile(r"^class (\w+)\(WeightsEnum\):$(.*?)^(?=\S)", re.M | re.S)
_MEMBER = re.compile(r"^    (\w+) = ", re.M)


@cache
def torchvision_weights() -> dict[str, tuple[str, ...]]:
    """Every classification network -> the names of its weights."""
    networks: dict[str, tuple[str, ...]] = {}
    package = find_spec("torchvision")
    for folder in (package and package.submodule_search_locations) or ():
        for file in sorted(Path(folder, "models").glob("*.py")):
            text = file.read_text(encoding="utf-8")
            weights = {name: tuple(_MEMBER.findall(body)) for name, body in _WEIGHTS.findall(text)}
            networks |= {name: weights[of] for name, of in _NETWORK.findall(text)}
    return networks

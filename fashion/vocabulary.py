"""The names that a network with label heads predicts: which output is which category, and which attribute."""

import json
from dataclasses import asdict, dataclass

from fashion.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Category c is `categories[c]`, attribute a is `attributes[a]`. Part of a network's identity, as its weights are."""

    categories: tuple[str, ...]
    attributes: tuple[str, ...]

    def __post_init__(self) -> None:
        for field in ("categories", "attributes"):
            names = getattr(self, field)
            if len(set(names)) != len(names):
                twice = sorted({name for name in names if names.count(name) > 1})
                raise InputError(f"vocabulary: {field} named twice: {', '.join(twice[:3])}; expected each name once")

    def to_json(self) -> str:
        """The same text for the same names in the same order."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Vocabulary":
        names = json.loads(text)
        return cls(categories=tuple(names["categories"]), attributes=tuple(names["attributes"]))

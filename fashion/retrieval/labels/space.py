"""Which names compete: those that both the network and the item table know."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fashion.data.table_manifest import TableManifest
from fashion.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The outputs of one kind that compete on a table: columns of the network's scores, and their names.

    `judged` is False where network and table have no name in common: all outputs compete then, and none is right or
    wrong.
    """

    columns: np.ndarray  # ascending
    names: tuple[str, ...]
    judged: bool

    @classmethod
    def of(cls, outputs: Sequence[str], listed: Sequence[str]) -> "Choices":
        """`outputs`: the network's names in their order; `listed`: the table's."""
        known = set(outputs).intersection(listed)
        columns = [i for i, name in enumerate(outputs) if name in known or not known]
        return cls(columns=np.array(columns, np.int64), names=tuple(outputs[i] for i in columns), judged=bool(known))

    @cached_property
    def place(self) -> dict[str, int]:
        """Name -> its place among those that compete."""
        return {name: i for i, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, kw_only=True)
class LabelSpace:
    """What a network is asked on an item table. Published numbers rank all names of the benchmark's lists; where a
    network has learned from several tables, the other tables' names take no place."""

    categories: Choices
    attributes: Choices
    types: dict[str, str]  # attribute -> type, of the attributes that compete and have one

    @classmethod
    def of(cls, vocabulary: Vocabulary, manifest: TableManifest) -> "LabelSpace":
        """`manifest`: the item table's."""
        attributes = Choices.of(vocabulary.attributes, manifest.attributes)
        types = manifest.attribute_types
        return cls(
            categories=Choices.of(vocabulary.categories, manifest.categories),
            attributes=attributes,
            types={name: types[name] for name in attributes.names if name in types},
        )

    @cached_property
    def type_names(self) -> tuple[str, ...]:
        """The types, each once, in the order of the table's list."""
        return tuple(dict.fromkeys(self.types.values()))

    @cached_property
    def type_of(self) -> np.ndarray:
        """(A,) the number in `type_names` of each competing attribute's type; -1 for none."""
        numbers = {name: i for i, name in enumerate(self.type_names)}
        return np.array(
            [numbers[self.types[name]] if name in self.types else -1 for name in self.attributes.names], np.int64
        )

    @cached_property
    def key(self) -> bytes:
        """Equal for equal spaces."""
        competing = [
            self.categories.names,
            self.categories.judged,
            self.attributes.names,
            self.attributes.judged,
            self.types,
        ]
        return hashlib.blake2b(json.dumps(competing).encode(), digest_size=16).digest()

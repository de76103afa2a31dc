"""The labels of pictures as arrays: category, attributes and landmarks, in the order of a vocabulary's names.

What is not annotated is told apart from what is absent: an attribute that a table does not list is unknown for each of
its pictures, and so is every attribute of a picture without the annotation.
"""

from collections.abc import Sequence

import numpy as np

from fashion.data.boxes import shown_part
from fashion.data.table import ItemTable
from fashion.domain import CUT_OFF, LABELS, LANDMARKS, NOT_ANNOTATED
from fashion.vocabulary import Vocabulary

UNKNOWN = -1  # a category


def vocabulary_of(*tables: ItemTable) -> Vocabulary:
    """All names of the tables, sorted."""
    return Vocabulary(
        **{
            kind: tuple(sorted({name for table in tables for name in getattr(table.manifest, kind)}))
            for kind in ("categories", "attributes")
        }
    )


def count_attributes(vocabulary: Vocabulary, *tables: ItemTable) -> tuple[np.ndarray, np.ndarray]:
    """(A,) train pictures that have each attribute, and (A,) of how many this is known."""
    positives, pictures = np.zeros((2, len(vocabulary.attributes)), np.int64)
    place = {name: a for a, name in enumerate(vocabulary.attributes)}
    for table in tables:
        annotated = table.manifest.labels["train"].attributes
        for name, count in table.manifest.attribute_counts.items():
            positives[place[name]] += count
            pictures[place[name]] += annotated
    return positives, pictures


class Labeller:
    """Annotations of one table's pictures -> arrays."""

    def __init__(self, vocabulary: Vocabulary, table: ItemTable, crop: str):
        self.vocabulary, self.crop = vocabulary, crop
        self.category = {name: c for c, name in enumerate(vocabulary.categories)}
        self.attribute = {name: a for a, name in enumerate(vocabulary.attributes)}
        self.listed_A = np.isin(vocabulary.attributes, table.manifest.attributes)

    @property
    def columns(self) -> list[str]:
        """The columns of the item table that are read."""
        return [*LABELS, "width", "height", *(["box"] if self.crop == "box" else [])]

    def blank(self, *shape: int) -> dict[str, np.ndarray]:
        """Arrays for pictures of which nothing is known: `category` (...) int64, `attributes` and `attributes_known`
        (..., A) uint8 (left out where there are no names: Arrow has no empty tensors), `landmarks` (..., 8, 3) float32:
        visibility, x, y as fractions of what is decoded."""
        landmarks = np.zeros((*shape, len(LANDMARKS), 3), np.float32)
        landmarks[..., 0] = NOT_ANNOTATED
        arrays: dict[str, np.ndarray] = {"category": np.full(shape, UNKNOWN, np.int64), "landmarks": landmarks}
        if A := len(self.vocabulary.attributes):
            arrays |= {name: np.zeros((*shape, A), np.uint8) for name in ("attributes", "attributes_known")}
        return arrays

    def put(self, arrays: dict[str, np.ndarray], at: tuple[int, ...], columns: dict[str, list], row: int) -> None:
        """The labels of row `row` of `columns` into `blank` arrays, at index `at`."""
        if (category := columns["category"][row]) is not None:
            arrays["category"][at] = self.category[category]
        if self.attribute and (present := columns["attributes"][row]) is not None:
            arrays["attributes_known"][at] = self.listed_A
            arrays["attributes"][at][[self.attribute[name] for name in present]] = 1
        if (landmarks := columns["landmarks"][row]) is not None:
            size = columns["width"][row], columns["height"][row]
            box = columns["box"][row] if self.crop == "box" else None
            arrays["landmarks"][at] = as_shown(landmarks, box, *size)


def as_shown(landmarks: Sequence[float], box: Sequence[int] | None, width: int, height: int) -> np.ndarray:
    """24 numbers of an item table -> (8, 3): x and y as fractions of the picture, or of its box where one is given, as
    `decode` shows it. What lies outside is cut off."""
    x0, y0, x1, y1 = shown_part(box, width, height)
    points_83 = np.array(landmarks, np.float32).reshape(-1, 3)
    points_83[:, 1:] = (points_83[:, 1:] - (x0, y0)) / (x1 - x0, y1 - y0)
    outside = ((points_83[:, 1:] < 0) | (points_83[:, 1:] >= 1)).any(1)
    points_83[(points_83[:, 0] >= 0) & outside, 0] = CUT_OFF
    return points_83

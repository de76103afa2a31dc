"""What is stored of a network's labels beside each embedding: the best names, and how the true ones rank.

A handful of numbers an image: nothing grows with the number of attributes but for the category's scores, a vector of
the network's categories that a search can use.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from fashion.domain import LANDMARKS, UNUSED
from fashion.retrieval.labels.landmarks import as_fractions, errors, estimated, in_picture
from fashion.retrieval.labels.ranks import best_first, ranks, ranks_within
from fashion.retrieval.labels.space import Choices, LabelSpace
from fashion.retrieval.labels.truth import Truth

CATEGORY_SCORES = "category_scores"
"""The column of square roots of the categories' probabilities: a vector of length 1."""

BEST = 5  # names that are kept

SCHEMA = pa.schema(
    [
        # The best names of those that compete (see LabelSpace), the most likely first.
        pa.field("category_top", pa.list_(pa.string())),
        pa.field("attribute_top", pa.list_(pa.string())),
        # Rank of the true category, from 1; 0 where the network does not know it; null where there is none to judge by.
        pa.field("category_rank", pa.int32()),
        # The true attributes, and their ranks among all and among those of their type: 0 and null as above.
        pa.field("attributes_true", pa.list_(pa.string())),
        pa.field("attribute_ranks", pa.list_(pa.int32())),
        pa.field("attribute_type_ranks", pa.list_(pa.int32())),
        # 8 x (visibility, x, y): x and y as fractions of the picture, visibility as annotated (-1: no such landmark).
        pa.field("landmarks_predicted", pa.list_(pa.float32())),
        pa.field("landmarks_true", pa.list_(pa.float32())),
        # 8 distances as fractions of what the network was shown; null where not annotated as visible.
        pa.field("landmark_errors", pa.list_(pa.float32())),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """A network's outputs for N pictures, as `fashion.networks.outputs` defines them."""

    category_NC: np.ndarray
    attribute_NA: np.ndarray
    landmarks_N82: np.ndarray
    visibility_N84: np.ndarray


class LabelRows:
    """Rows of SCHEMA as they are computed, a run of places at a time."""

    def __init__(self) -> None:
        self.places: list[int] = []
        self.tables: list[pa.Table] = [SCHEMA.empty_table()]

    def add(self, places: list[int], rows: pa.Table) -> None:
        self.places += places
        self.tables.append(rows)

    def beside(self, images: pa.Table) -> pa.Table:
        """`images` with these columns; its rows are those at the places that were added, in order."""
        rows = pa.concat_tables(self.tables).take(pa.array(np.argsort(self.places, kind="stable")))
        return pa.Table.from_arrays([*images.columns, *rows.columns], [*images.column_names, *rows.column_names])


def category_scores(category_NC: np.ndarray) -> np.ndarray:
    """Logits -> (N, C) float32 of unit length: square roots of the softmax, whose inner product is the Bhattacharyya
    coefficient of two pictures' categories, from 0 to 1."""
    x_NC = category_NC.astype(np.float64)
    p_NC = np.exp(x_NC - x_NC.max(1, keepdims=True))
    return np.sqrt(p_NC / p_NC.sum(1, keepdims=True)).astype(np.float32)


def label_columns(predictions: Predictions, truths: list[Truth], space: LabelSpace) -> pa.Table:
    """N rows of SCHEMA."""
    c_NC, a_NA = (
        predictions.category_NC[:, space.categories.columns],
        predictions.attribute_NA[:, space.attributes.columns],
    )
    category_ranks = _true_ranks([t.category for t in truths], ranks(c_NC), space.categories)
    attributes = [list(dict.fromkeys(t.attributes)) if t.attributes is not None else None for t in truths]
    within_NA = ranks_within(a_NA, space.type_of)
    columns = {
        "category_top": _best(c_NC, space.categories),
        "attribute_top": _best(a_NA, space.attributes),
        "category_rank": category_ranks,
        "attributes_true": attributes if space.attributes.judged else [None] * len(truths),
        "attribute_ranks": _lists_of_ranks(attributes, ranks(a_NA), space.attributes),
        "attribute_type_ranks": _lists_of_ranks(attributes, within_NA, space.attributes),
        **_landmark_columns(predictions, truths),
    }
    return pa.table(columns, schema=SCHEMA)


def _best(scores_NL: np.ndarray, choices: Choices) -> list[list[str]]:
    return [[choices.names[i] for i in row] for row in best_first(scores_NL)[:, :BEST].tolist()]


def _true_ranks(names: list[str | None], ranks_NL: np.ndarray, choices: Choices) -> list[int | None]:
    if not choices.judged:
        return [None] * len(names)
    return [_rank(name, row, choices) if name is not None else None for name, row in zip(names, ranks_NL, strict=True)]


def _lists_of_ranks(names: list[list[str] | None], ranks_NL: np.ndarray, choices: Choices) -> list[list[int] | None]:
    if not choices.judged:
        return [None] * len(names)
    return [
        [_rank(name, row, choices) for name in of_image] if of_image is not None else None
        for of_image, row in zip(names, ranks_NL, strict=True)
    ]


def _rank(name: str, ranks_L: np.ndarray, choices: Choices) -> int:
    return int(ranks_L[choices.place[name]]) if name in choices.place else 0


def _landmark_columns(predictions: Predictions, truths: list[Truth]) -> dict[str, pa.Array | list]:
    parts_N4, sizes_N2 = (np.array([getattr(t, name) for t in truths], np.float64) for name in ("part", "size"))
    known = [t.landmarks is not None for t in truths]
    nothing = [UNUSED, 0, 0] * len(LANDMARKS)
    true_N83 = np.array([t.landmarks or nothing for t in truths], np.float64).reshape(-1, len(LANDMARKS), 3)
    true_N83 = as_fractions(true_N83, parts_N4)
    estimated_N83 = estimated(predictions.landmarks_N82, predictions.visibility_N84)
    error_N8 = errors(estimated_N83, true_N83).tolist()
    annotated = in_picture(true_N83, parts_N4, sizes_N2).reshape(len(truths), -1).tolist()
    return {
        "landmarks_predicted": in_picture(estimated_N83, parts_N4, sizes_N2).reshape(len(truths), -1).tolist(),
        "landmarks_true": [row if some else None for row, some in zip(annotated, known, strict=True)],
        "landmark_errors": [
            [None if value != value else value for value in row] if some else None
            for row, some in zip(error_N8, known, strict=True)
        ],
    }

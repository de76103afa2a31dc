"""Made-up outputs and annotations, and the plainest judgement of them to hold against."""

import math

import numpy as np

from fashion.data.formats.deepfashion import spread
from fashion.domain import SLOTS
from fashion.retrieval.labels.columns import Predictions
from fashion.retrieval.labels.space import LabelSpace
from fashion.retrieval.labels.truth import Truth
from fashion.vocabulary import Vocabulary
from tests.catalogues import table_manifest

NAMES = [f"attribute {i:02}" for i in range(23)]
TYPES = {name: ("texture", "shape", "style")[i % 3] for i, name in enumerate(NAMES[:-2])}  # two have no type
CATEGORIES = ["Anorak", "Blouse", "Cutoffs", "Dress", "Jeans", "Kimono", "Tee"]
# Of the network: not in the table's order, with names of another table, and without one of this table's.
VOCABULARY = Vocabulary(
    categories=("Tee", "WOMEN/Tees", *CATEGORIES[:5]), attributes=("elsewhere", *NAMES[:0:-1], "of another table")
)
MANIFEST = table_manifest(categories=CATEGORIES, attributes=NAMES, attribute_types=TYPES)
SPACE = LabelSpace.of(VOCABULARY, MANIFEST)


def predictions(rng: np.random.Generator, n: int, *, coarse: bool, vocabulary: Vocabulary = VOCABULARY) -> Predictions:
    """`coarse`: few different scores, so that many tie."""

    def scores(*shape):
        return (rng.integers(-1, 2, shape) if coarse else rng.normal(size=shape)).astype(np.float32)

    return Predictions(
        category_NC=scores(n, len(vocabulary.categories)),
        attribute_NA=scores(n, len(vocabulary.attributes)),
        landmarks_N82=rng.normal(0.5, 0.3, (n, 8, 2)).astype(np.float32),
        visibility_N84=scores(n, 8, 4),
    )


def truths(rng: np.random.Generator, n: int) -> list[Truth]:
    """Each kind of label is missing here and there; an empty list of attributes is none that is missing."""
    found = []
    for i in range(n):
        width, height = int(rng.integers(60, 200)), int(rng.integers(60, 200))
        part = (0, 0, width, height) if i % 2 else (5, 7, width - 9, height - 4)
        slots = SLOTS[int(rng.integers(1, 4))]
        marks = [int(rng.integers(high)) for _ in slots for high in (3, width, height)]
        found.append(
            Truth(
                category=None if rng.random() < 0.2 else CATEGORIES[rng.integers(len(CATEGORIES))],
                attributes=None if rng.random() < 0.2 else [NAMES[a] for a in np.flatnonzero(rng.random(23) < 0.15)],
                landmarks=None if rng.random() < 0.2 else spread(marks, slots),
                part=part,
                size=(width, height),
            )
        )
    return found


def rank_of(name: str, scores: dict[str, float], order: list[str]) -> int:
    """1 + the greater scores + the equal ones that come earlier in `order`; 0 for a name that is not there."""
    if name not in order:
        return 0
    at = order.index(name)
    return 1 + sum(scores[o] > scores[name] or (scores[o] == scores[name] and i < at) for i, o in enumerate(order))


def judged_plainly(found: Predictions, held: list[Truth]) -> dict:
    """(rank of the category or None, {attribute: (rank, rank in its type)} or None, errors, visibility) an image."""
    rows = []
    for n, truth in enumerate(held):
        category = dict(zip(VOCABULARY.categories, found.category_NC[n].tolist(), strict=True))
        attribute = dict(zip(VOCABULARY.attributes, found.attribute_NA[n].tolist(), strict=True))
        competing = [name for name in VOCABULARY.categories if name in CATEGORIES]
        names = [name for name in VOCABULARY.attributes if name in NAMES]
        row = {"category": None, "attributes": None, "errors": None, "seen": None}
        if truth.category is not None:
            row["category"] = rank_of(truth.category, category, competing)
        if truth.attributes is not None:
            row["attributes"] = {}
            for name in truth.attributes:
                own = [other for other in names if name in TYPES and TYPES.get(other) == TYPES[name]]
                row["attributes"][name] = rank_of(name, attribute, names), rank_of(name, attribute, own)
        if truth.landmarks is not None:
            x1, y1, x2, y2 = truth.part
            row["errors"], row["seen"] = [], []
            for slot in range(8):
                visibility, x, y = truth.landmarks[3 * slot : 3 * slot + 3]
                px, py = found.landmarks_N82[n, slot].tolist()
                error = math.hypot((x - x1) / (x2 - x1) - px, (y - y1) / (y2 - y1) - py) if visibility == 0 else None
                row["errors"].append(error)
                guess = [0, 1, 2, -1][int(found.visibility_N84[n, slot].argmax())]
                row["seen"].append((visibility, guess))
        rows.append(row)
    return rows

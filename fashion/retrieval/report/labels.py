"""What the report says of labels: the numbers by type, landmark and category, and pictures with what is predicted."""

from collections.abc import Iterable, Mapping

import numpy as np

from fashion.domain import LANDMARKS, VISIBLE
from fashion.retrieval.labels.examples import DRAWN, FAR, WRONG, Examples
from fashion.retrieval.labels.measures import FREQUENT
from fashion.retrieval.labels.numbers import LabelNumbers
from fashion.retrieval.labels.published import FASHIONNET
from fashion.retrieval.labels.text import COMPARABLE, NOT_COMPARABLE, counted, label_systems
from fashion.retrieval.metrics_record import Metrics
from fashion.retrieval.report.data import Guess, LabelledPicture, Mark

SHOWN_CATEGORIES = 24
TITLES = {
    DRAWN: ("Drawn at random", "from all images with labels"),
    WRONG: ("Category wrong", "drawn from those whose best category is not the annotated one"),
    FAR: ("Landmarks furthest off", "the largest mean errors of all images"),
}


def label_examples(groups: Examples) -> dict[str, list[LabelledPicture]]:
    """The pictures of each group that has any."""
    return {name: [_picture(row) for row in rows.to_pylist()] for name, rows in groups.items() if len(rows)}


def labels_section(metrics: Metrics, labelled: Mapping[str, Iterable[LabelledPicture]]) -> dict | None:
    """What the section prints; None where the network predicts no labels.

    `note`, `footnote`; `systems` and `rows` of (measure, values); `types`, `landmarks`, `categories`: rows of the tables,
    empty where there are none, with `more`: how many categories are left out; `groups` of (title, explanation, pictures).
    """
    labels = metrics.labels
    if not labels:
        return None
    systems = label_systems(labels)
    headlines = [system.headline for system in systems.values()]
    categories = (labels.category.by_category if labels.category else None) or []
    frequent, published = labels.baselines.get(FREQUENT, LabelNumbers()), labels.published[FASHIONNET]
    note = counted(labels)
    return {
        "note": note[0].upper() + note[1:],
        "footnote": COMPARABLE if labels.comparable else NOT_COMPARABLE,
        "published": list(labels.published),
        "systems": list(systems),
        "rows": [(name, [numbers.get(name) for numbers in headlines]) for name in headlines[0]],
        "types": [
            {**vars(row), "frequent": frequent.of_type(row.name), "published": published.of_type(row.name)}
            for row in labels.types
        ],
        "landmarks": (labels.landmarks.by_landmark if labels.landmarks else None) or [],
        "categories": categories[:SHOWN_CATEGORIES],
        "more": max(0, len(categories) - SHOWN_CATEGORIES),
        "groups": [(*TITLES[name], list(rows)) for name, rows in labelled.items()],
    }


def _picture(row: dict) -> LabelledPicture:
    true, top = row["attributes_true"], row["attribute_top"]
    judged = row["category_rank"] is not None
    errors = [error for error in row["landmark_errors"] or () if error is not None]
    return LabelledPicture(
        image=row["image"],
        category=row["category"] if judged else None,
        category_rank=row["category_rank"],
        categories=[_guess(name, {row["category"]} if judged else None) for name in row["category_top"][:3]],
        attributes=[_guess(name, None if true is None else set(true)) for name in top],
        missed=[name for name in true or () if name not in top],
        annotated=true is not None,
        marks=_marks(row["landmarks_predicted"], row["landmarks_true"]),
        error=float(np.mean(errors)) if errors else None,
    )


def _guess(name: str, true: set[str] | None) -> Guess:
    return Guess(name=name, right=None if true is None else name in true)


def _marks(predicted: list[float], true: list[float] | None) -> list[Mark]:
    """The landmarks that are predicted or annotated to be there."""
    guess = np.array(predicted).reshape(len(LANDMARKS), 3)
    truth = np.array(true).reshape(len(LANDMARKS), 3) if true else None
    marks = []
    for slot, name in enumerate(LANDMARKS):
        there = bool(guess[slot, 0] >= 0)
        own = truth[slot] if truth is not None and truth[slot, 0] >= 0 else None
        if there or own is not None:
            marks.append(
                Mark(
                    name=name,
                    at=tuple(guess[slot, 1:].tolist()) if there else None,
                    seen=bool(guess[slot, 0] == VISIBLE),
                    true=None if own is None else tuple(own[1:].tolist()),
                    visible=own is not None and bool(own[0] == VISIBLE),
                )
            )
    return marks

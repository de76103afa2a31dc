"""The numbers of a tally: accuracy of categories, recall of attributes, errors of landmarks, and what guessing gets.

Rules of DeepFashion (CVPR 2016): top-k accuracy of the category; recall of attributes is the positives found among the
k best of all scores (by type: of the type's scores) over all positives of all images.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from fashion.domain import LANDMARKS
from fashion.retrieval.labels.numbers import (
    AttributeNumbers,
    CategoryNumbers,
    CategoryRow,
    LabelNumbers,
    LandmarkNumbers,
    LandmarkRow,
    Shares,
    TypeRow,
)
from fashion.retrieval.labels.tally import ATTRIBUTE_KS, CATEGORY_KS, ERROR_UNIT, Tally

FREQUENT, CHANCE = "most frequent", "chance"


def label_measures(
    tally: Tally, *, categories: int, attributes: Iterable[str], types: Mapping[str, str]
) -> LabelNumbers:
    """The counts as fractions. `categories`: how many compete; `attributes`: the names that compete; `types`: attribute ->
    type. A kind of label that no image has is left out."""
    attributes = list(attributes)
    return LabelNumbers(
        images=tally["images",],
        category=_category(tally, categories),
        attributes=_attributes(tally, attributes, types),
        landmarks=_landmarks(tally) if tally["landmarks",] else None,
    )


def _category(tally: Tally, categories: int) -> CategoryNumbers | None:
    names = sorted({key[1] for key in tally if key[0] == "category"})
    if not names:
        return None
    rows = [
        CategoryRow(name=name, images=tally["category", name], top=_shares(tally, "category", [name], CATEGORY_KS))
        for name in sorted(names, key=lambda name: (-tally["category", name], name))
    ]
    counts, top = _counts(tally, "category", names), _shares(tally, "category", names, CATEGORY_KS)
    return CategoryNumbers(**counts, choices=categories, top=top, by_category=rows)


def _attributes(tally: Tally, attributes: list[str], types: Mapping[str, str]) -> AttributeNumbers | None:
    names = sorted({key[1] for key in tally if key[0] == "attribute"})
    if not names:
        return None
    counts = _counts(tally, "attribute", names)
    return AttributeNumbers(
        images=tally["attributes",],
        positives=counts["images"],
        unknown=counts["unknown"],
        choices=len(attributes),
        recall=_shares(tally, "attribute", names, ATTRIBUTE_KS),
        by_type=_by_type(tally, names, attributes, types),
    )


def guesses(
    measured: LabelNumbers, tally: Tally, *, category_counts: Mapping[str, int], attribute_counts: Mapping[str, int],
    attributes: Iterable[str], types: Mapping[str, str],
) -> dict[str, LabelNumbers]:  # fmt: skip
    """What is got without looking at a picture: by naming the k most frequent of the train split, whose counts are given,
    and by naming k of those that compete at random."""
    attributes = list(attributes)
    frequent, chance = LabelNumbers(), LabelNumbers()
    if c := measured.category:
        assert c.images and c.choices is not None  # as `label_measures` counts them
        most = _most(category_counts)
        top: Shares = {str(k): _images_of(tally, "category", most[:k]) / c.images for k in CATEGORY_KS}
        frequent = replace(frequent, category=CategoryNumbers(top=top))
        by_chance: Shares = {str(k): min(1.0, k / c.choices) for k in CATEGORY_KS}
        chance = replace(chance, category=CategoryNumbers(top=by_chance))
    if a := measured.attributes:
        most = _most({name: attribute_counts.get(name, 0) for name in attributes})
        whole = TypeRow(name="all", choices=a.choices, positives=a.positives)
        recall, recall_by_chance = _guessed(tally, whole, most)
        rows = [
            (row.name, *_guessed(tally, row, [name for name in most if types.get(name) == row.name]))
            for row in measured.types
        ]
        by_type = [TypeRow(name=name, recall=own) for name, own, _ in rows]
        frequent = replace(frequent, attributes=AttributeNumbers(recall=recall, by_type=by_type))
        by_type = [TypeRow(name=name, recall=own) for name, _, own in rows]
        chance = replace(chance, attributes=AttributeNumbers(recall=recall_by_chance, by_type=by_type))
    return {name: values for name, values in ((FREQUENT, frequent), (CHANCE, chance)) if values != LabelNumbers()}


def _guessed(tally: Tally, row: TypeRow, most: list[str]) -> tuple[Shares, Shares]:
    """Recall by naming the first of `most`, and by naming some of those that compete at random."""
    assert row.positives  # there is one
    frequent: Shares = {str(k): _images_of(tally, "attribute", most[:k]) / row.positives for k in ATTRIBUTE_KS}
    return frequent, {str(k): min(1.0, k / row.choices) if row.choices else 0.0 for k in ATTRIBUTE_KS}


def _counts(tally: Tally, kind: str, names: list[str]) -> dict[str, int]:
    return {"images": _images_of(tally, kind, names), "unknown": sum(tally[kind, name, "unknown"] for name in names)}


def _images_of(tally: Tally, kind: str, names: Iterable[str]) -> int:
    return sum(tally[kind, name] for name in names)


def _shares(tally: Tally, kind: str, names: list[str], ks: tuple[int, ...], *within: str) -> Shares:
    total = _images_of(tally, kind, names)
    return {str(k): sum(tally[kind, name, *within, k] for name in names) / total for k in ks}


def _by_type(tally: Tally, names: list[str], attributes: list[str], types: Mapping[str, str]) -> list[TypeRow]:
    rows = []
    for kind in dict.fromkeys(types.values()):
        own = [name for name in names if types.get(name) == kind]
        if own:
            choices = sum(types.get(name) == kind for name in attributes)
            recall = _shares(tally, "attribute", own, ATTRIBUTE_KS, "type")
            positives = _images_of(tally, "attribute", own)
            rows.append(TypeRow(name=kind, choices=choices, positives=positives, recall=recall))
    return rows


def _landmarks(tally: Tally) -> LandmarkNumbers:
    slots = range(len(LANDMARKS))
    total = {
        name: sum(tally["landmark", slot, *key] for slot in slots)
        for name, key in {"annotated": (), "visible": ("visible",), "error": ("error",), "right": ("right",)}.items()
    }
    rows = [
        LandmarkRow(
            name=LANDMARKS[slot],
            annotated=tally["landmark", slot],
            visible=tally["landmark", slot, "visible"],
            error=_ratio(tally["landmark", slot, "error"] * ERROR_UNIT, tally["landmark", slot, "visible"]),
            visibility=_ratio(tally["landmark", slot, "right"], tally["landmark", slot]),
        )
        for slot in slots
    ]
    images = tally["landmarks",]
    return LandmarkNumbers(
        images=images,
        visible=total["visible"],
        error=_ratio(total["error"] * ERROR_UNIT, total["visible"]),
        annotated=total["annotated"],
        visibility=_ratio(total["right"], total["annotated"]),
        slots=tally["landmark", "slots right"] / (images * len(LANDMARKS)),
        by_landmark=[row for row in rows if row.annotated],
    )


def _ratio(value: float, count: int) -> float | None:
    return value / count if count else None


def _most(counts: Mapping[str, int]) -> list[str]:
    return sorted(counts, key=lambda name: (-counts[name], name))

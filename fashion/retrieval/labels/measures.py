"""The numbers of a tally: accuracy of categories, recall of attributes, errors of landmarks, and what guessing gets.

Rules of DeepFashion (CVPR 2016): top-k accuracy of the category; recall of attributes is the positives found among the
k best of all scores (by type: of the type's scores) over all positives of all images.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from fashion.domain import LANDMARKS
from fashion.retrieval.labels.tally import ATTRIBUTE_KS, CATEGORY_KS, ERROR_UNIT, Tally

FREQUENT, CHANCE = "most frequent", "chance"


def label_measures(tally: Tally, *, categories: int, attributes: Iterable[str], types: Mapping[str, str]) -> dict:
    """The counts as fractions, for metrics.json. `categories`: how many compete; `attributes`: the names that compete;
    `types`: attribute -> type. A kind of label that no image has is left out.

    category: images, unknown, choices, top (k -> fraction), by_category. attributes: images, positives, unknown,
    choices, recall, by_type. landmarks: images, visible, error, annotated, visibility, slots, by_landmark.
    """
    attributes = list(attributes)
    names = sorted({key[1] for key in tally if key[0] == "category"})
    measured: dict = {"images": tally["images",]}
    if names:
        measured["category"] = {
            **_counts(tally, "category", names),
            "choices": categories,
            "top": _shares(tally, "category", names, CATEGORY_KS),
            "by_category": [
                {
                    "name": name,
                    "images": tally["category", name],
                    "top": _shares(tally, "category", [name], CATEGORY_KS),
                }
                for name in sorted(names, key=lambda name: (-tally["category", name], name))
            ],
        }
    names = sorted({key[1] for key in tally if key[0] == "attribute"})
    if names:
        counts = _counts(tally, "attribute", names)
        measured["attributes"] = {
            "images": tally["attributes",],
            "positives": counts["images"],
            "unknown": counts["unknown"],
            "choices": len(attributes),
            "recall": _shares(tally, "attribute", names, ATTRIBUTE_KS),
            "by_type": _by_type(tally, names, attributes, types),
        }
    if tally["landmarks",]:
        measured["landmarks"] = _landmarks(tally)
    return measured


def guesses(
    measured: dict, tally: Tally, *, category_counts: Mapping[str, int], attribute_counts: Mapping[str, int],
    attributes: Iterable[str], types: Mapping[str, str],
) -> dict:  # fmt: skip
    """What is got without looking at a picture, in the form of `label_measures`: by naming the k most frequent of the
    train split, whose counts are given, and by naming k of those that compete at random."""
    attributes = list(attributes)
    frequent: dict[str, dict[str, Any]] = {}
    chance: dict[str, dict[str, Any]] = {}
    if "category" in measured:
        total, choices = measured["category"]["images"], measured["category"]["choices"]
        most = _most(category_counts)
        frequent["category"] = {"top": {str(k): _images_of(tally, "category", most[:k]) / total for k in CATEGORY_KS}}
        chance["category"] = {"top": {str(k): min(1.0, k / choices) for k in CATEGORY_KS}}
    if "attributes" in measured:
        total, choices = measured["attributes"]["positives"], measured["attributes"]["choices"]
        most = _most({name: attribute_counts.get(name, 0) for name in attributes})
        frequent["attributes"] = {
            "recall": {str(k): _images_of(tally, "attribute", most[:k]) / total for k in ATTRIBUTE_KS}
        }
        chance["attributes"] = {"recall": {str(k): min(1.0, k / choices) for k in ATTRIBUTE_KS}}
        frequent["attributes"]["by_type"], chance["attributes"]["by_type"] = [], []
        for row in measured["attributes"]["by_type"]:
            own = [name for name in most if types.get(name) == row["name"]]
            ks = {str(k): k for k in ATTRIBUTE_KS}
            recall = {k: _images_of(tally, "attribute", own[:n]) / row["positives"] for k, n in ks.items()}
            frequent["attributes"]["by_type"].append({"name": row["name"], "recall": recall})
            recall = {k: min(1.0, n / row["choices"]) if row["choices"] else 0.0 for k, n in ks.items()}
            chance["attributes"]["by_type"].append({"name": row["name"], "recall": recall})
    return {name: values for name, values in ((FREQUENT, frequent), (CHANCE, chance)) if values}


def _counts(tally: Tally, kind: str, names: list[str]) -> dict[str, int]:
    return {"images": _images_of(tally, kind, names), "unknown": sum(tally[kind, name, "unknown"] for name in names)}


def _images_of(tally: Tally, kind: str, names: Iterable[str]) -> int:
    return sum(tally[kind, name] for name in names)


def _shares(tally: Tally, kind: str, names: list[str], ks: tuple[int, ...], *within: str) -> dict[str, float]:
    total = _images_of(tally, kind, names)
    return {str(k): sum(tally[kind, name, *within, k] for name in names) / total for k in ks}


def _by_type(tally: Tally, names: list[str], attributes: list[str], types: Mapping[str, str]) -> list[dict]:
    rows = []
    for kind in dict.fromkeys(types.values()):
        own = [name for name in names if types.get(name) == kind]
        if own:
            choices = sum(types.get(name) == kind for name in attributes)
            recall = _shares(tally, "attribute", own, ATTRIBUTE_KS, "type")
            rows.append(
                {"name": kind, "choices": choices, "positives": _images_of(tally, "attribute", own), "recall": recall}
            )
    return rows


def _landmarks(tally: Tally) -> dict:
    slots = range(len(LANDMARKS))
    total = {
        name: sum(tally["landmark", slot, *key] for slot in slots)
        for name, key in {"annotated": (), "visible": ("visible",), "error": ("error",), "right": ("right",)}.items()
    }
    rows = [
        {
            "name": LANDMARKS[slot],
            "annotated": tally["landmark", slot],
            "visible": tally["landmark", slot, "visible"],
            "error": _ratio(tally["landmark", slot, "error"] * ERROR_UNIT, tally["landmark", slot, "visible"]),
            "visibility": _ratio(tally["landmark", slot, "right"], tally["landmark", slot]),
        }
        for slot in slots
    ]
    images = tally["landmarks",]
    return {
        "images": images,
        "visible": total["visible"],
        "error": _ratio(total["error"] * ERROR_UNIT, total["visible"]),
        "annotated": total["annotated"],
        "visibility": _ratio(total["right"], total["annotated"]),
        "slots": tally["landmark", "slots right"] / (images * len(LANDMARKS)),
        "by_landmark": [row for row in rows if row["annotated"]],
    }


def _ratio(value: float, count: int) -> float | None:
    return value / count if count else None


def _most(counts: Mapping[str, int]) -> list[str]:
    return sorted(counts, key=lambda name: (-counts[name], name))

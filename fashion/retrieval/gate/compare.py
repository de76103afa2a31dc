"""Two evaluations of the same queries, number by number: what moved, by how much, and whether by more than chance.

Recall@k is tested by McNemar's exact test over queries, and every measure by a bootstrap of the paired differences over
items; where both apply, the larger p-value counts, so that neither few queries nor several photos of one garment make
an alarm out of noise. The gate looks at one measure, named beforehand, at level alpha; the others are reported with
p-values that Holm's procedure corrects for their number.
"""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion.errors import InputError
from fashion.retrieval.gate.comparison import Against, Comparison, Decision, LabelChange, MeasureChange, Moved, Verdict
from fashion.retrieval.gate.earlier import Scored, ScoredMetrics
from fashion.retrieval.gate.statistics import bootstrap, bootstrap_p, holm, interval, mcnemar
from fashion.retrieval.labels.numbers import LabelNumbers
from fashion.retrieval.settings import MEASURES, GateSettings


def check_metric(earlier: Scored, settings: GateSettings) -> None:
    """Raise InputError where the earlier evaluation lacks the number that decides."""
    column = MEASURES.get(settings.metric, "rank")
    if column not in earlier.queries.column_names:
        raise InputError(
            f"gate.metric: found {settings.metric}, which {earlier.uri} does not have; evaluate that run again or "
            "choose another"
        )


def compare(before: Scored, after: Scored, settings: GateSettings, *, tolerance: float) -> Comparison:
    """`tolerance`: a fall of at most this fraction passes. Raises InputError where no query is in both."""
    at_before, at_after = _common(before, after)
    left, right = before.queries.take(at_before), after.queries.take(at_after)
    ks = {int(k) for k in after.metrics.recall} | {int(k) for k in re.findall(r"recall@(\d+)", settings.metric)}
    names = [f"recall@{k}" for k in sorted(ks)]
    names += [name for name, column in MEASURES.items() if column in left.column_names and column in right.column_names]
    before_QM, after_QM = (np.stack([_values(side, name) for name in names], 1) for side in (left, right))
    items = right["item"].to_numpy(zero_copy_only=False).astype(str)
    means_DM = bootstrap(after_QM - before_QM, items, draws=settings.draws, seed=settings.seed)
    measures = []
    for m, name in enumerate(names):
        b, a = before_QM[:, m], after_QM[:, m]
        p, lost, gained = bootstrap_p(means_DM[:, m]), None, None
        if name.startswith("recall"):
            lost, gained = int((b > a).sum()), int((a > b).sum())
            p = max(p, mcnemar(lost, gained))
        change = MeasureChange(
            name=name, before=float(b.mean()), after=float(a.mean()), difference=float((a - b).mean()),
            interval=interval(means_DM[:, m]), p=p, lost=lost, gained=gained, p_adjusted=p, moved="none",
        )  # fmt: skip
        measures.append(change)
    measures = _judged(measures, settings)
    earlier = before.metrics
    return Comparison(
        against=Against(
            uri=before.uri,
            created=earlier.created,
            model=earlier.model.fingerprint,
            data=earlier.data.fingerprint,
        ),
        changed=changes(earlier, after.metrics),
        queries=len(left),
        items=len(np.unique(items)),
        only_before=len(before.queries) - len(left),
        only_after=len(after.queries) - len(right),
        measures=measures,
        labels=_labels(earlier.labels, after.metrics.labels),
        gate=Decision(metric=settings.metric, tolerance=tolerance, alpha=settings.alpha),
        verdict=verdict(next(row for row in measures if row.name == settings.metric), tolerance),
    )


def verdict(measure: MeasureChange, tolerance: float) -> Verdict:
    """For the measure that decides; only `worse` shuts the gate.

    It is worse where it fell by more than chance and by more than the tolerance.
    """
    if measure.moved == "rose":
        return "better"
    if measure.moved == "none":
        return "no difference"
    # A fall of exactly the tolerance passes, though 0.50 - 0.49 is a little more than 0.01 in binary.
    return "worse" if -measure.difference > tolerance + 1e-9 else "a little worse"


def changes(before: ScoredMetrics, after: ScoredMetrics) -> list[str]:
    """What makes two evaluations differ beside the network, a sentence each."""
    sentences = []
    old, new = before.protocol, after.protocol
    for name in [*old, *(name for name in new if name not in old)]:
        if old.get(name) != new.get(name):
            sentences.append(f"protocol: {name} was {_words(old.get(name))}, is {_words(new.get(name))}")
    counts = (before.queries, after.queries), (before.gallery, after.gallery)
    sets = (before.query_set, after.query_set), (before.gallery_set, after.gallery_set)
    for title, (count, count_now), names in zip(("queries", "gallery"), counts, sets, strict=True):
        others = None not in names and names[0] != names[1]
        if count != count_now or others:
            sentence = f"{title}: {count or 0:,} images before, {count_now or 0:,} now"
            sentence += ", other ones" if count == count_now else ""
            sentences.append(sentence + ("; ranks are over different galleries" if title == "gallery" else ""))
    return sentences


def _labels(before: LabelNumbers | None, after: LabelNumbers | None) -> list[LabelChange]:
    old, new = (side.headline if side else {} for side in (before, after))
    return [
        LabelChange(name=name, before=old[name], after=new[name], difference=new[name] - old[name])
        for name in new
        if name in old
    ]


def _common(before: Scored, after: Scored) -> tuple[np.ndarray, np.ndarray]:
    ids = [_ids(side, ["image"]) for side in (before, after)]
    if any(len(np.unique(one)) < len(one) for one in ids):  # earlier versions had a photo's id for each of its items
        ids = [_ids(side, ["image", "item"]) for side in (before, after)]
    shared, at_before, at_after = np.intersect1d(ids[0], ids[1], assume_unique=True, return_indices=True)
    if not len(shared):
        raise InputError(
            f"against: {before.uri}: none of its {len(ids[0])} queries is among the {len(ids[1])} of this evaluation; "
            "compare evaluations of the same benchmark and split"
        )
    return at_before, at_after


def _ids(side: Scored, columns: list[str]) -> np.ndarray:
    """(Q,) the queries' names."""
    values = [side.queries[name].combine_chunks().cast(pa.string()) for name in columns]
    return pc.binary_join_element_wise(*values, "\0").to_numpy(zero_copy_only=False).astype(str)


def _values(side: pa.Table, name: str) -> np.ndarray:
    """(Q,) what each query adds to the measure's mean."""
    if name in ("map", "r_precision"):
        return side[MEASURES[name]].to_numpy(zero_copy_only=False).astype(np.float64)
    rank = side["rank"].to_numpy(zero_copy_only=False).astype(np.float64)  # null, which is a miss, becomes nan
    rank = np.where(np.isnan(rank), np.inf, rank)
    return 1 / rank if name == "mrr" else (rank <= int(name.removeprefix("recall@"))).astype(np.float64)


def _judged(measures: list[MeasureChange], settings: GateSettings) -> list[MeasureChange]:
    """With what is corrected for their number, and what moved."""
    others = [row for row in measures if row.name != settings.metric]
    adjusted = dict(zip([row.name for row in others], holm([row.p for row in others]), strict=True))
    judged = []
    for row in measures:
        p = adjusted.get(row.name, row.p)
        direction: Moved = "fell" if row.difference < 0 else "rose"
        moved: Moved = direction if p < settings.alpha else "none"
        judged.append(replace(row, p_adjusted=p, moved=moved))
    return judged


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "not set" if value is None else str(value)

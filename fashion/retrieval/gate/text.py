"""The comparison in words, for a terminal."""

from fashion.retrieval.gate.comparison import Comparison
from fashion.text_table import aligned

LABEL = len("landmark visibility")


def comparison_text(comparison: Comparison) -> str:
    """What was compared, a row a measure, and the verdict; no newline at the end."""
    against, gate = comparison.against, comparison.gate
    lines = [
        f"against {against.uri} (model {against.model}, {against.created}): {comparison.queries:,} queries "
        f"of {comparison.items:,} items in both; {comparison.only_before:,} only there, "
        f"{comparison.only_after:,} only here",
        *(f"changed: {sentence}" for sentence in comparison.changed),
        "",
    ]
    rows = [["", "before", "now", "change", "95 % interval", "p", "more than chance"]]
    for row in comparison.measures:
        low, high = row.interval
        star = "*" if row.name == gate.metric else " "
        rows.append(
            [
                title(row.name) + f" {star}",
                f"{100 * row.before:.1f}%",
                f"{100 * row.after:.1f}%",
                points(row.difference),
                f"{points(low)} to {points(high)}",
                p_value(row.p_adjusted),
                {"none": "no"}.get(row.moved, row.moved),
            ]
        )
    lines.append(aligned(rows, "<>>>>><"))
    if comparison.labels:
        lines += ["", "labels, each evaluation over its own images; the verdict does not look at them"]
    for label in comparison.labels:
        change = f"{points(label.difference)} points"
        lines.append(f"{label.name:<{LABEL}}{100 * label.before:7.1f}%{100 * label.after:7.1f}%  {change}")
    return "\n".join([*lines, "", f"* {verdict_sentence(comparison)}"])


def verdict_sentence(comparison: Comparison) -> str:
    """The verdict with its reason, a sentence without a stop."""
    gate = comparison.gate
    row = next(row for row in comparison.measures if row.name == gate.metric)
    size = f"{100 * abs(row.difference):.1f} points"
    tolerance = f"the tolerance of {100 * gate.tolerance:g}"
    name = title(gate.metric)
    return {
        "better": f"better: {name} rose by {size}, more than chance",
        "no difference": f"no difference: {name} changed by {points(row.difference)} points, no more than chance",
        "a little worse": f"a little worse: {name} fell by {size}, more than chance but within {tolerance}",
        "worse": f"worse: {name} fell by {size}, more than chance and more than {tolerance}",
    }[comparison.verdict]


def title(name: str) -> str:
    """A measure's name as people write it."""
    return {"map": "mAP", "mrr": "MRR", "r_precision": "R-precision"}.get(name, name)


def points(difference: float) -> str:
    """A difference of fractions in points of a hundred, with its sign."""
    return f"{100 * difference:+z.1f}"


def p_value(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"

"""What changed since the evaluation compared with, and over the history of evaluations: what the report prints."""

from collections.abc import Sequence
from datetime import datetime

from fashion.retrieval import figures
from fashion.retrieval.gate import text
from fashion.retrieval.metrics_record import Metrics

SHOWN = 8  # evaluations in the table; the chart has them all
TOLD = ("category top-1", "landmark error")  # of the labels, in the history's table
SYMBOLS = {"worse": "down", "a little worse": "down", "better": "up", "no difference": "same"}


def comparison_section(metrics: Metrics) -> dict | None:
    """The comparison in print: `against`, `changed`, `counts`, `verdict`, `sentence`, `symbol` and `rows`, a measure
    each; None where this evaluation was not compared.

    `rows` place a change and its interval on an axis of their own, in percent of its width, with zero in the middle.
    """
    comparison = metrics.comparison
    if not comparison:
        return None
    reach = max(max(abs(x) for x in (row.difference, *row.interval)) for row in comparison.measures) or 0.01
    place = lambda x: round(50 + 50 * x / reach, 2)  # noqa: E731
    rows = [
        {
            "title": text.title(row.name),
            "gate": row.name == comparison.gate.metric,
            "before": row.before,
            "after": row.after,
            "change": _minus(text.points(row.difference)),
            "interval": [_minus(text.points(x)) for x in row.interval],
            "at": place(row.difference),
            "from": place(row.interval[0]),
            "to": place(row.interval[1]),
            "p": text.p_value(row.p_adjusted),
            "moved": row.moved,
            "lost": row.lost,
            "gained": row.gained,
        }
        for row in comparison.measures
    ]
    sentence = text.verdict_sentence(comparison)
    return {
        **{
            name: getattr(comparison, name)
            for name in ("against", "changed", "queries", "items", "only_before", "only_after")
        },
        "alpha": comparison.gate.alpha,
        "verdict": comparison.verdict,
        "sentence": sentence[0].upper() + sentence[1:],
        "symbol": SYMBOLS[comparison.verdict],
        "rows": rows,
        "labels": [{**vars(row), "change": _minus(text.points(row.difference))} for row in comparison.labels],
    }


def trend_plot(rows: Sequence[dict], ks: Sequence[int]) -> figures.Plot | None:
    """Recall at the two smallest k and mAP over the evaluations, at equal distances; None for fewer than two."""
    if len(rows) < 2:
        return None
    names = {f"recall@{k}": f"recall@{k}" for k in sorted(ks)[:2]} | {"mAP": "map"}
    label = _labels([row["created"] for row in rows])
    return figures.line_plot(
        {
            name: [(i, row.get(column)) for i, row in enumerate(rows, 1)]
            for name, column in names.items()
            if any(figures.finite(row.get(column)) for row in rows)
        },
        title="Over time",
        x_label="evaluation of",
        x_format=lambda i: label[int(i) - 1],
        x_ticks=range(1, len(rows) + 1),
        x_gap=96,
        y_format=lambda fraction: f"{100 * fraction:.3g}%",
        width=430,
        height=290,
        label_room=84,
    )


def trend_rows(rows: Sequence[dict], ks: Sequence[int]) -> dict:
    """The newest evaluations, newest first: `heads` and `rows` of (date, model, values, verdict); `earlier`, how many
    more there are."""
    columns = {f"recall@{k}": f"recall@{k}" for k in sorted(ks)[:2]} | {"mAP": "map"}
    columns |= {name: name for name in TOLD if any(name in row for row in rows)}
    label = _labels([row["created"] for row in rows])
    newest = [
        {
            "date": label[i],
            "model": row["model"],
            "queries": row["queries"],
            "gallery": row["gallery"],
            "values": [row.get(column) for column in columns.values()],
            "verdict": row["verdict"],
            "symbol": SYMBOLS.get(row["verdict"]),
        }
        for i, row in reversed(list(enumerate(rows)))
    ]
    return {"heads": list(columns), "rows": newest[:SHOWN], "earlier": max(0, len(newest) - SHOWN)}


def _minus(number: str) -> str:
    return number.replace("-", "−")


def _labels(created: Sequence[str | None]) -> list[str]:
    """Days, or times of the day where all are of one."""
    try:
        times = [datetime.fromisoformat(when or "") for when in created]
    except (TypeError, ValueError):
        return [str(when or "?") for when in created]
    one_day = len({time.date() for time in times}) == 1
    return [f"{time:%H:%M:%S}" if one_day else f"{time:%d %b %Y}".removeprefix("0") for time in times]

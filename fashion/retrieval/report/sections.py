"""What each section of the report says: pure functions from the report's data to what the template prints."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from fashion.retrieval import figures, map_layout, table
from fashion.retrieval.metrics_record import Metrics
from fashion.retrieval.report.data import MapPoint, QueryRow

# A thumbnail's width and height as shares of the map's, for choosing the ones that do not overlap.
MAP_THUMBNAIL = (0.036, 0.064)


def title(metrics: Metrics) -> str:
    """What was evaluated, in a headline's words: the benchmark, or the last part of the item table's address where that
    is a user's own catalogue."""
    benchmark = metrics.protocol["benchmark"]
    name = metrics.data.uri.rstrip("/").rpartition("/")[2]
    return name if benchmark == "manifest" and name else benchmark.replace("-", " ").capitalize()


def facts(metrics: Metrics) -> list[tuple[str, list[str]]]:
    """What was evaluated and with what: terms, each with its short phrases."""
    model, data = metrics.model, metrics.data
    epoch = [] if model.epoch is None else [f"epoch: {model.epoch}"]
    entries = [
        ("Protocol", _phrases(metrics.protocol)),
        ("Network", _phrases(model.network)),
        ("Model", [*filter(None, [model.fingerprint]), *epoch]),
        ("Data", [text for text in (data.uri, data.fingerprint) if text]),
        ("Seed", [] if metrics.seed is None else [str(metrics.seed)]),
        ("Software", [f"{name} {version}" for name, version in metrics.versions.items()]),
    ]
    return [(term, phrases) for term, phrases in entries if phrases]


def date_in_words(created: str) -> str:
    """An ISO 8601 time as a reader writes it; anything else as it is."""
    try:
        return f"{datetime.fromisoformat(created):%d %B %Y, %H:%M %Z}".strip().removeprefix("0")
    except ValueError:
        return created


def recall_plot(metrics: Metrics) -> figures.Plot:
    """Recall against k on a logarithmic axis, a curve for each of the compared systems."""
    return figures.line_plot(
        {
            name: sorted((int(k), fraction) for k, fraction in system.recall.items())
            for name, system in table.systems(metrics).items()
        },
        title="Recall at k",
        x_label="k",
        y_format=_whole_percent,
        x_ticks=sorted(map(int, metrics.recall)),
        y_ticks=[0, 0.25, 0.5, 0.75, 1],
        log_x=True,
        width=430,
        height=310,
        label_room=120,
    )


def training_plots(history: Sequence[dict]) -> list[figures.Plot]:
    """A chart for each measure that the history holds: recall, loss, positive_distance and negative_distance,
    active, learning_rate, images_per_s. Values that are None or not finite leave a gap at the curve's end."""
    recalls = [{int(k): value for k, value in (epoch.get("recall") or {}).items()} for epoch in history]
    ks = sorted({k for recall in recalls for k in recall})
    charts = [
        ("Validation recall", {f"recall@{k}": [recall.get(k) for recall in recalls] for k in ks}, _whole_percent),
        ("Loss", _columns(history, loss="loss"), "{:.3g}".format),
        (
            "Mean distance",
            _columns(history, positive="positive_distance", negative="negative_distance"),
            "{:.3g}".format,
        ),
        ("Active triplets", _columns(history, active="active"), _whole_percent),
        ("Learning rate", _columns(history, rate="learning_rate"), "{:.2g}".format),
        ("Images per second", _columns(history, images="images_per_s"), "{:,.4g}".format),
    ]
    epochs = [epoch["epoch"] for epoch in history]
    return [
        figures.line_plot(
            {name: list(zip(epochs, values, strict=True)) for name, values in curves.items()},
            title=title,
            x_label="epoch",
            y_format=y_format,
            label_room=82 if len(curves) > 1 else 16,
        )
        for title, curves, y_format in charts
        if any(figures.finite(value) for values in curves.values() for value in values)
    ]


def map_items(points: Sequence[MapPoint]) -> list[dict]:
    """The embedding map, item by item: its marks (`left` and `top` in percent, `pictured` where a thumbnail fits), and
    where they lie apart the SVG path in a square of 100 that ties them to their middle."""
    if not points:
        return []
    place_N2 = map_layout.fill_unit_square(np.array([(point.x, -point.y) for point in points]))
    pictured = map_layout.thumbnails_that_fit(place_N2 / MAP_THUMBNAIL, 1, 1)
    by_item = defaultdict(list)
    for i, point in enumerate(points):
        by_item[point.item].append(i)
    items = []
    for name, members in by_item.items():
        x, y = 100 * place_N2[members].mean(axis=0)
        ties = [f"M{x:.2f} {y:.2f}L{100 * px:.2f} {100 * py:.2f}" for px, py in place_N2[members]]
        marks = [
            {"point": points[i], "left": 100 * place_N2[i, 0], "top": 100 * place_N2[i, 1], "pictured": pictured[i]}
            for i in members
        ]
        items.append({"item": name, "marks": marks, "path": "".join(ties) if len(members) > 1 else ""})
    return items


def outcome_groups(queries: Sequence[QueryRow]) -> list[tuple[str, str, list[QueryRow]]]:
    """The rows by what came of them: title, explanation, rows in the order given; groups without rows are left out."""
    shown = max((len(row.top) for row in queries), default=0)
    first = [row for row in queries if row.rank == 1]
    between = [row for row in queries if row.rank is not None and 1 < row.rank <= len(row.top)]
    missed = [row for row in queries if row.rank is None or row.rank > max(1, len(row.top))]
    groups = [
        ("Best", "a right answer comes first", first),
        ("In between", f"a right answer is among the first {shown}, after a wrong one", between),
        ("Worst", f"no right answer is among the first {shown}", missed),
    ]
    return [group for group in groups if group[2]]


def _columns(history: Sequence[dict], **keys: str) -> dict[str, list]:
    return {
        name: [epoch.get(key) for epoch in history]
        for name, key in keys.items()
        if any(figures.finite(epoch.get(key)) for epoch in history)
    }


def _phrases(settings: dict) -> list[str]:
    """`name: value` of the settings that have a value."""
    return [
        f"{name.replace('_', ' ')}: {', '.join(map(str, value)) if isinstance(value, list | tuple) else value}"
        for name, value in settings.items()
        if value is not None
    ]


def _whole_percent(fraction: float) -> str:
    return f"{100 * fraction:.3g}%"

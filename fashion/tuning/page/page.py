"""The page of a sweep as one HTML document."""

from collections import Counter
from dataclasses import dataclass

import jinja2

from fashion.retrieval.figures import Plot, line_plot
from fashion.tuning.effects import effects
from fashion.tuning.leaderboard import ranked
from fashion.tuning.overrides import written
from fashion.tuning.page.figures import parallel, strip
from fashion.tuning.records import Trial
from fashion.tuning.space import Space

STATUS = {"finished": "all epochs", "stopped": "ended early", "failed": "failed", "open": "cut by the budget"}
NAMED = 4  # curves of the best trials that carry their names


@dataclass(frozen=True, kw_only=True)
class SweepAbout:
    """What the page says of the sweep beside its trials."""

    metric: str
    epochs: int  # a full trial's
    search: str
    scheduler: str
    data: str
    created: str
    best_yaml: str
    test: dict | None = None  # metrics.json of the best trial on the test part


def render_sweep(space: Space, trials: list[Trial], about: SweepAbout) -> str:
    """The page: every string in it escaped, nothing loaded from elsewhere. At least one trial has a score."""
    order = ranked(trials)
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [
                jinja2.PackageLoader("fashion.tuning.page", "templates"),
                jinja2.PackageLoader("fashion.retrieval.report", "templates"),
            ]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda value: f"{100 * value:.1f}%"
    environment.filters["written"] = written
    dimensions = {d.name: d for d in space.dimensions}
    return environment.get_template("sweep.html.jinja").render(
        about=about,
        trials=order,
        best=order[0],
        names=[n for n in space.names if any(n in t.record.values for t in trials)],
        counts=Counter(t.record.status for t in trials),
        status=STATUS,
        curves=_curves(order, about.metric),
        named=NAMED,
        parallel=parallel(space, trials, about.metric),
        strips=[strip(dimensions[e.name], e) for e in effects(space, trials)],
    )


def _curves(order: list[Trial], metric: str) -> Plot:
    # The plot keeps room for a name a curve; only the best ones carry theirs.
    curves = {t.record.name: t.scores for t in order if t.scores}
    return line_plot(
        curves,
        title=f"Validation {metric} by epoch",
        x_label="epoch",
        y_format=lambda y: f"{100 * y:g}%",
        width=1100,
        height=360,
        label_room=110,
    )

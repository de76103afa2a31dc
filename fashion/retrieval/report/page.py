"""The report as one HTML document."""

import re
from collections import Counter

import jinja2
from markupsafe import Markup, escape

from fashion.retrieval import table
from fashion.retrieval.report import change, groups, sections
from fashion.retrieval.report.data import ReportData
from fashion.retrieval.report.labels import labels_section
from fashion.retrieval.report.pictures import Album

PICTURE_ROOM = 4_000_000  # bytes of pictures in a report: the whole page is to stay under 5 MB


def render_report(data: ReportData) -> str:
    """The report as one HTML document: every string in it escaped, every picture inside it as a data: URI.

    The query rows' pictures come first, then the labels', the confusions', the extra rows' and the map's; what exceeds
    `PICTURE_ROOM`, is missing or is not a JPEG file becomes a placeholder.
    """
    ks = sorted(map(int, data.metrics.recall))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fashion.retrieval.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = table.percent
    environment.filters["span"] = lambda ends: f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}"
    environment.filters["foldable"] = _foldable
    environment.filters["date"] = sections.date_in_words
    return environment.get_template("report.html.jinja").render(
        metrics=data.metrics,
        title=sections.title(data.metrics),
        created=sections.date_in_words(data.metrics.created or ""),
        facts=sections.facts(data.metrics),
        systems=list(table.systems(data.metrics)),
        measures=table.measures(data.metrics),
        recall_plot=sections.recall_plot(data.metrics),
        training_plots=sections.training_plots(data.history),
        map_items=sections.map_items(data.map_points),
        map_domains=Counter(point.domain for point in data.map_points),
        intervals=groups.measure_intervals(data.metrics),
        group_tables=groups.group_tables(data.metrics),
        comparison=change.comparison_section(data.metrics),
        trend_plot=change.trend_plot(data.trend, ks),
        trend=change.trend_rows(data.trend, ks),
        labels=labels_section(data.metrics, data.labelled),
        thieves=data.thieves,
        confusion=data.confusion,
        groups=sections.outcome_groups(data.queries),
        categories=sorted({row.category or "" for row in data.queries}, key=lambda name: (not name, name)),
        album=Album(pictured(data), data.thumbnails, PICTURE_ROOM),
    )


def pictured(data: ReportData) -> list[str]:
    """The images that the report shows, those that matter most first; an image may come twice."""
    shown = lambda rows: [image for row in rows for image in (row.image, *(hit.image for hit in row.top))]  # noqa: E731
    return [
        *shown(row for row in data.queries if not row.extra),
        *(picture.image for pictures in data.labelled.values() for picture in pictures),
        *(image for thief in data.thieves for image in (thief.image, *(victim.image for victim in thief.victims))),
        *shown(row for row in data.queries if row.extra),
        *(point.image for point in data.map_points),
    ]


def _foldable(text: str) -> Markup:
    """The text, escaped, with leave to go on in the next line after a slash or an underscore."""
    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=[/_])(?=.)", text))

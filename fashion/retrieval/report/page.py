"""The report as one HTML document."""

from collections import Counter

import jinja2

from fashion.retrieval import table
from fashion.retrieval.report import sections
from fashion.retrieval.report.data import ReportData
from fashion.retrieval.report.pictures import Album

PICTURE_ROOM = 4_300_000  # bytes of pictures in a report: the whole page is to stay under 5 MB


def render_report(data: ReportData) -> str:
    """The report as one HTML document: every string in it escaped, every picture inside it as a data: URI.

    The query rows' pictures come first, then the map's; what exceeds `PICTURE_ROOM`, is missing or is not a JPEG file
    becomes a placeholder.
    """
    row_images = [image for row in data.queries for image in (row.image, *(hit.image for hit in row.top))]
    map_images = [point.image for point in data.map_points]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fashion.retrieval.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = table.percent
    return environment.get_template("report.html.jinja").render(
        metrics=data.metrics,
        created=sections.date_in_words(data.metrics.get("created", "")),
        facts=sections.facts(data.metrics),
        systems=list(table.systems(data.metrics)),
        measures=table.measures(data.metrics),
        recall_plot=sections.recall_plot(data.metrics),
        training_plots=sections.training_plots(data.history),
        map_items=sections.map_items(data.map_points),
        map_domains=Counter(point.domain for point in data.map_points),
        groups=sections.outcome_groups(data.queries),
        categories=sorted({row.category or "" for row in data.queries}, key=lambda name: (not name, name)),
        album=Album(row_images + map_images, data.thumbnails, PICTURE_ROOM),
    )

"""The evaluation report: plain data in, one self-contained HTML file out, which needs no network and runs no script."""

from fashion.retrieval.report.choose import choose_rows, with_categories
from fashion.retrieval.report.confusions import confusion, thieves
from fashion.retrieval.report.content import query_rows, report_content
from fashion.retrieval.report.data import (
    Confusion,
    Guess,
    Hit,
    LabelledPicture,
    MapPoint,
    Mark,
    QueryRow,
    ReportData,
    Thief,
)
from fashion.retrieval.report.labels import label_examples
from fashion.retrieval.report.page import pictured, render_report

__all__ = [
    "Confusion",
    "Guess",
    "Hit",
    "LabelledPicture",
    "MapPoint",
    "Mark",
    "QueryRow",
    "ReportData",
    "Thief",
    "choose_rows",
    "confusion",
    "label_examples",
    "pictured",
    "query_rows",
    "render_report",
    "report_content",
    "thieves",
    "with_categories",
]

"""The evaluation report: plain data in, one self-contained HTML file out, which needs no network and runs no script."""

from fashion.retrieval.report.choose import choose_rows, with_categories
from fashion.retrieval.report.confusions import confusion, thieves
from fashion.retrieval.report.content import query_rows, report_content
from fashion.retrieval.report.data import Confusion, Hit, MapPoint, QueryRow, ReportData, Thief
from fashion.retrieval.report.page import pictured, render_report

__all__ = [
    "Confusion",
    "Hit",
    "MapPoint",
    "QueryRow",
    "ReportData",
    "Thief",
    "choose_rows",
    "confusion",
    "pictured",
    "query_rows",
    "render_report",
    "report_content",
    "thieves",
    "with_categories",
]

"""The evaluation report: plain data in, one self-contained HTML file out, which needs no network and runs no script."""

from fashion.retrieval.report.data import Hit, MapPoint, QueryRow, ReportData, choose_rows
from fashion.retrieval.report.page import render_report

__all__ = ["Hit", "MapPoint", "QueryRow", "ReportData", "choose_rows", "render_report"]

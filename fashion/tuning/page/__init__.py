"""The page of a sweep: one HTML file."""

from fashion.tuning.page.page import SweepAbout, render_sweep

__all__ = ["SweepAbout", "render_sweep"]

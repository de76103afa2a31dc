"""A job's figures as Ray's custom metrics: Ray's metrics endpoint exports them, and its Grafana shows them."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote


class Gauges:
    """Named numbers of one job, tagged with the folder that it writes to. Needs a running Ray."""

    def __init__(self, job: str, folder: str):
        self.job, self.tags = job, {"folder": _ascii(folder)}
        self.gauges: dict[str, Any] = {}

    def set(self, figures: Mapping[str, float | None]) -> None:
        """`ray_fashion_JOB_NAME` from now on; None leaves a gauge as it was."""
        from ray.util.metrics import Gauge

        for name, value in figures.items():
            if value is None:
                continue
            if name not in self.gauges:
                text = f"{name.replace('_', ' ')} of jobs/{self.job}.py"
                self.gauges[name] = Gauge(f"fashion_{self.job}_{name}", description=text, tag_keys=("folder",))
            self.gauges[name].set(float(value), tags=self.tags)


def _ascii(folder: str) -> str:
    """What is not ASCII, percent-encoded: Ray refuses a tag with anything else."""
    return "".join(letter if letter.isascii() else quote(letter) for letter in folder)

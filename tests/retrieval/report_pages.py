"""Made-up report data, and a page as a browser would have it, for the tests of the report."""

import io
import re
from html.parser import HTMLParser

from PIL import Image

from fashion.json_values import of_plain
from fashion.retrieval.metrics_record import Metrics
from fashion.retrieval.report import Confusion, Hit, MapPoint, QueryRow, ReportData, Thief

HOSTILE = """<script>alert(1)</script>"' onload=x {{ 7 * 7 }} &amp;"""

METRICS = {
    "protocol": {"benchmark": "consumer-to-shop", "gallery_splits": ["test", "val"], "positives": "item", "crop": None},
    "queries": 1234,
    "gallery": 45678,
    "unmatched_queries": 3,
    "recall": {"1": 0.612, "5": 0.853, "50": 0.981},
    "map": 0.678,
    "mrr": 0.702,
    "baselines": {
        "chance": {"recall": {"1": 0.002, "5": 0.011, "50": 0.11}, "map": 0.014, "mrr": 0.015},
        "untrained": {"recall": {"1": 0.09, "5": 0.21, "50": 0.6}, "map": 0.14, "mrr": 0.15},
        "colour histogram": {"recall": {"1": 0.12, "5": 0.25, "50": 0.62}, "map": 0.18, "mrr": 0.19},
    },
    "model": {"fingerprint": "9f3ac2d1", "network": {"backbone": "embnet", "branches": "dual"}, "epoch": 12},
    "data": {"uri": "s3://catalogue/autumn", "fingerprint": "51b0e6c2"},
    "seed": 7,
    "versions": {"fashion-retrieval": "0.1.0", "torch": "2.15.0"},
    "created": "2026-11-03T09:05:00Z",
}
HISTORY = [
    {"epoch": 1, "loss": 2.5, "learning_rate": 1e-4, "recall": {"1": 0.2, "10": 0.4}, "active": 0.9},
    {"epoch": 2, "loss": float("nan"), "learning_rate": 3e-4, "recall": None, "active": 0.7},
    {"epoch": 3, "loss": 1.25, "learning_rate": 2e-4, "recall": {"1": 0.5, "10": 0.75}, "active": 0.6},
]


SMALL = {"recall": {"1": 0.5, "5": 0.75, "50": 1.0}, "map": 0.6, "mrr": 0.65, "unmatched_queries": 2}
GROUPS = {
    "intervals": {"recall": {"1": [0.585, 0.639], "5": [0.833, 0.873]}, "map": [0.65, 0.706], "mrr": [0.68, 0.72]},
    "by_category": [SMALL | {"name": "Dress", "queries": 900}, SMALL | {"name": "T_Shirt", "queries": 334}],
    "by_clothes_type": [SMALL | {"name": "full body", "queries": 1234}],
}
COMPARISON = {
    "against": {"uri": "there", "created": "2026-11-02T09:05:00Z", "model": "aaaa1111bbbb", "data": "51b0e6c2"},
    "changed": ["gallery: 45,000 images before, 45,678 now; ranks are over different galleries"],
    "queries": 1200,
    "items": 400,
    "only_before": 10,
    "only_after": 34,
    "measures": [
        {
            "name": "recall@1", "before": 0.65, "after": 0.61, "difference": -0.04, "interval": [-0.06, -0.02],
            "lost": 80, "gained": 32, "p": 0.0004, "p_adjusted": 0.0004, "moved": "fell",
        },
        {
            "name": "map", "before": 0.67, "after": 0.68, "difference": 0.01, "interval": [-0.01, 0.03],
            "p": 0.21, "p_adjusted": 0.21, "moved": "none",
        },
    ],
    "gate": {"metric": "recall@1", "tolerance": 0.01, "alpha": 0.05},
    "verdict": "worse",
}  # fmt: skip


def evaluated(day: int, **columns) -> dict:
    """A row of the history of evaluations."""
    row = {"created": f"2026-11-{day:02}T03:00:00Z", "model": f"model{day}", "queries": 9, "gallery": 9}
    return row | {"recall@1": 0.5 + day / 100, "recall@5": 0.7, "map": 0.6, "verdict": "no difference"} | columns


def jpeg(width=6, height=8, colour=(90, 20, 40)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "JPEG")
    return file.getvalue()


def row(name: str, rank: int | None, *, top=None, category="Dress", average_precision=0.5) -> QueryRow:
    """A query called `name` whose right answer stands at `rank` of the five shown, or is not among them."""
    if top is None:
        top = [
            Hit(image=f"shop{i}", item=name if i == rank else f"other{i}", score=1 - i / 10, correct=i == rank)
            for i in range(1, 6)
        ]
    return QueryRow(
        image=f"photo of {name}",
        item=name,
        domain="consumer",
        category=category,
        rank=rank,
        average_precision=average_precision,
        top=top,
    )


def point(item: str, domain: str, x: float, y: float, category=None) -> MapPoint:
    return MapPoint(x=x, y=y, image=f"{item} {domain}", item=item, domain=domain, category=category)


class Page(HTMLParser):
    """The page as a browser would have it: elements with their attributes and the text in them, all tags matched."""

    def __init__(self, html: str):
        super().__init__()
        self.elements, self.open, self.text = [], [], []
        self.feed(html)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in ("meta", "input", "wbr"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)

    def all(self, tag=None, css_class=None) -> list[dict]:
        return [
            attributes
            for name, attributes in self.elements
            if (tag is None or name == tag) and (css_class is None or css_class in attributes.get("class", "").split())
        ]

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))


def report_data(metrics: dict, **others) -> ReportData:
    """`metrics`: as metrics.json has them."""
    return ReportData(metrics=of_plain(Metrics, metrics), **others)


def full_report() -> ReportData:
    rows = [row("one", 1), row("two", 3, category="Coat"), row("three", 41), row("four", None, category=None)]
    points = [point(f"item{i}", domain, i, i * i % 7) for i in range(9) for domain in ("consumer", "shop")]
    images = [f"shop{i}" for i in range(1, 6)] + [r.image for r in rows] + [p.image for p in points]
    thumbnails = {image: jpeg(colour=(i * 5, 80, 200)) for i, image in enumerate(images)}
    return report_data(
        METRICS | GROUPS | {"comparison": COMPARISON},
        history=HISTORY,
        queries=rows,
        thieves=[Thief(item="a_thief", image="shop1", category="Coat", queries=7, items=2, victims=rows[1:3])],
        confusion=Confusion(names=["Dress", "T_Shirt"], counts=[10, 4], shares=[[0.9, 0.1], [0.0, 1.0]]),
        trend=[evaluated(1), evaluated(2, verdict="worse"), evaluated(3, verdict=None)],
        map_points=points,
        thumbnails=thumbnails,
    )

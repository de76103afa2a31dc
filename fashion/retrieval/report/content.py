"""From the rows of queries.parquet to the queries and confusions that a report shows."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from fashion.retrieval.report.choose import choose_rows, with_categories
from fashion.retrieval.report.confusions import confusion, thieves
from fashion.retrieval.report.data import Hit, QueryRow

SHOWN_TOP = 5
SHOWN_ROWS = 12  # best, middling and worst each
EXTRA_ROWS, EXTRA_CATEGORIES = 2, 12  # the same for each of the largest categories
THIEVES, VICTIMS = 10, 6
MATRIX = 10  # categories in the matrix, and the rest as one

TOP = {"image": "top_images", "item": "top_items", "score": "top_scores", "correct": "top_correct"}


def query_rows(queries: pa.Table, categories: Mapping[str, str | None]) -> list[QueryRow]:
    """A row a query with the first `SHOWN_TOP` of its ranking. `categories`: of gallery images, as far as known."""
    # Only the head of each ranking is taken out of Arrow: 50 answers of 10,000 queries would be half a million objects.
    heads = {
        name: [pc.list_slice(chunk, 0, SHOWN_TOP).to_pylist() for chunk in queries[column].chunks]
        for name, column in TOP.items()
    }
    heads = {name: [head for chunk in chunks for head in chunk] for name, chunks in heads.items()}
    rows = queries.select(["image", "item", "domain", "category", "rank", "average_precision"]).to_pylist()
    return [
        QueryRow(
            **row,
            top=[
                Hit(**dict(zip(TOP, hit, strict=True)), category=categories.get(hit[0]))
                for hit in zip(*(heads[name][q] for name in TOP), strict=True)
            ],
        )
        for q, row in enumerate(rows)
    ]


def report_content(queries: pa.Table, categories: Mapping[str, str | None], *, seed: int) -> dict:
    """The fields `queries`, `thieves` and `confusion` of a `ReportData`."""
    rows = query_rows(queries, categories)
    chosen = choose_rows(rows, SHOWN_ROWS, seed)
    return {
        "queries": with_categories(chosen, rows, count=EXTRA_ROWS, categories=EXTRA_CATEGORIES, seed=seed),
        "thieves": thieves(rows, count=THIEVES, victims=VICTIMS),
        "confusion": confusion(rows, limit=MATRIX),
    }

"""The exact search of a few queries, against a sorted list of all pairs."""

import numpy as np
import pyarrow as pa
import pytest
from catalogues import make_catalogue

from fashion.retrieval.embeddings import open_catalogue
from fashion.retrieval.lookup import nearest
from fashion.storage import Store


def gallery(n: int = 90):
    """Whole numbers, so that scores are exact and many are equal; ids that do not sort as their places."""
    rng = np.random.default_rng(4)
    x = rng.integers(-2, 3, (n, 4)).astype(np.float32)
    names = [f"img/{i:03}.jpg" for i in rng.permutation(n)]
    domain = ["shop" if i % 3 else "consumer" for i in range(n)]
    return x, pa.table({"image": names, "item": [f"id_{i // 4}" for i in range(n)], "domain": domain})


@pytest.mark.parametrize("shards", [1, 3, 17])
@pytest.mark.parametrize("domain", ["shop", "any"])
@pytest.mark.parametrize("k", [1, 7, 200])
def test_the_best_of_all_by_score_then_image(tmp_path, shards, domain, k):
    x, about = gallery()
    make_catalogue(Store(tmp_path), x, about, shards=shards)
    queries = np.random.default_rng(5).integers(-2, 3, (6, 4)).astype(np.float32)
    found = nearest(open_catalogue(str(tmp_path)), queries, k, domain=domain)
    rows = [row for row in enumerate(about.to_pylist()) if domain in ("any", row[1]["domain"])]
    for z, hits in zip(queries, found, strict=True):
        expected = sorted((-float(z @ x[i]), row["image"], row["item"]) for i, row in rows)[:k]
        assert [(-hit.score, hit.image, hit.item) for hit in hits] == expected


def test_a_catalogue_without_the_domain_answers_with_nothing(tmp_path):
    x, about = gallery()
    about = about.set_column(2, "domain", pa.array(["consumer"] * len(x)))
    make_catalogue(Store(tmp_path), x, about, shards=2)
    assert nearest(open_catalogue(str(tmp_path)), x[:2], 3, domain="shop") == [[], []]

"""A vector that is not finite is refused wherever vectors are compared, with the name of its image."""

import numpy as np
import pyarrow as pa
import pytest
from catalogues import make_catalogue

from fashion.errors import InputError
from fashion.retrieval.embeddings import EMBEDDING, open_catalogue
from fashion.retrieval.evaluate import evaluate
from fashion.retrieval.index.files import gallery_of
from fashion.retrieval.index.report import sample_queries
from fashion.retrieval.lookup import nearest
from fashion.retrieval.products.score import check_finite
from fashion.retrieval.protocol import ProtocolSettings
from fashion.retrieval.search.queries import Queries
from fashion.retrieval.settings import AnnSettings
from fashion.storage import Store
from tests.retrieval.galleries import item_table, write_shards

BAD = pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])


@BAD
@pytest.mark.parametrize("ranking", ["image", "item", "centroid"])
@pytest.mark.parametrize("role", ["query", "gallery"])
def test_an_evaluation_names_the_image(tmp_path, bad, ranking, role):
    rng = np.random.default_rng(0)
    rows = []
    for item in range(6):
        for n, own in enumerate(("query", "gallery", "gallery")):
            row = {"image": f"img/{item}/{n}.jpg", "item": f"id_{item}", "domain": "shop", "role": own}
            rows.append(row | {"category": "Tee", EMBEDDING: rng.normal(size=4).astype(np.float32)})
    wrong = next(row for row in rows if row["role"] == role and row["item"] == "id_3")
    wrong[EMBEDDING][2] = bad
    names = {"test": write_shards(Store(tmp_path), "test", rows, [n % 2 for n in range(len(rows))])}
    with pytest.raises(InputError, match=rf"^{role}.* {wrong['image']}.*not finite"):
        evaluate(Store(tmp_path), names, item_table(), ProtocolSettings(ranking=ranking), crop="whole")


@BAD
def test_a_search_names_the_image_or_the_querys_row(tmp_path, bad):
    x = np.ones((6, 3), np.float32)
    about = pa.table(
        {"image": [f"{n}.jpg" for n in range(6)], "item": list("aabbcc"), "domain": ["shop", "consumer"] * 3}
    )
    make_catalogue(Store(tmp_path / "good"), x, about, shards=2)
    asked = np.ones((2, 3), np.float32)
    asked[1, 0] = bad
    with pytest.raises(InputError, match=r"^query in row 1: its vector is not finite"):
        nearest(open_catalogue(str(tmp_path / "good")), asked, 2)
    with pytest.raises(InputError, match=r"^query in row 1: its vector is not finite"):
        Queries.of(asked, ["a", "b"])
    x[4, 1] = bad
    make_catalogue(Store(tmp_path / "bad"), x, about, shards=2)
    catalogue = open_catalogue(str(tmp_path / "bad"))
    with pytest.raises(InputError, match=r"^catalogue image 4.jpg: its vector is not finite"):
        nearest(catalogue, np.ones((1, 3), np.float32), 2)
    with pytest.raises(InputError, match=r"^catalogue image 4.jpg: its vector is not finite"):
        gallery_of(catalogue[0], [shard.name for shard in catalogue.manifest.shards], "any")
    with pytest.raises(InputError, match=r"^catalogue image 4.jpg: its vector is not finite"):
        sample_queries(catalogue, AnnSettings(domain="any"))


def test_all_are_counted_and_numbers_that_only_look_large_pass():
    x = np.full((5, 2), 1e18, np.float32)
    assert check_finite(x, "query") is x
    x[[1, 3, 4], 0] = np.inf
    with pytest.raises(InputError, match=r"^query b: its vector is not finite, and of 2 more; "):
        check_finite(x, "query", pa.array(list("abcde")))

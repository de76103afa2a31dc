"""How often an evaluation and a search read each shard: storage is far, and every request is paid."""

from collections import Counter

import numpy as np
import pytest

from fashion.retrieval.embeddings import EMBEDDING, HISTOGRAM, UNTRAINED, Catalogue, open_catalogue
from fashion.retrieval.evaluate import evaluate
from fashion.retrieval.lookup import nearest
from fashion.retrieval.settings import ProtocolSettings
from fashion.storage import Store
from tests.catalogues import make_catalogue
from tests.retrieval.galleries import item_table, write_shards
from tests.retrieval.test_lookup import gallery

KINDS = (EMBEDDING, UNTRAINED, HISTOGRAM)


class CountingStore(Store):
    """Counts how often each file is opened."""

    def __init__(self, uri):
        super().__init__(uri)
        self.opened = Counter()

    def open(self, name: str):
        self.opened[name] += 1
        return super().open(name)


def scene(*, torn: bool = False) -> tuple[list[dict], list[int]]:
    """Rows of every kind of vector and both domains of gallery images, and the number of each row's shard."""
    rng, rows, shards = np.random.default_rng(0), [], []
    for item in range(40):
        for n, (role, domain) in enumerate((("query", "consumer"), ("gallery", "shop"), ("gallery", "consumer"))):
            row = {
                "item": f"id_{item:02}",
                "image": f"{item}/{n}.jpg",
                "domain": domain,
                "role": role,
                "category": "Tee",
            }
            rows.append(row | {kind: rng.normal(size=4).astype(np.float32) for kind in KINDS})
            shards.append((item + n * torn) % 4)
    return rows, shards


@pytest.mark.parametrize("ranking", ["image", "item", "centroid"])
def test_each_gallery_shard_is_read_twice_for_all_rankings_of_an_evaluation(tmp_path, ranking):
    """Three kinds of vectors, and the embedding in each of two domains: five rankings. Queries are read before."""
    rows, shards = scene()
    store = CountingStore(tmp_path)
    names = {"test": write_shards(store, "test", rows, shards, kinds=KINDS)}
    found = evaluate(store, names, item_table(), ProtocolSettings(ks=(1, 5), ranking=ranking), crop="whole")
    assert len(found.metrics.by_domains) == 2 and len(found.metrics.baselines) == 3
    assert store.opened == dict.fromkeys((f"{name}.parquet" for name in names["test"]), 1 + 2)


def test_items_with_images_in_several_shards_cost_a_third_reading(tmp_path):
    rows, shards = scene(torn=True)
    store = CountingStore(tmp_path)
    names = {"test": write_shards(store, "test", rows, shards, kinds=KINDS)}
    evaluate(store, names, item_table(), ProtocolSettings(ks=(1, 5), ranking="item"), crop="whole")
    takers = [0, 1, 1, 2]  # shards that rank images of the first, second, ... one: each reads it twice
    assert store.opened == {f"{name}.parquet": 1 + 3 + 2 * n for name, n in zip(names["test"], takers, strict=True)}


def test_a_search_of_a_catalogue_reads_each_shard_once(tmp_path):
    x, about = gallery()
    make_catalogue(Store(tmp_path), x, about, shards=7)
    _, manifest = open_catalogue(str(tmp_path))
    store = CountingStore(tmp_path)
    nearest(Catalogue(store, manifest), x[:5], 3, domain="shop")
    assert store.opened == {f"{shard.name}.parquet": 1 for shard in manifest.shards}

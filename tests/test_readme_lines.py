"""The lines that the README gives a researcher run as they stand there, and say what they promise."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fashion.retrieval.embeddings import open_catalogue
from fashion.storage import Store
from tests.catalogues import embed_here, embedder, make_run, make_table, photos, picture

BLOCKS = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[1] / "README.md").read_text(), re.S)


def block(word: str) -> str:
    (found,) = [text for text in BLOCKS if word in text]
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A run, its catalogue, and a customer's photo: the third of the table's pictures."""
    root = tmp_path_factory.mktemp("home")
    run = make_run(root / "runs/first")
    table = make_table(Store(root / "table"), photos(8))
    embed_here(table, embedder(run), Store(root / "catalogue"))
    picture(50).save(root / "customer.jpg", quality=95)
    return root


def test_there_are_four():
    assert len(BLOCKS) == 4 and all(len(text.strip().splitlines()) <= 4 for text in BLOCKS)


def test_a_loss_on_own_embeddings():
    z = torch.nn.functional.normalize(torch.randn(8, 128, generator=torch.Generator().manual_seed(0)))
    items = torch.arange(8) // 2
    names = {"embeddings": z.requires_grad_(), "items": items, "domains": items % 2}
    exec(block("build_loss"), names)
    distance = torch.cdist(z.detach(), z.detach()).square()
    same = items[:, None] == items
    terms = [
        distance[a, p] - distance[a, n] + 0.3
        for a in range(8) for p in range(8) for n in range(8)
        if p != a and same[a, p] and not same[a, n] and 0 < distance[a, n] - distance[a, p] < 0.3
    ]  # fmt: skip
    assert terms and z.grad.norm() > 0
    found = names["loss"](z.detach(), items, items).loss
    assert float(found) == pytest.approx(float(torch.stack(terms).mean()), rel=1e-4)


def test_a_network_embeds_files_pictures_and_arrays_alike(home, monkeypatch):
    monkeypatch.chdir(home)
    opened = Image.open("customer.jpg")
    names = {"picture": opened, "pixels": np.asarray(opened.convert("RGB"))}
    exec(block("load_network"), names)
    vectors = names["vectors"]
    assert vectors.dtype == np.float32 and len(vectors) == 3
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert vectors[1] == pytest.approx(vectors[0], abs=0.02) and (vectors[1] == vectors[2]).all()
    other = names["network"].embed([picture(200)], domain="shop")
    assert np.abs(other - vectors[:1]).max() > 0.05
    assert names["network"].embed([]).shape == (0, vectors.shape[1])


def test_what_is_embedded_is_what_the_catalogue_holds(home, monkeypatch):
    """The table joined to ids; its rows are what `embed` gives for the same pictures."""
    monkeypatch.chdir(home)
    names = {"picture": picture(50), "pixels": np.asarray(picture(50))}
    exec(block("ds.dataset"), names)
    exec(block("load_network"), names)
    rows = names["table"].to_pylist()
    assert len(rows) == open_catalogue("catalogue").manifest.images and {"image", "item", "domain"} <= set(rows[0])
    stored = np.array([row["embedding"] for row in rows if row["domain"] == "shop"])
    asked = names["network"].embed([picture(50)], domain="shop")
    assert (stored @ asked[0]).max() == pytest.approx(1, abs=1e-3)


def test_metrics_of_own_vectors():
    rng = np.random.default_rng(0)
    names = {
        "queries": rng.standard_normal((30, 8), dtype=np.float32), "query_items": rng.integers(0, 9, 30),
        "gallery": rng.standard_normal((70, 8), dtype=np.float32), "gallery_items": rng.integers(0, 9, 70),
    }  # fmt: skip
    exec(block("vector_metrics"), names)
    order = np.argsort(-names["queries"] @ names["gallery"].T, axis=1)
    right = names["gallery_items"][order] == names["query_items"][:, None]
    for k in (1, 5, 20):
        assert names["metrics"]["recall"][str(k)] == pytest.approx(right[:, :k].any(1).mean())
    precision = right.cumsum(1) / np.arange(1, 71)
    assert names["metrics"]["map"] == pytest.approx(((precision * right).sum(1) / right.sum(1)).mean())

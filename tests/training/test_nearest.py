"""Nearest items, block by block, against the full matrix in plain loops."""

import numpy as np
import pytest
import torch

from fashion.training import nearest as module
from fashion.training.nearest import nearest


def full(z, domain, domains, duplicate):
    """Similarity of each two items, -inf where they are not compared; and near-duplicates."""
    N, V, _ = z.shape
    z = z / np.linalg.norm(z, axis=2, keepdims=True)
    compared = {"any": lambda a, b: True, "within": lambda a, b: a == b, "cross": lambda a, b: a != b}[domains]
    similarity, twice = np.full((N, N), -np.inf), {}
    for a in range(N):
        for b in range(N):
            if a == b:
                continue
            of_photos = z[a] @ z[b].T
            pairs = [of_photos[v, w] for v in range(V) for w in range(V) if compared(domain[a, v], domain[b, w])]
            similarity[a, b] = max(pairs, default=-np.inf)
            if of_photos.max() > duplicate:
                similarity[a, b] = -np.inf
                if a < b:
                    twice[a, b] = of_photos.max()
    return similarity, twice


def drawn(N=37, V=2, D=6, seed=0):
    random = np.random.default_rng(seed)
    z = random.normal(size=(N, V, D)).astype(np.float32)
    domain = np.tile(np.arange(V) % 2, (N, 1))
    domain[:5] = 0  # items of one domain
    domain[5:8] = 1
    return z, domain


@pytest.mark.parametrize("domains", ["cross", "any", "within"])
@pytest.mark.parametrize("V", [2, 4])
@pytest.mark.parametrize(("first", "last"), [(1, 5), (3, 9), (1, 60)])
def test_neighbours_are_those_of_the_full_matrix(monkeypatch, domains, V, first, last):
    monkeypatch.setattr(module, "PAIRS", 300)
    monkeypatch.setattr(module, "ACROSS", 11)
    z, domain = drawn(V=V)
    similarity, twice = full(z.astype(np.float64), domain, domains, duplicate=0.9)
    parts = [
        nearest(torch.tensor(z), torch.tensor(domain), rows, domains=domains, first=first, last=last, duplicate=0.9)
        for rows in (range(13), range(13, 37), range(37, 37))
    ]
    labels = torch.cat([part.labels_nK for part in parts]).numpy()
    values = torch.cat([part.similarity_nK for part in parts]).numpy()
    assert labels.shape == (37, last - first + 1)
    for item in range(37):
        order = sorted(range(37), key=lambda other: (-similarity[item, other], other))
        expected = [other for other in order if np.isfinite(similarity[item, other])][first - 1 : last]
        expected += [-1] * (labels.shape[1] - len(expected))
        assert labels[item].tolist() == expected
        near = [similarity[item, other] if other >= 0 else -np.inf for other in expected]
        assert np.allclose(values[item], near, atol=1e-6)
    found = {
        tuple(pair): s for part in parts for pair, s in zip(part.pairs_M2.tolist(), part.alike_M.tolist(), strict=True)
    }
    assert found.keys() == twice.keys() and twice and sum(part.duplicates for part in parts) == len(twice)
    assert all(abs(found[pair] - twice[pair]) < 1e-6 for pair in twice)


def test_ties_are_broken_by_the_lower_label_across_blocks(monkeypatch):
    monkeypatch.setattr(module, "ACROSS", 3)
    z = torch.ones(10, 2, 4)
    domain = torch.tensor([[0, 1]]).expand(10, 2)
    found = nearest(z, domain, range(10), domains="cross", first=1, last=4, duplicate=1.0)
    assert found.labels_nK[0].tolist() == [1, 2, 3, 4] and found.labels_nK[6].tolist() == [0, 1, 2, 3]


def test_negative_similarities_keep_their_order():
    z = torch.tensor([[[1.0, 0.0]], [[-1.0, 0.1]], [[-1.0, 0.5]], [[-0.2, 1.0]], [[0.0, -1.0]]])
    found = nearest(z, torch.zeros(5, 1), range(1), domains="any", first=1, last=4, duplicate=1.0)
    assert found.labels_nK[0].tolist() == [4, 3, 2, 1]
    assert (found.similarity_nK[0].diff() < 0).all()


def test_only_the_most_alike_duplicates_are_listed_and_all_are_counted(monkeypatch):
    monkeypatch.setattr(module, "LISTED", 3)
    monkeypatch.setattr(module, "ACROSS", 4)
    z = torch.stack([torch.tensor([[1.0, 0.01 * i]]) for i in range(12)])
    found = nearest(z, torch.zeros(12, 1), range(12), domains="any", first=1, last=2, duplicate=0.5)
    assert found.duplicates == 66 and len(found.pairs_M2) == 3 and (found.labels_nK == -1).all()
    assert [tuple(sorted(pair)) for pair in found.pairs_M2.tolist()] == [(10, 11), (9, 10), (8, 9)]

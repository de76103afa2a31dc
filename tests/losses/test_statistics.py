"""Statistics equal loops over the batch, and the advice follows them."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fashion.losses import advice
from fashion.losses.statistics import COLLAPSE_ADVICE, IDLE_ADVICE

from .batches import DOMAIN_MODES, batch_of, batches, loss_for, settings_for
from .oracle import Oracle


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


@settings(deadline=None, max_examples=40)
@given(batch=batches(), mode=st.sampled_from(DOMAIN_MODES), name=st.sampled_from(["triplet", "tuplet", "infonce"]))
def test_equals_the_loop(batch, mode, name):
    s = settings_for(name, domains=mode[0], direction=mode[1])
    norms = torch.arange(len(batch.z)) + 0.5
    found = loss_for(s, batch)(batch.z, *batch.what, norms_B=norms).statistics
    o, margin = Oracle(batch, s), s.filled().margin or 0.0
    near = [(a, p) for a, positives in enumerate(o.positives) for p in positives]
    far = [(a, n) for a, negatives in enumerate(o.negatives) for n in negatives]
    triplets = [(a, p, n) for a, p in near for n in o.negatives[a]]
    expected = {
        "anchors": mean([float(bool(p)) for p in o.positives]),
        "active": mean([float(o.d[a, n] < o.d[a, p] + margin) for a, p, n in triplets]),
        "positive_distance": mean([o.d[pair].item() for pair in near]),
        "negative_distance": mean([o.d[pair].item() for pair in far]),
        "norm": mean(norms.tolist()),
    }
    for key, value in expected.items():
        torch.testing.assert_close(float(found[key]), value, rtol=1e-5, atol=1e-7)


def test_a_collapse_is_seen_and_advice_given():
    batch = batch_of(8, 2)
    for spread, collapsed in ((1.0, 0.0), (0.001, 1.0)):
        z = torch.nn.functional.normalize(batch.z.detach()[:1] + spread * batch.z.detach())
        for distance in ("cosine", "euclidean", "squared-euclidean"):
            s = settings_for("triplet", distance=distance)
            found = {key: value.item() for key, value in loss_for(s, batch)(z, *batch.what).statistics.items()}
            assert found["collapsed"] == collapsed
            assert advice(found) == (COLLAPSE_ADVICE if collapsed else None)


def test_a_batch_of_one_domain_is_told_what_to_set():
    batch = batch_of(8, 2)
    found = loss_for(settings_for("tuplet"), batch)(batch.z, batch.labels, torch.ones_like(batch.labels)).statistics
    assert advice({key: value.item() for key, value in found.items()}) == IDLE_ADVICE
    assert "loss.domains" in IDLE_ADVICE

"""Losses on labels against loops over pictures, slots and attributes, in float64; what is unknown adds nothing."""

import math

import pytest
import torch

from fashion.losses import labels as of
from fashion.losses.settings import TASKS

N, C, A = 9, 4, 5


def given(seed=0):
    """Estimates, and labels of which some are missing in every way that there is."""
    g = torch.Generator().manual_seed(seed)
    found = {
        "landmarks": torch.randn(N, 8, 2, generator=g, dtype=torch.float64),
        "visibility": torch.randn(N, 8, 4, generator=g, dtype=torch.float64) * 3,
        "category": torch.randn(N, C, generator=g, dtype=torch.float64) * 3,
        "attributes": torch.randn(N, A, generator=g, dtype=torch.float64) * 3,
    }
    truth = torch.rand(N, 8, 3, generator=g)
    truth[..., 0] = torch.randint(-1, 3, (N, 8), generator=g).float()
    truth[2:4] = 0
    truth[2:4, :, 0] = of.NOT_ANNOTATED
    labels = of.Labels(
        category_N=torch.tensor([0, 3, -1, 2, -1, 1, 1, 0, 3]),
        attributes_NA=torch.rand(N, A, generator=g) < 0.4,
        known_NA=torch.rand(N, A, generator=g) < 0.7,
        landmarks_N83=truth,
    )
    labels.known_NA[4] = False
    return found, labels


BALANCE = of.Balance(torch.tensor([2.0, 1.0, 0.5, 3.0, 1.0]), torch.tensor([0.5, 1.0, 2.0, 0.6, 1.0]))


def losses(found, labels):
    return {
        "landmarks": of.landmark_loss(found["landmarks"], labels.landmarks_N83),
        "visibility": of.visibility_loss(found["visibility"], labels.landmarks_N83),
        "category": of.category_loss(found["category"], labels.category_N),
        "attributes": of.attribute_loss(found["attributes"], labels.attributes_NA, labels.known_NA, BALANCE),
    }


def entropy(logits, target):
    return math.log(sum(math.exp(v) for v in logits)) - logits[target]


def oracle(found, labels):
    """name -> terms, one a counted part."""
    terms = {name: [] for name in TASKS}
    for n in range(N):
        for slot in range(8):
            visibility, x, y = labels.landmarks_N83[n, slot].double().tolist()
            if visibility == 0:
                fx, fy = found["landmarks"][n, slot].tolist()
                terms["landmarks"].append((fx - x) ** 2 + (fy - y) ** 2)
            if visibility != -2:
                target = 3 if visibility == -1 else int(visibility)
                terms["visibility"].append(entropy(found["visibility"][n, slot].tolist(), target))
        if labels.category_N[n] >= 0:
            terms["category"].append(entropy(found["category"][n].tolist(), int(labels.category_N[n])))
        for a in range(A):
            if labels.known_NA[n, a]:
                p = 1 / (1 + math.exp(-float(found["attributes"][n, a])))
                present = bool(labels.attributes_NA[n, a])
                weight = float((BALANCE.present_A if present else BALANCE.absent_A)[a])
                terms["attributes"].append(-weight * math.log(p if present else 1 - p))
    return terms


@pytest.mark.parametrize("seed", range(3))
def test_sums_and_counts_are_those_of_loops(seed):
    found, labels = given(seed)
    for name, terms in oracle(found, labels).items():
        result = losses(found, labels)[name]
        assert int(result.count) == len(terms) > 0, name
        assert float(result.total) == pytest.approx(sum(terms), rel=1e-10), name


@pytest.mark.parametrize("name", TASKS)
def test_gradients_are_the_numerical_ones(name):
    found, labels = given(1)

    def total(x):
        return losses(found | {name: x}, labels)[name].total

    assert torch.autograd.gradcheck(total, (found[name].requires_grad_(),))


def test_parts_of_a_batch_add_up_to_the_whole():
    found, labels = given(2)
    whole = losses(found, labels)
    parts = []
    for part in (slice(0, 1), slice(1, 5), slice(5, None)):
        parts.append(losses({k: v[part] for k, v in found.items()}, labels.map(lambda x, part=part: x[part])))
    for name in TASKS:
        assert sum(int(p[name].count) for p in parts) == int(whole[name].count)
        torch.testing.assert_close(sum(p[name].total for p in parts), whole[name].total)
    joined = labels.map(lambda x: x[:4]).followed_by(labels.map(lambda x: x[4:]))
    assert torch.equal(joined.landmarks_N83, labels.landmarks_N83) and torch.equal(joined.known_NA, labels.known_NA)


@pytest.mark.parametrize("name", TASKS)
def test_pictures_without_the_label_get_no_gradient_and_a_batch_without_it_gets_zeros(name):
    found, labels = given(3)
    unknown = {"landmarks": [2, 3], "visibility": [2, 3], "category": [2, 4], "attributes": [4]}[name]
    x = found[name].requires_grad_()
    losses(found, labels)[name].total.backward()
    touched = x.grad.flatten(1).abs().sum(1) > 0
    assert not touched[unknown].any() and touched.any()
    x.grad = None
    nothing = of.Labels(
        torch.full((N,), -1), labels.attributes_NA, torch.zeros(N, A, dtype=torch.bool), torch.full((N, 8, 3), -2.0)
    )
    result = losses(found, nothing)[name]
    result.total.backward()
    assert int(result.count) == 0 and float(result.total.detach()) == 0 and (x.grad == 0).all()


def test_only_visible_landmarks_are_regressed():
    found, labels = given(4)
    x = found["landmarks"].requires_grad_()
    of.landmark_loss(x, labels.landmarks_N83).total.backward()
    assert torch.equal(x.grad.abs().sum(2) > 0, labels.landmarks_N83[..., 0] == 0)


def test_no_names_are_no_loss():
    _, labels = given()
    empty = torch.zeros(N, 0, requires_grad=True)
    assert int(of.category_loss(empty, labels.category_N).count) == 0
    none = torch.zeros(N, 0, dtype=torch.bool)
    no_balance = of.Balance(torch.zeros(0), torch.zeros(0))
    (
        of.attribute_loss(empty, none, none, no_balance).total + of.category_loss(empty, labels.category_N).total
    ).backward()
    assert empty.grad.shape == (N, 0)


def test_balanced_weights_give_presences_and_absences_equal_sums_and_an_entry_weight_one():
    positives, pictures = torch.tensor([10.0, 500.0, 0.0, 900.0]), torch.tensor([1000.0, 1000.0, 1000.0, 950.0])
    one = of.balance_of(positives, pictures, "set")
    present = (positives * one.present_A).sum()
    absent = ((pictures - positives) * one.absent_A).sum()
    assert float(present / absent) == pytest.approx(1, abs=2e-3)
    assert float((present + absent) / pictures.sum()) == pytest.approx(1, abs=2e-3)
    assert len(set(one.present_A.tolist())) == 1
    own = of.balance_of(positives, pictures, "attribute")
    ratio = (positives * own.present_A) / ((pictures - positives) * own.absent_A)
    assert ratio[[0, 1, 3]].tolist() == pytest.approx([1, 1, 1], abs=0.1)
    assert own.present_A.isfinite().all() and own.present_A[2] == 501  # what never occurs: 1002 pictures, one of them
    assert (of.balance_of(positives, pictures, "none").present_A == 1).all()

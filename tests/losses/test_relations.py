"""Which image is whose positive and negative, against loops, for the batch and for references."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fashion.errors import InputError
from fashion.losses.relations import CONSUMER, SHOP, Identity, relate

from .batches import DOMAIN_MODES, batches

MODES = [*DOMAIN_MODES, ("cross", "shop-to-consumer")]


def identity(batch) -> Identity:
    return Identity(labels=batch.labels, domains=batch.domains, pairs=batch.pairs)


@settings(deadline=None, max_examples=60)
@given(
    anchors=batches(), references=batches(), mode=st.sampled_from(MODES), positives=st.sampled_from(["item", "pair"]),
    own=st.booleans(),
)  # fmt: skip
def test_equals_the_loop(anchors, references, mode, positives, own):
    a, r = identity(anchors), identity(references)
    own_A = torch.arange(len(a.labels)) - 1 if own else None  # the first anchor is not among the references
    found = relate(a, r, domains=mode[0], direction=mode[1], positives=positives, own_A=own_A)
    for i in range(len(a.labels)):
        positive, negative = set(), set()
        for j in range(len(r.labels)):
            other_domain = int(a.domains[i]) != int(r.domains[j])
            if (mode[0], other_domain) in (("cross", False), ("within", True)):
                continue
            if mode[1] == "consumer-to-shop" and int(a.domains[i]) != CONSUMER:
                continue
            if mode[1] == "shop-to-consumer" and int(a.domains[i]) != SHOP:
                continue
            if int(a.labels[i]) != int(r.labels[j]):
                negative.add(j)
            elif not (own and j == i - 1) and (positives == "item" or int(a.pairs[i]) == int(r.pairs[j]) >= 0):
                positive.add(j)
        if not (positive and negative):
            positive, negative = set(), set()
        assert set(found.positive_AR[i].nonzero().flatten().tolist()) == positive
        assert set(found.negative_AR[i].nonzero().flatten().tolist()) == negative


@pytest.mark.parametrize("first", [2**24, 2**53, 2**62])
def test_huge_item_ids_do_not_collide(first):
    labels = torch.tensor([first, first, first + 1])
    who = Identity(labels=labels, domains=torch.zeros_like(labels))
    found = relate(who, who, own_A=torch.arange(3))
    assert found.positive_AR.tolist() == [[False, True, False], [True, False, False], [False] * 3]
    assert found.negative_AR.tolist() == [[False, False, True], [False, False, True], [False] * 3]


def test_floating_labels_are_refused():
    labels = torch.tensor([1.0, 2.0])
    with pytest.raises(ValueError, match=r"labels: found torch.float32 \(2,\), expected integers \(2,\)"):
        Identity(labels=labels, domains=torch.tensor([0, 1]))


def test_pair_positives_without_pairs_name_the_setting():
    who = Identity(labels=torch.tensor([1, 1]), domains=torch.tensor([0, 1]))
    with pytest.raises(InputError, match=r"^loss\.positives: found pair, but the data has no pairs"):
        relate(who, who, positives="pair")

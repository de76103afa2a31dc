"""The plan of batches and the views: what every epoch sees, whatever the workers."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fashion.data.plan import Plan
from fashion.data.views import choose_pairs, choose_views
from fashion.errors import InputError


def labels_of(plan: Plan, epoch: int, number: int) -> list[list[int]]:
    ticket = plan.ticket(epoch, number)
    labels = [ticket.groups[g].start + r for g, r in zip(ticket.group, ticket.row, strict=True)]
    P = plan.items_per_step
    return [labels[i : i + P] for i in range(0, len(labels), P)]


@settings(max_examples=60, deadline=None)
@given(groups=st.lists(st.integers(1, 70), min_size=1, max_size=40), P=st.integers(2, 200), epoch=st.integers(0, 5))
def test_an_epoch_sees_every_item_and_no_step_holds_one_twice(groups, P, epoch):
    shards = [SimpleNamespace(name=f"s{i}", groups=tuple(groups[i::3])) for i in range(3)]
    if sum(groups) < P:
        with pytest.raises(InputError, match=r"batch\.items: found"):
            Plan.of(shards, items_per_step=P, seed=1)
        return
    plan = Plan.of(shards, items_per_step=P, seed=1)
    steps = [step for number in range(plan.tickets()) for step in labels_of(plan, epoch, number)]
    assert len(steps) == plan.steps == -(-sum(groups) // P)
    assert all(len(step) == len(set(step)) == P for step in steps)
    seen = Counter(label for step in steps for label in step)
    assert set(seen) == set(range(sum(groups)))
    assert sum(seen.values()) - len(seen) == plan.steps * P - plan.items  # only the last step's fill repeats
    assert max(seen.values()) <= 2


def test_epochs_and_seeds_differ_and_the_same_seed_repeats():
    shards = [SimpleNamespace(name="s", groups=(64,) * 20)]
    plans = [Plan.of(shards, items_per_step=32, seed=seed) for seed in (0, 0, 1)]
    orders = [[labels_of(p, e, n) for e in range(2) for n in range(p.tickets())] for p in plans]
    assert orders[0] == orders[1] != orders[2]
    half = len(orders[0]) // 2
    assert orders[0][:half] != orders[0][half:]


def test_a_ticket_mixes_row_groups_of_the_whole_split():
    plan = Plan.of([SimpleNamespace(name=str(i), groups=(64,)) for i in range(40)], items_per_step=64, seed=0)
    step = labels_of(plan, 0, 0)[0]
    assert len({label // 64 for label in step}) > 5


@settings(max_examples=100, deadline=None)
@given(consumer=st.integers(0, 9), shop=st.integers(0, 9), count=st.integers(1, 8), seed=st.integers(0, 3))
def test_views_are_balanced_distinct_and_use_every_image(consumer, shop, count, seed):
    if not consumer + shop:
        return
    domains = ["consumer"] * consumer + ["shop"] * shop
    epochs = 2 * max(consumer, shop) + 2
    draws = [choose_views(domains, count, seed=seed, epoch=e, item="id_1") for e in range(epochs)]
    for draw in draws:
        assert len(draw) == count
        per_domain = Counter(domains[i] for i in draw)
        if consumer and shop:
            assert abs(per_domain["consumer"] - per_domain["shop"]) <= 1
        for name, held in (("consumer", consumer), ("shop", shop)):
            mine = [i for i in draw if domains[i] == name]
            if len(mine) <= held:
                assert len(set(mine)) == len(mine)  # none twice while there are others
    if count > 1 or not (consumer and shop):
        share = max(1, count // 2 if consumer and shop else count)
        reach = -(-max(consumer, shop) // share)
        assert {i for draw in draws[:reach] for i in draw} == set(range(len(domains)))
    assert draws == [choose_views(domains, count, seed=seed, epoch=e, item="id_1") for e in range(epochs)]


def test_pairs_put_a_consumer_photo_beside_a_shop_photo_it_is_annotated_with():
    domains = ["consumer", "consumer", "consumer", "shop", "shop"]
    images = ["c0", "c1", "c2", "s0", "s1"]
    pairs = [["s0"], ["s1", "elsewhere"], [], None, None]
    used = set()
    for epoch in range(6):
        views = choose_pairs(domains, images, pairs, 2, seed=0, epoch=epoch, item="a")
        (consumer, partner), (shop, itself) = views
        assert partner == shop == itself and images[shop] in pairs[consumer]
        used |= {consumer, shop}
    assert used == {0, 1, 3, 4}  # c2 has no pair and is no view
    alone = choose_pairs(["consumer", "shop"], ["c", "s"], [None, None], 2, seed=0, epoch=0, item="a")
    assert sorted(alone) == [(0, -1), (1, 1)]


def test_deals_of_different_items_are_independent():
    draws = {tuple(choose_views(["shop"] * 6, 3, seed=0, epoch=0, item=f"id_{i}")) for i in range(200)}
    assert len(draws) > 80
    assert np.std([draw[0] for draw in draws]) > 1

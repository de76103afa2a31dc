"""Plans over more row groups than anyone wants to list: the same properties, in memory that does not grow with them."""

import tracemalloc
from collections import Counter
from types import SimpleNamespace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fashion.data import plan as plans
from fashion.data.many_groups import ManyGroups
from fashion.data.permutation import Permutation
from fashion.data.plan import Plan, listed
from tests.data.test_plan import labels_of

BILLION, GROUP, SHARD = 10**9, 64, 10_000  # items, of a row group, of a shard


@settings(max_examples=100, deadline=None)
@given(count=st.integers(1, 3000), seed=st.integers(0, 5))
def test_a_permutation_takes_each_place_once(count, seed):
    found = Permutation(count, seed, "test")(np.arange(count))
    assert sorted(found.tolist()) == list(range(count))


def test_permutations_differ_by_seed_and_leave_no_order():
    places = np.arange(100_000)
    one, same, other = (Permutation(100_000, seed)(places) for seed in (1, 1, 2))
    assert (one == same).all() and (one == other).mean() < 0.001
    assert abs(np.corrcoef(places, one)[0, 1]) < 0.02 and abs(np.corrcoef(one[:-1], one[1:])[0, 1]) < 0.02
    # A tenth of the places goes to all tenths alike: chi-squared with 9 degrees of freedom.
    counts = np.bincount(one[:10_000] // 10_000, minlength=10)
    assert ((counts - 1000) ** 2 / 1000).sum() < 27.9  # p = 0.001


def shards_of(groups):
    return [SimpleNamespace(name=f"shard {i}", groups=tuple(sizes)) for i, sizes in enumerate(groups)]


@settings(max_examples=60, deadline=None)
@given(
    groups=st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=9), min_size=1, max_size=12),
    P=st.integers(2, 20), epoch=st.integers(0, 3), regular=st.booleans(),
)  # fmt: skip
def test_an_epoch_sees_every_item_and_no_step_holds_one_twice(groups, P, epoch, regular):
    shards = shards_of([[9] * len(sizes) + [sizes[0]] if regular else sizes for sizes in groups])
    held = ManyGroups(shards)
    everything = listed(shards)
    assert held.items == sum(group.items for group in everything)
    if held.items < P:
        return
    plan = Plan(groups=held, items_per_step=P, seed=1, ticket_items=3 * P)
    steps = [step for number in range(plan.tickets()) for step in labels_of(plan, epoch, number)]
    assert len(steps) == plan.steps == -(-held.items // P)
    assert all(len(step) == len(set(step)) == P for step in steps)
    seen = Counter(label for step in steps for label in step)
    assert set(seen) == set(range(held.items))
    assert sum(seen.values()) - len(seen) == plan.steps * P - held.items and max(seen.values()) <= 2
    assert plan.listed == everything


def test_items_of_row_groups_that_are_not_full_come_all_the_time():
    held = ManyGroups(shards_of([[10] * 9 + [5]] * 100))
    numbers, _ = held.at(np.arange(held.items), 0, 0)
    few = numbers >= held.full[-1]
    for tenth in np.split(few, 10):
        assert tenth.sum() == few.sum() / 10


def test_few_row_groups_are_planned_as_ever(monkeypatch):
    shards = shards_of([[64] * 20 + [3]] * 4)
    plan = Plan.of(shards, items_per_step=32, seed=0)
    assert plan.groups == listed(shards)
    monkeypatch.setattr(plans, "MANY", 50)
    many = Plan.of(shards, items_per_step=32, seed=0)
    assert isinstance(many.groups, ManyGroups) and (many.items, many.steps) == (plan.items, plan.steps)
    assert labels_of(many, 0, 0) != labels_of(plan, 0, 0)


def memory_of(items: int) -> int:
    """Bytes, at most, of a plan over so many items and of tickets at both ends of it."""

    class Shards:
        """As a manifest gives them, one at a time."""

        def __iter__(self):
            sizes = (GROUP,) * (SHARD // GROUP) + (SHARD % GROUP,)
            for number in range(items // SHARD):
                yield SimpleNamespace(name=f"train/shard-{number:05d}", groups=sizes)

    tracemalloc.start()
    plan = Plan(groups=ManyGroups(Shards()), items_per_step=512, seed=0)
    for epoch in (0, 1000):
        for number in (0, plan.tickets() // 2, plan.tickets() - 1):
            ticket = plan.ticket(epoch, number)
            assert len(ticket.row) == 512 * ticket.steps
    assert plan.items == items
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def test_a_billion_items_are_planned_in_the_memory_of_a_million():
    small, large = memory_of(10**6), memory_of(BILLION)
    assert large - small < 30 << 20  # bytes: a tenth of what the process takes that plans

"""Hard batches: every item still once an epoch, neighbours together, and a pure function of what is in the files."""

import pickle
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fashion.data.hard_plan import HardPlan, arrange, form_groups
from fashion.data.mining import MiningSettings
from fashion.data.neighbours import Neighbours, file_of, forget_after, read_neighbours, write_neighbours
from fashion.data.plan import Plan
from fashion.data.rows import ItemGroup, read_columns
from fashion.data.scattered import ScatteredReader
from fashion.errors import InputError
from fashion.storage import Store
from tests.catalogues import make_table, photos
from tests.data.test_plan import labels_of


def plan_of(groups, P, seed=1, shards=3):
    return Plan.of(
        [SimpleNamespace(name=f"s{i}", groups=tuple(groups[i::shards])) for i in range(shards)],
        items_per_step=P,
        seed=seed,
    )


def some_neighbours(N, K, seed=0):
    """Nearest first by places on a line, a few of them missing."""
    place = np.random.default_rng(seed).random(N)
    distance = np.abs(place[:, None] - place)
    np.fill_diagonal(distance, np.inf)
    nearest = distance.argsort(1, kind="stable")[:, :K].astype(np.int32)
    nearest = np.pad(nearest, ((0, 0), (0, K - nearest.shape[1])), constant_values=-1)
    nearest[-1] = -1
    return nearest


def hard_plan(tmp_path, plan, nearest, **mining):
    run = Store(tmp_path)
    m = MiningSettings(**{"every": 1, "start": 1, "last_rank": nearest.shape[1], "group": 3} | mining)
    similarity = np.zeros(nearest.shape, np.float32)
    found = Neighbours(nearest_NK=nearest, similarity_NK=similarity, origin={"data": "d", "network": "n", "epoch": 1})
    write_neighbours(run, 1, found)
    return HardPlan.over(plan, m, run, "d")


@settings(max_examples=80, deadline=None)
@given(
    groups=st.lists(st.integers(1, 70), min_size=1, max_size=30),
    P=st.integers(4, 150),
    share=st.floats(0.05, 1),
    group=st.integers(2, 6),
    epoch=st.integers(0, 5),
)
def test_an_epoch_sees_every_item_and_no_step_holds_one_twice(groups, P, share, group, epoch):
    N = sum(groups)
    if N < P:
        return
    plan = plan_of(groups, P)
    steps = arrange(plan, some_neighbours(N, 12), share=share, group=group, epoch=epoch)
    assert steps.shape == (plan.steps, P)
    assert all(len(set(step)) == P for step in steps.tolist())
    seen = Counter(steps.ravel().tolist())
    assert set(seen) == set(range(N))
    assert sum(seen.values()) - N == plan.steps * P - N  # only what has to be filled repeats


def test_groups_are_an_anchor_and_its_nearest_that_are_free():
    nearest = some_neighbours(200, 10)
    groups = form_groups(nearest, 4, most=1000, random=np.random.default_rng(3))
    assert len(set(groups.ravel().tolist())) == groups.size
    free = set(range(200))
    for anchor, *others in groups.tolist():
        expected = [x for x in nearest[anchor].tolist() if x in free and x >= 0][:3]
        assert others == expected
        free -= {anchor, *others}
    assert groups.size > 100
    assert len(form_groups(nearest, 4, most=7, random=np.random.default_rng(3))) == 7


def test_half_of_each_step_stands_in_groups_and_the_rest_comes_from_few_row_groups(tmp_path):
    N, P = 64 * 64, 64
    nearest = ((np.arange(N)[:, None] + 512 * np.arange(1, 8)) % N).astype(np.int32)  # families of 8, far apart
    plan = hard_plan(tmp_path, plan_of([64] * 64, P), nearest, share=0.5, group=4)
    together = []
    for step in labels_of(plan, 1, 0):
        families = Counter(label % 512 for label in step)
        together.append(sum(count for count in families.values() if count >= 4))
    assert min(together) >= P // 2
    random = labels_of(plan_of([64] * 64, P), 1, 0)[0]
    assert max(Counter(label % 512 for label in random).values()) < 4
    assert len(plan.ticket(1, 0).groups) <= 64


def test_epochs_before_the_start_are_those_of_a_random_plan_and_tickets_make_up_the_epoch(tmp_path):
    plan = plan_of([64] * 20, 32)
    hard = hard_plan(tmp_path, plan, some_neighbours(1280, 8), start=1, every=2)
    assert [labels_of(hard, 0, n) for n in range(3)] == [labels_of(plan, 0, n) for n in range(3)]
    for epoch in (1, 2):  # both by the file of epoch 1
        steps = [step for number in range(hard.tickets()) for step in labels_of(hard, epoch, number)]
        assert steps == hard.labels(epoch).tolist()
        assert {label for step in steps for label in step} == set(range(1280))
    assert hard.labels(1).tolist() != hard.labels(2).tolist()


def test_a_plan_that_travelled_and_starts_in_the_middle_draws_the_same(tmp_path):
    plan = hard_plan(tmp_path, plan_of([64] * 20, 32), some_neighbours(1280, 8))
    first = [labels_of(plan, 1, n) for n in range(plan.tickets())]
    other = pickle.loads(pickle.dumps(plan))
    assert [labels_of(other, 1, n) for n in reversed(range(plan.tickets()))] == first[::-1]


def test_an_epoch_is_ready_once_the_neighbours_of_its_batches_are_there(tmp_path):
    plan = plan_of([64] * 2, 16)
    hard = HardPlan.over(plan, MiningSettings(every=2, start=1, group=2), Store(tmp_path), "d")
    assert [hard.ready(epoch) for epoch in range(5)] == [True, False, False, False, False]
    hard_plan(tmp_path, plan, some_neighbours(128, 16), group=2)  # writes those of epoch 1
    assert [hard.ready(epoch) for epoch in range(5)] == [True, True, True, False, False]
    assert all(plan.ready(epoch) for epoch in range(5))


def test_what_no_checkpoint_holds_is_forgotten(tmp_path):
    run = Store(tmp_path)
    for epoch in (1, 3, 5):
        write_neighbours(
            run,
            epoch,
            Neighbours(nearest_NK=np.zeros((2, 1), np.int32), similarity_NK=np.zeros((2, 1), np.float32), origin={}),
        )
    forget_after(run, 3)
    assert run.names("neighbours") == [file_of(1), file_of(3)]


@pytest.mark.parametrize("spoilt", ["cut", "other data", "no such item", "other items"])
def test_a_damaged_or_foreign_file_is_named(tmp_path, spoilt):
    run = Store(tmp_path)
    nearest = some_neighbours(20, 4)
    if spoilt == "no such item":
        nearest[3, 1] = 20
    origin = {"data": "e" if spoilt == "other data" else "d"}
    write_neighbours(run, 2, Neighbours(nearest_NK=nearest, similarity_NK=np.zeros((20, 4), np.float32), origin=origin))
    if spoilt == "cut":
        run.write(file_of(2), run.read(file_of(2))[:-7])
    words = "holds no neighbours of this table's" if "other" in spoilt else "is damaged"
    with pytest.raises(InputError, match=rf"neighbours/epoch=0002\.safetensors: {words}"):
        read_neighbours(run, 2, items=21 if spoilt == "other items" else 20, data="d")


def test_the_epoch_whose_neighbours_count():
    m = MiningSettings(every=3, start=2)
    assert [m.of(epoch) for epoch in range(9)] == [None, None, 2, 2, 2, 5, 5, 5, 8]
    assert MiningSettings().of(5) is None


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"share": 0.0}, r"mining\.share: found 0\.0, expected above 0 to 1"),
        ({"group": 1}, r"mining\.group: found 1, expected at least 2"),
        ({"every": -1}, r"mining\.every: found -1, expected at least 0"),
        ({"duplicate": 1.5}, r"mining\.duplicate: found 1\.5, expected -1 to 1"),
        ({"group": 8, "last_rank": 6}, r"mining\.last_rank: found 6, expected at least 7, for a group of 8"),
    ],
)
def test_impossible_settings_are_told(values, line):
    with pytest.raises(InputError, match=line):
        MiningSettings(**values)


def test_a_step_without_room_for_a_group_is_told(tmp_path):
    with pytest.raises(
        InputError, match=r"mining\.group: found 4, but mining\.share 0\.5 of batch\.items 6 is 3 items"
    ):
        HardPlan.over(plan_of([64], 6), MiningSettings(every=1), Store(tmp_path), "d")


@pytest.mark.parametrize("kept", [0, 60_000, 1 << 30])
def test_scattered_items_are_read_as_from_whole_row_groups_and_few_are_kept(tmp_path, kept):
    table = make_table(Store(tmp_path / "table"), photos(60, splits=("train",)))
    plan = Plan.of(table.shards("train"), items_per_step=8, seed=0)
    hard = hard_plan(tmp_path / "run", plan, some_neighbours(60, 8))
    columns = read_columns(["domain", "image"])
    reader, reads = ScatteredReader(table, columns, kept=kept), []
    read_groups = table.read_groups
    table.read_groups = lambda names, columns: reads.extend(names) or read_groups(names, columns)
    for number in [*range(hard.tickets())] * 2:
        ticket = hard.ticket(1, number)
        for n, (planned, rows) in enumerate(zip(ticket.groups, reader.read(ticket), strict=True)):
            got, whole = ItemGroup(rows), ItemGroup(table.read(planned.shard, planned.index, columns))
            assert got.items == whole.items
            wanted = set(ticket.row[ticket.group == n].tolist())
            assert all(
                got.of("image", row) == (whole.of("image", row) if row in wanted else [])
                for row in range(len(got.items))
            )
            for row in wanted:
                for i in range(len(whole.of("image", row))):
                    a, b = got.start[row] + i, whole.start[row] + i
                    assert got.bytes[got.ends[a] : got.ends[a + 1]] == whole.bytes[whole.ends[b] : whole.ends[b + 1]]
        assert reader.bytes == sum(rows.nbytes for rows in reader.groups.values()) <= kept
    assert (len(reads) == len(set(reads))) == (kept == 1 << 30)

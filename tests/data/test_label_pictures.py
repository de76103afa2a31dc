"""Pictures that join for their labels alone: the same for any number of slots and after any resume, each one in turn;
and a stream without labels is what it was."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from fashion.data import feed
from fashion.data.decode import decode
from fashion.data.feed import Feed, FeedSettings
from fashion.data.label_pictures import LabelTables
from fashion.data.labels import vocabulary_of
from fashion.data.plan import Plan
from fashion.errors import InputError
from fashion.storage import Store
from tests.catalogues import make_table, photos, with_labels

P, L, SIZE = 4, 4, 12
WORDS = {"categories": ("Tee", "Dress"), "attributes": ("v", "striped")}


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    root = tmp_path_factory.mktemp("label_pictures")
    sets = [with_labels(photos(n, splits=("train",), seed=1000 * n), **WORDS) for n in (10, 7, 6)]
    tables = [make_table(Store(root / str(i)), rows, group=3) for i, rows in enumerate(sets)]
    pixels = {decode(p.jpeg, size=(SIZE, SIZE)).tobytes(): (i, p) for i, rows in enumerate(sets) for p in rows}
    assert len(pixels) == sum(map(len, sets))
    return tables, pixels


def feed_of(tables, *, slots=1, names=True, labelled=True):
    plan = Plan.of(tables[0].shards("train"), items_per_step=P, seed=3)
    found = LabelTables.of(tables[1:], pictures=L, steps=plan.ticket_steps, seed=3) if labelled else None
    settings = FeedSettings(
        views=2, size=SIZE, slots=slots, crop="whole", pairs=False, vocabulary=vocabulary_of(*tables) if names else None
    )
    return Feed(tables[0], plan, settings, found), plan


def steps_of(tables, epochs, **options):
    """Every step's arrays, of the slots together."""
    feed, plan = feed_of(tables, **options)
    slots = feed.settings.slots
    for epoch in epochs:
        for number in range(plan.tickets()):
            rows = list(feed.rows(plan.ticket(epoch, number)))
            for first in range(0, len(rows), slots):
                for t in range(rows[first]["step"].shape[1]):
                    parts = [{k: v[0, t] for k, v in row.items()} for row in rows[first : first + slots]]
                    yield {k: np.stack([p[k] for p in parts]) for k in parts[0]}


def pictures(step):
    return step["labelled_images"].reshape(-1, 3, SIZE, SIZE)


def test_labels_stand_beside_the_picture_that_they_are_of(held):
    tables, pixels = held
    vocabulary = vocabulary_of(*tables)
    seen = 0
    for step in steps_of(tables, range(3)):
        for prefix, shape in (("", (P * 2,)), ("labelled_", (L,))):
            flat = {
                k: step[prefix + k].reshape(*shape, *step[prefix + k].shape[-n:] if n else ())
                for k, n in (
                    ("images", 3),
                    ("category", 0),
                    ("attributes", 1),
                    ("attributes_known", 1),
                    ("landmarks", 2),
                )
            }
            for i in range(shape[0]):
                number, photo = pixels[flat["images"][i].tobytes()]
                assert (number == 0) == (prefix == "")
                category = int(flat["category"][i])
                assert (vocabulary.categories[category] if category >= 0 else None) == photo.category
                assert flat["attributes_known"][i].all() == (photo.attributes is not None)
                present = {vocabulary.attributes[a] for a in np.flatnonzero(flat["attributes"][i])}
                assert present == set(photo.attributes or ())
                assert (flat["landmarks"][i, 0, 0] == -2) == (photo.landmarks is None)
                seen += 1
    assert seen == 3 * 3 * (2 * P + L)


def test_they_are_the_same_for_every_number_of_slots_and_size_of_a_row(held, monkeypatch):
    tables, _ = held
    whole = list(steps_of(tables, range(2)))
    for slots, row_bytes in ((2, 1), (4, 1 << 30), (2, 12_000)):
        monkeypatch.setattr(feed, "ROW_BYTES", row_bytes)
        for mine, theirs in zip(whole, steps_of(tables, range(2), slots=slots), strict=True):
            for name in ("images", "category", "landmarks", "attributes"):
                shape = (-1, *mine[name].shape[3:]), (-1, *mine["labelled_" + name].shape[2:])
                assert np.array_equal(mine[name].reshape(shape[0]), theirs[name].reshape(shape[0])), name
                name = "labelled_" + name
                assert np.array_equal(mine[name].reshape(shape[1]), theirs[name].reshape(shape[1])), name


def test_a_resumed_stream_goes_on_with_the_same_ones(held):
    tables, _ = held
    whole = list(steps_of(tables, range(5)))
    later = list(steps_of(tables, range(3, 5)))
    assert len(later) == 2 * 3
    for mine, theirs in zip(whole[-len(later) :], later, strict=True):
        assert all(np.array_equal(mine[name], theirs[name]) for name in mine)


def test_their_epochs_are_their_own_and_every_picture_has_its_turn(held):
    tables, pixels = held
    steps = list(steps_of(tables, range(12)))  # 36 steps of 4: 9 epochs of the 13 items, of 4 steps each
    of_step = [[pixels[x.tobytes()] for x in pictures(step)] for step in steps]
    for epoch in range(9):
        shown = Counter((i, p.item) for step in of_step[4 * epoch : 4 * epoch + 4] for i, p in step)
        assert len(shown) == 13 and sum(shown.values()) == 16  # three fill the last step
    assert len({(i, p.image) for step in of_step for i, p in step}) == 39  # three photos an item, all of them
    assert any([p for _, p in a] != [p for _, p in b] for a, b in pairwise(of_step[::4]))


def test_a_stream_without_labels_reads_no_column_and_yields_no_array_more_than_before(held):
    tables, _ = held
    feed, _ = feed_of(tables, names=False, labelled=False)
    assert feed.columns == ["item", "images.list.element.domain", "images.list.element.jpeg"]
    plain = list(steps_of(tables, range(2), names=False, labelled=False))
    assert plain[0].keys() == {"epoch", "step", "slot", "label", "domain", "image", "pair", "images"}
    for mine, theirs in zip(plain, steps_of(tables, range(2)), strict=True):
        assert all(np.array_equal(mine[name], theirs[name]) for name in mine)


def test_more_pictures_a_step_than_there_are_is_refused(held):
    tables, _ = held
    with pytest.raises(
        InputError, match=r"^batch\.labels: found 14, but the tables of --labels have 13 training items"
    ):
        LabelTables.of(tables[1:], pictures=14, steps=1, seed=0)

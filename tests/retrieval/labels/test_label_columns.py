"""Embedding shards of a network that predicts labels: each row is what the network says of its picture alone."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from catalogues import changed, embed_here, embedder, make_run, make_table, photos, with_labels

from fashion.data.boxes import usable_box
from fashion.data.decode import decode
from fashion.networks.files import load_network
from fashion.retrieval.carry import Earlier
from fashion.retrieval.embeddings import read_embeddings
from fashion.retrieval.labels.columns import CATEGORY_SCORES, SCHEMA, Predictions, label_columns
from fashion.retrieval.labels.space import LabelSpace
from fashion.retrieval.labels.truth import Truth
from fashion.storage import Store
from fashion.training.checkpoint import NETWORK, checkpoints
from fashion.vocabulary import Vocabulary

CATEGORIES, ATTRIBUTES = ("Dress", "Skirt", "Tee"), ("dotted", "long", "red", "v-neck")
VOCABULARY = Vocabulary(categories=("Tee", "Coat", "Dress"), attributes=("red", "blue", "long", "dotted"))
TYPES = {"dotted": "texture", "red": "texture", "long": "shape", "v-neck": "part"}
SHARDS = ["test/shard-00000", "test/shard-00001"]


def labelled(items: int):
    return with_labels(photos(items), categories=CATEGORIES, attributes=ATTRIBUTES)


def table_of(folder, rows, **options):
    return make_table(Store(folder), rows, types=TYPES, **options)


def held(out, columns=(*SCHEMA.names, "embedding", CATEGORY_SCORES)) -> dict:
    found = pa.concat_tables([Store(out).read_table(f"{name}.parquet") for name in SHARDS])
    return {row["image"]: {name: row[name] for name in columns} for row in found.to_pylist()}


def close(value, other) -> bool:
    """Equal, numbers but for rounding."""
    if isinstance(value, list):
        return len(value) == len(other) and all(map(close, value, other))
    return value == pytest.approx(other, abs=1e-4) if isinstance(value, float) else value == other


@pytest.mark.parametrize("crop", ["whole", "box"])
def test_every_row_is_what_the_network_says_of_its_picture_alone(tmp_path, crop):
    rows = labelled(7)
    run = make_run(tmp_path / "run", crop=crop, vocabulary=VOCABULARY)
    table = table_of(tmp_path / "table", rows)
    embed_here(table, embedder(run, batch=4), Store(tmp_path / "out"))
    network, _ = load_network(checkpoints(run)[0].store, NETWORK)
    network.eval()
    space = LabelSpace.of(VOCABULARY, table.manifest)
    found = held(tmp_path / "out")
    assert len(found) == len(rows)
    for row in rows:
        box = row.box if crop == "box" else None
        pixels = decode(row.jpeg, size=(32, 32), box=box)
        with torch.inference_mode():
            outputs = network.outputs(torch.from_numpy(pixels[None]))
        names = ("category_NC", "attribute_NA", "landmarks_N82", "visibility_N84")
        said = Predictions(**{name: getattr(outputs, name).numpy() for name in names})
        truth = Truth(
            category=row.category, attributes=row.attributes and list(row.attributes), landmarks=row.landmarks,
            part=usable_box(box, 60, 80) if box else (0, 0, 60, 80), size=(60, 80),
        )  # fmt: skip
        (expected,) = label_columns(said, [truth], space).to_pylist()
        expected |= {"embedding": outputs.z_ND[0].tolist()}
        expected |= {CATEGORY_SCORES: torch.softmax(outputs.category_NC[0], 0).sqrt().tolist()}
        for name, value in expected.items():
            assert close(value, found[row.image][name]), (row.image, name)


def test_an_unreadable_picture_leaves_the_rows_of_others_as_they_are(tmp_path):
    rows = labelled(6)
    run = make_run(tmp_path / "run", vocabulary=VOCABULARY)
    embed_here(table_of(tmp_path / "table", rows), embedder(run, batch=5), Store(tmp_path / "out"))
    expected = held(tmp_path / "out")
    del expected[rows[4].image]
    rows = changed(rows, rows[4].image, jpeg=rows[4].jpeg[:300])
    manifest = embed_here(table_of(tmp_path / "again", rows), embedder(run), Store(tmp_path / "less"))
    found = held(tmp_path / "less")
    assert manifest.unreadable == 1 and found.keys() == expected.keys()
    assert all(close(found[image][name], value) for image in found for name, value in expected[image].items())


def test_of_an_earlier_catalogue_rows_are_copied_and_those_with_new_annotations_judged_again(tmp_path):
    rows = labelled(8)
    run = make_run(tmp_path / "run", vocabulary=VOCABULARY)
    embed_here(table_of(tmp_path / "monday", rows), embedder(run), Store(tmp_path / "old"))
    other = "Tee" if rows[0].category != "Tee" else "Dress"
    rows = changed(rows, rows[0].image, category=other)
    rows = changed(rows, rows[1].image, attributes=("red", "v-neck"))
    table = table_of(tmp_path / "tuesday", rows[::-1], shards=2)
    embed_here(table, embedder(run), Store(tmp_path / "scratch"))
    manifest = embed_here(
        table, embedder(run), Store(tmp_path / "new"), earlier=Earlier(Store(tmp_path / "old"), SHARDS)
    )
    assert manifest.carried == len(rows) - 2
    expected, found = held(tmp_path / "scratch"), held(tmp_path / "new")
    assert found.keys() == expected.keys()
    assert all(close(found[image][name], value) for image in found for name, value in expected[image].items())
    # Another list of names, or of types, is another question.
    table = make_table(Store(tmp_path / "wednesday"), rows, types=TYPES | {"long": "part"})
    manifest = embed_here(
        table, embedder(run), Store(tmp_path / "third"), earlier=Earlier(Store(tmp_path / "old"), SHARDS)
    )
    assert manifest.carried == 0


def test_a_plain_network_stores_what_it_did(tmp_path):
    run = make_run(tmp_path / "run")
    embed_here(table_of(tmp_path / "table", labelled(5)), embedder(run), Store(tmp_path / "out"))
    found = read_embeddings(Store(tmp_path / "out"), SHARDS)
    assert set(found.vectors) == {"embedding"} and not set(found.about.column_names) & set(SCHEMA.names)


def test_nothing_stored_grows_with_the_attributes(tmp_path):
    sizes = []
    for count in (4, 400):
        vocabulary = Vocabulary(categories=VOCABULARY.categories, attributes=tuple(f"a{i:03}" for i in range(count)))
        run = make_run(tmp_path / f"run{count}", vocabulary=vocabulary)
        table = table_of(tmp_path / f"table{count}", labelled(6))
        embed_here(table, embedder(run), Store(tmp_path / f"out{count}"))
        rows = pa.concat_tables([Store(tmp_path / f"out{count}").read_table(f"{name}.parquet") for name in SHARDS])
        sizes.append(rows.nbytes)
    assert sizes[1] < 1.05 * sizes[0]
    assert np.all([len(row) <= 5 for row in rows["attribute_top"].to_pylist()])

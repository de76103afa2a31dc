"""Judge the labels that embedding shards predict: every number of them, and pictures to look at."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from fashion.data.table_manifest import TableManifest
from fashion.retrieval.gallery import read_rows
from fashion.retrieval.labels.examples import COLUMNS, Examples, examples, join_examples
from fashion.retrieval.labels.measures import guesses, label_measures
from fashion.retrieval.labels.numbers import LabelMetrics
from fashion.retrieval.labels.published import PUBLISHED, is_full_benchmark
from fashion.retrieval.labels.space import LabelSpace
from fashion.retrieval.labels.tally import Tally, join_tallies, tally
from fashion.retrieval.search.parts import MapReduce, map_reduce_here
from fashion.storage import Store
from fashion.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class LabelResult:
    """The labels of an evaluation."""

    metrics: LabelMetrics
    examples: Examples


@dataclass(frozen=True, kw_only=True)
class LabelShard:
    """One embedding shard; all its images count, queries and gallery alike."""

    number: int
    store: Store
    name: str

    def load(self) -> pa.Table:
        return read_rows(self.store, self.name, COLUMNS)


def evaluate_labels(
    store: Store,
    shards: list[str],
    manifest: TableManifest,
    vocabulary: Vocabulary,
    *,
    split: str,
    crop: str,
    seed: int = 0,
    map_reduce: MapReduce = map_reduce_here,
) -> LabelResult | None:
    """The labels of the shards' images, which are all of `split`; None where no image has a label to judge by.

    `manifest`: of the item table. `crop`: box where errors of landmarks are fractions of the box, else whole.
    `map_reduce`: as in `rank`. `seed` draws the examples alone. Memory here does not grow with the images.
    """
    parts = [LabelShard(number=n, store=store, name=name) for n, name in enumerate(shards)]
    counted, shown = map_reduce(_judge, _join, parts, seed)
    space = LabelSpace.of(vocabulary, manifest)
    attributes, types = space.attributes.names, manifest.attribute_types
    measured = label_measures(counted, categories=len(space.categories), attributes=attributes, types=types)
    if not (measured.category or measured.attributes or measured.landmarks):
        return None
    baselines = guesses(
        measured,
        counted,
        category_counts=manifest.category_counts,
        attribute_counts=manifest.attribute_counts,
        attributes=attributes,
        types=types,
    )
    metrics = LabelMetrics(
        split=split,
        crop=crop,
        **vars(measured),
        baselines=baselines,
        published=PUBLISHED,
        comparable=is_full_benchmark(manifest, split),
    )
    return LabelResult(metrics=metrics, examples=shown)


def _judge(part: LabelShard, seed: int, earlier: Any) -> tuple[Tally, Examples]:
    rows = part.load()
    return tally(rows), examples(rows, seed)


def _join(parts: list[tuple[Tally, Examples]], seed: int) -> tuple[Tally, Examples]:
    tallies, shown = zip(*parts, strict=True)
    return join_tallies(list(tallies)), join_examples(shown)

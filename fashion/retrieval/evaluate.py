"""Score embeddings under a protocol: which rows are queries and gallery, how they rank, and every number of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from fashion.data.table import ItemTable
from fashion.errors import InputError
from fashion.retrieval.census import Census, census, digest_total, join_census, set_fingerprint
from fashion.retrieval.embeddings import EMBEDDING, HISTOGRAM, UNTRAINED, Embeddings
from fashion.retrieval.gallery import Shard, unite
from fashion.retrieval.groups import by_group, intervals
from fashion.retrieval.labels.columns import CATEGORY_SCORES
from fashion.retrieval.metrics import chance, median_rank, summary
from fashion.retrieval.protocol import blend, check_category, describe, expansion, gallery_splits, reranking
from fashion.retrieval.rank import Ranking, rank
from fashion.retrieval.search.blend import Blend
from fashion.retrieval.search.relevance import Queries, is_match
from fashion.retrieval.search.sweep import Sweep, sweep_here
from fashion.retrieval.settings import ProtocolSettings
from fashion.retrieval.sides import read_queries, sample_pairs
from fashion.retrieval.table import IGNORED
from fashion.storage import Store

PLAIN = "plain"  # the embedding alone, where the predicted category is searched by too
BASELINES = {PLAIN: IGNORED, UNTRAINED: "untrained", HISTOGRAM: "colour histogram"}
CLOTHES_TYPES = {1: "upper body", 2: "lower body", 3: "full body"}
SAMPLED_ITEMS = 120
PREDICTED = ("category_top", "category_rank", "attribute_top")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The numbers, and the rankings of the trained network that they come from."""

    metrics: dict  # what metrics.json says of retrieval
    queries: Embeddings
    ranking: Ranking
    correct: np.ndarray  # (Q, k) whether each listed column matches
    sample: Embeddings  # a query and a gallery image of some items, for a map


def needed_splits(settings: ProtocolSettings, table: ItemTable) -> list[str]:
    """The splits whose images take part."""
    return list(dict.fromkeys((settings.query_split, *gallery_splits(settings, table.benchmark))))


def evaluate(
    store: Store,
    shards: dict[str, list[str]],
    table: ItemTable,
    settings: ProtocolSettings,
    *,
    crop: str,
    seed: int = 0,
    sweep: Sweep = sweep_here,
    device: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Embedding shards in `store`, their names by split -> metrics and rankings; memory O(queries) here.

    `sweep` and `device`: as in `rank`. `seed` chooses the sample alone. `progress(parts searched, parts to search)`.
    Raises InputError where a side is empty, or has no pairs though they are asked for.
    """
    protocol = describe(settings, benchmark=table.benchmark, crop=crop)
    label = "category" if table.positives == "category" else "item"
    if settings.ranking != "image" and label == "category":
        raise InputError(
            f"protocol.ranking: found {settings.ranking}, expected image: this benchmark matches by category"
        )
    queries = read_queries(store, shards[settings.query_split])
    check_category(settings, predicted=CATEGORY_SCORES in queries.vectors)
    names = [name for split in gallery_splits(settings, table.benchmark) for name in shards[split]]
    parts = [Shard(number=n, store=store, name=name, label=label) for n, name in enumerate(dict.fromkeys(names))]
    held = sweep(census, join_census, parts, None)
    for name, count in (("queries", len(queries)), ("gallery images", held.images)):
        if not count:
            raise InputError(
                f"protocol: no {name} in {settings.query_split} against {protocol['gallery_splits']} of "
                f"{table.store.uri}; choose other splits"
            )
    by_pairs = settings.positives == "pair" and label == "item"
    pairs = [row or [] for row in queries.about["pairs"].to_pylist()] if by_pairs else None
    if by_pairs and not any(pairs):
        raise InputError(f"protocol.positives: found pair, but {table.store.uri} has no annotated pairs; set item")
    sample = sample_pairs(queries, parts, SAMPLED_ITEMS, seed, sweep)
    if settings.ranking != "image":
        parts = unite([replace(part, ranking=settings.ranking) for part in parts], sweep)
    kinds = {name: (name, None) for name in (EMBEDDING, UNTRAINED, HISTOGRAM) if name in queries.vectors}
    if blended := blend(settings):
        kinds |= {EMBEDDING: (EMBEDDING, blended), PLAIN: (EMBEDDING, None)}
    asked = {
        kind: Queries.of(_searched(queries, name, by), queries.about[label], pairs)
        for kind, (name, by) in kinds.items()
    }
    # One ranking a kind of vector, and one a domain where the gallery has several.
    domains = sorted(held.domains) if len(held.domains) > 1 else []
    turns = [(kind, None, max(settings.ks) if kind == EMBEDDING else 0) for kind in kinds]
    turns += [(EMBEDDING, domain, 0) for domain in domains]
    rankings = {}
    for turn, (kind, domain, k) in enumerate(turns):
        name, by = kinds[kind]
        searched = [replace(part, vector=name, blend=by, domain=domain) for part in parts]

        def said(done: int, total: int, turn: int = turn) -> None:
            progress(turn * len(parts) + done * len(parts) // total, len(turns) * len(parts))

        rankings[kind, domain] = rank(
            asked[kind],
            searched,
            k,
            expansion=expansion(settings),
            reranking=reranking(settings),
            sweep=sweep,
            device=device,
            progress=said,
        )
    ranking = rankings[EMBEDDING, None]
    baselines = {
        title: summary(rankings[name, None].measures, settings.ks) for name, title in BASELINES.items() if name in asked
    }
    metrics = {
        "protocol": protocol,
        **_numbers(queries, ranking, settings.ks),
        "gallery": held.images,
        **_sets(queries, held),
        "by_domains": _by_domains(queries, rankings, domains or sorted(held.domains), settings.ks),
        "baselines": baselines | {"chance": chance(ranking.matches, ranking.columns, settings.ks)},
    }
    images = ranking.listed["image"].combine_chunks()
    correct = is_match(asked[EMBEDDING], ranking.listed[label].combine_chunks(), images, ranking.top)
    return Evaluation(metrics=metrics, queries=queries, ranking=ranking, correct=correct, sample=sample)


def _searched(queries: Embeddings, name: str, by: Blend | None) -> np.ndarray:
    return by(queries.vectors[name], queries.vectors[CATEGORY_SCORES]) if by else queries.vectors[name]


def query_table(found: Evaluation) -> pa.Table:
    """One row a query: what it is, the rank of its best match (null without one), its precisions, its top, and where the
    network predicts labels the best of them and the rank of its category."""
    measures, top, listed = found.ranking.measures, found.ranking.top, found.ranking.listed
    at = np.r_[0, np.cumsum((top >= 0).sum(1))].astype(np.int32)
    some = top >= 0

    def lists(values) -> pa.ListArray:
        return pa.ListArray.from_arrays(at, values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values)

    rows = pa.array(top[some])
    return pa.table(
        {
            **{name: found.queries.about[name] for name in ("image", "item", "domain", "category")},
            **{name: found.queries.about[name] for name in PREDICTED if name in found.queries.about.column_names},
            "rank": pa.array([int(r) or None for r in measures.first], pa.int64()),
            "average_precision": measures.average_precision,
            "r_precision": measures.r_precision,
            "top_images": lists(listed["image"].take(rows)),
            "top_items": lists(listed["item"].take(rows)),
            "top_scores": lists(pa.array(found.ranking.scores[some], pa.float32())),
            "top_correct": lists(pa.array(found.correct[some])),
        }
    )


def _numbers(queries: Embeddings, ranking: Ranking, ks: tuple[int, ...]) -> dict:
    measures, matches = ranking.measures, ranking.matches
    types = queries.about["clothes_type"].to_pylist() if "clothes_type" in queries.about.column_names else []
    return {
        "queries": len(queries),
        "unmatched_queries": int((matches == 0).sum()),
        **summary(measures, ks),
        "median_rank": median_rank(measures.first),
        "intervals": intervals(measures, queries.column("item").astype(str), ks),
        "by_category": by_group(measures, matches, queries.column("category"), ks),
        "by_clothes_type": by_group(measures, matches, np.array([CLOTHES_TYPES.get(t) for t in types], object), ks),
    }


def _sets(queries: Embeddings, held: Census) -> dict:
    own = digest_total(zip(queries.column("image"), queries.column("item"), strict=True))
    return {
        "query_set": set_fingerprint(len(queries), own),
        "gallery_set": set_fingerprint(held.images, held.total),
    }


def _by_domains(queries: Embeddings, rankings: dict, domains: list[str], ks: tuple[int, ...]) -> list[dict]:
    """A row a pair of query domain and gallery domain: those queries, ranked among the images of that domain alone."""
    rows = []
    for domain in domains:
        ranking = rankings.get((EMBEDDING, domain), rankings[EMBEDDING, None])
        pairs = np.array([f"{own} → {domain}" for own in queries.column("domain")], object)
        rows += by_group(ranking.measures, ranking.matches, pairs, ks)
    return sorted(rows, key=lambda row: (-row["queries"], row["name"]))

"""Score embeddings under a protocol: which rows are queries and gallery, how they rank, and every number of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from fashion.data.table import ItemTable
from fashion.domain import DOMAINS
from fashion.errors import InputError
from fashion.retrieval.counts import GalleryCounts, count_gallery, digest_total, join_counts, set_fingerprint
from fashion.retrieval.embeddings import EMBEDDING, HISTOGRAM, UNTRAINED, Embeddings
from fashion.retrieval.gallery import Shard, View, read_queries, unite
from fashion.retrieval.groups import GroupSummary, by_group, intervals
from fashion.retrieval.labels.columns import CATEGORY_SCORES
from fashion.retrieval.map_sample import map_sample, sample_items
from fashion.retrieval.metrics import chance, median_rank, summary
from fashion.retrieval.metrics_record import Metrics
from fashion.retrieval.protocol import blend, check_category, describe, expansion, gallery_splits, reranking
from fashion.retrieval.rank import Engine, Ranking
from fashion.retrieval.search.kept import Kept
from fashion.retrieval.search.parts import MapReduce, map_reduce_here
from fashion.retrieval.search.queries import Queries, is_match
from fashion.retrieval.search.survey import Asked, Survey, Turn, join_surveys, survey_part
from fashion.retrieval.settings import ProtocolSettings
from fashion.retrieval.table import IGNORED
from fashion.storage import Store

PLAIN = "plain"  # the embedding alone, where the predicted category is searched by too
BASELINES = {PLAIN: IGNORED, UNTRAINED: "untrained", HISTOGRAM: "colour histogram"}
CLOTHES_TYPES = {1: "upper body", 2: "lower body", 3: "full body"}
SAMPLED_ITEMS = 120


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The numbers, and the rankings of the trained network that they come from."""

    metrics: Metrics  # but for what the results' writer knows
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
    map_reduce: MapReduce = map_reduce_here,
    device: str | None = None,
    kept: Store | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Embedding shards in `store`, their names by split -> metrics and rankings; memory O(queries) here.

    `map_reduce` and `device`: as in `rank`. `kept`: a folder for what was found so far, from which a search that was stopped
    goes on; it may be deleted when all is done. `seed` chooses the sample alone. `progress(parts searched, parts to
    search)`.
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
    parts = [
        Shard(number=n, store=store, name=name, label=label, ranking=settings.ranking)
        for n, name in enumerate(dict.fromkeys(names))
    ]
    pairs = None
    if settings.positives == "pair" and label == "item":
        pairs = [row or [] for row in queries.about["pairs"].to_pylist()]
        if len(queries) and not any(pairs):
            raise InputError(f"protocol.positives: found pair, but {table.store.uri} has no annotated pairs; set item")
    turns = _turns(queries, label, pairs, settings)
    sampled = sample_items(queries, SAMPLED_ITEMS, seed)
    asked = _Asked(survey=Asked.of(list(turns.values()), parts), items=sampled)
    counts, surveys = map_reduce(_first_pass, _join_first_pass, parts, asked)
    for name, count in (("queries", len(queries)), ("gallery images", counts.images)):
        if not count:
            raise InputError(
                f"protocol: no {name} in {settings.query_split} against {protocol['gallery_splits']} of "
                f"{table.store.uri}; choose other splits"
            )
    if settings.ranking != "image" and (united := unite(parts, counts.items)) != parts:
        parts = united  # an item has images in several shards, so what was counted by shard is counted anew
        _, surveys = map_reduce(_first_pass, _join_first_pass, parts, asked)
    known = dict(zip(turns, surveys, strict=True))
    # One ranking a kind of vector, and one a domain where the gallery has several.
    domains = [domain for domain in sorted(DOMAINS) if known[EMBEDDING, domain].columns]
    made = [turn for turn in turns if turn[1] is None or (len(domains) > 1 and turn[1] in domains)]
    gallery = repr((store.uri, [part.name for part in parts], label, settings.ranking))
    answers = Kept(store=kept, gallery=gallery) if kept else None
    engine = Engine(parts=parts, map_reduce=map_reduce, device=device, kept=answers)
    ranked = engine.rank([turns[turn] for turn in made], [known[turn] for turn in made], progress)
    rankings = dict(zip(made, ranked, strict=True))
    ranking = rankings[EMBEDDING, None]
    baselines = {
        title: summary(rankings[name, None].measures, settings.ks)
        for name, title in BASELINES.items()
        if (name, None) in rankings
    }
    metrics = replace(
        _numbers(queries, ranking, settings.ks),
        protocol=protocol,
        gallery=counts.images,
        gallery_set=set_fingerprint(counts.images, counts.total),
        by_domains=_by_domains(queries, rankings, domains, settings.ks),
        baselines=baselines | {"chance": chance(ranking.matches, ranking.columns, settings.ks)},
    )
    images = ranking.listed["image"].combine_chunks()
    correct = is_match(turns[EMBEDDING, None].queries, ranking.listed[label].combine_chunks(), images, ranking.top)
    return Evaluation(
        metrics=metrics,
        queries=queries,
        ranking=ranking,
        correct=correct,
        sample=map_sample(queries, counts.first, sampled),
    )


def _turns(
    queries: Embeddings, label: str, pairs: list | None, settings: ProtocolSettings
) -> dict[tuple[str, str | None], Turn]:
    """Kind of vector and domain of the gallery (None: all) -> what is ranked."""
    kinds = {name: View(vector=name) for name in (EMBEDDING, UNTRAINED, HISTOGRAM) if name in queries.vectors}
    if blended := blend(settings):
        kinds |= {EMBEDDING: View(blend=blended), PLAIN: View()}
    turns = {}
    for kind, view in kinds.items():
        z_QD = queries.vectors[view.vector]
        if view.blend:
            z_QD = view.blend(z_QD, queries.vectors[CATEGORY_SCORES])
        asked = Queries.of(z_QD, queries.about[label], pairs)
        for domain in (None, *DOMAINS) if kind == EMBEDDING else (None,):
            turns[kind, domain] = Turn(
                queries=asked,
                k=max(settings.ks) if kind == EMBEDDING and domain is None else 0,
                view=replace(view, domain=domain),
                expansion=expansion(settings),
                reranking=reranking(settings),
            )
    return turns


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """Of the first pass."""

    survey: Asked
    items: pa.Array  # whose first images are wanted


def _first_pass(part: Shard, asked: _Asked, earlier: Any) -> tuple[GalleryCounts, list[Survey]]:
    opened = part.open()
    return count_gallery(opened, asked.items), survey_part(part.number, opened, asked.survey)


def _join_first_pass(answers: list, asked: _Asked) -> tuple[GalleryCounts, list[Survey]]:
    counts, surveys = zip(*answers, strict=True)
    return join_counts(list(counts), asked.items), join_surveys(list(surveys))


def _numbers(queries: Embeddings, ranking: Ranking, ks: tuple[int, ...]) -> Metrics:
    """What the queries and their ranking alone say."""
    measures, matches = ranking.measures, ranking.matches
    types = queries.about["clothes_type"].to_pylist() if "clothes_type" in queries.about.column_names else []
    digest = digest_total(zip(queries.column("image"), queries.column("item"), strict=True))
    return Metrics(
        queries=len(queries),
        unmatched_queries=int((matches == 0).sum()),
        **vars(summary(measures, ks)),
        median_rank=median_rank(measures.first),
        intervals=intervals(measures, queries.column("item").astype(str), ks),
        by_category=by_group(measures, matches, queries.column("category"), ks),
        by_clothes_type=by_group(measures, matches, np.array([CLOTHES_TYPES.get(t) for t in types], object), ks),
        query_set=set_fingerprint(len(queries), digest),
    )


def _by_domains(queries: Embeddings, rankings: dict, domains: list[str], ks: tuple[int, ...]) -> list[GroupSummary]:
    """A row a pair of query domain and gallery domain: those queries, ranked among the images of that domain alone."""
    rows = []
    for domain in domains:
        ranking = rankings.get((EMBEDDING, domain), rankings[EMBEDDING, None])
        pairs = np.array([f"{own} → {domain}" for own in queries.column("domain")], object)
        rows += by_group(ranking.measures, ranking.matches, pairs, ks)
    return sorted(rows, key=lambda row: (-row.queries, row.name))

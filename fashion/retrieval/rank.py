"""Exact ranking of a gallery of any size for every query: the best k columns, and the ranks of all matches.

Order: score descending, then id ascending; `products.score` says what the score is. The gallery comes in parts, which are
read twice: once to count and score the matches, once to scan. The ranking is the same for any division into parts and any
place where they are searched.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

import numpy as np
import pyarrow as pa

from fashion.retrieval.metrics import Measures
from fashion.retrieval.search.block import Matches, find_matches, in_order, join_matches
from fashion.retrieval.search.kept import Kept
from fashion.retrieval.search.merge import Lists, as_lists, join_lists
from fashion.retrieval.search.parts import MapReduce, Part, map_reduce_here
from fashion.retrieval.search.plan import Group, completed, incomplete, once_more, passes
from fashion.retrieval.search.queries import Queries
from fashion.retrieval.search.refine import Source, expanded, reranked
from fashion.retrieval.search.refinements import Expansion, Reranking
from fashion.retrieval.search.scan import ALL, Scanned, Search, join_scanned, scan
from fashion.retrieval.search.survey import Asked, Survey, Turn, guess, join_surveys, survey_part


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Rankings of Q queries."""

    top: np.ndarray  # (Q, k) int64 rows of `listed`, best first; -1 where fewer columns are ranked
    scores: np.ndarray  # (Q, k) float32, -inf where there is no column; of re-ranked lists 1 minus the distance
    listed: pa.Table  # every column that is in a list, once: `id` and what its block says of it
    measures: Measures
    matches: np.ndarray  # (Q,) columns that match
    columns: np.ndarray  # (Q,) columns that are ranked


def rank(
    queries: Queries,
    parts: Sequence[Part],
    k: int,
    *,
    expansion: Expansion | None = None,
    reranking: Reranking | None = None,
    map_reduce: MapReduce = map_reduce_here,
    device: str | None = None,
    precision: str | None = None,
    kept: Kept | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Ranking:
    """Rank all columns of the gallery's parts for every query, and list the best k (0: none).

    `map_reduce` asks the parts; `device` computes the fast products, in the precision that it does fastest or in the given
    one (float32, bfloat16, int8): the ranking is the same. `kept`: where a search of several passes that is stopped goes on.
    `progress(parts scanned, parts to scan)`.
    """
    turns = [Turn(queries=queries, k=k, expansion=expansion, reranking=reranking)]
    surveys = map_reduce(_survey, join_surveys, parts, Asked.of(turns, parts))
    engine = Engine(parts=parts, map_reduce=map_reduce, device=device, precision=precision, kept=kept)
    return engine.rank(turns, surveys, progress)[0]


def nearest(queries: Queries, parts: Sequence[Part], k: int, *, view: Any = None, map_reduce: MapReduce) -> Lists:
    """The best k columns for a few queries, in one pass over the parts."""
    Q = len(queries)
    search = Search(queries=queries, k=k, thresholds=np.full(Q, ALL), tails=np.full(Q, np.inf, np.float32))
    return as_lists(map_reduce(_scan, _join_scans, parts, [(view, search)])[0].best, Q, k)


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A gallery in parts, and who searches it."""

    parts: Sequence[Part]
    map_reduce: MapReduce
    device: str | None = None  # of the fast products
    precision: str | None = None
    kept: Kept | None = None  # of several passes one that is there is not made again

    def rank(
        self,
        turns: Sequence[Turn],
        surveys: Sequence[Survey],
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[Ranking]:
        """The ranking of each turn, of which the survey is known: one more pass over the parts, or several where matches and
        lists are more than AT_ONCE."""
        planned = list(passes(turns, surveys))
        scanned = 0

        def done(parts: int) -> None:
            nonlocal scanned
            scanned += parts
            progress(scanned, len(planned) * len(self.parts))

        lists: list[list[Lists]] = [[] for _ in turns]
        measures: list[list[Measures]] = [[] for _ in turns]
        kept = self.kept.of(turns) if self.kept and len(planned) > 1 else None
        for number, groups in enumerate(planned):
            answers = kept.read(number, len(groups)) if kept else None
            if answers is None:
                answers = self._pass(groups, done)
                if kept:
                    kept.write(number, answers)
            else:
                done(len(self.parts))
            for group, (found, measured) in zip(groups, answers, strict=True):
                lists[group.number].append(found)
                measures[group.number].append(measured)
        return [_ranking(*whole) for whole in zip(lists, measures, surveys, strict=True)]

    def _pass(self, groups: list[Group], done: Callable[[int], None]) -> list[tuple[Lists, Measures]]:
        """The lists and measures of each group's queries."""
        groups, answers = self._scored(self._expanded(groups)), []
        for group, answer in zip(groups, self._scanned(groups, done), strict=True):
            turn, better = group.turn, answer.better
            found = as_lists(answer.best, len(group.queries), turn.width)
            if turn.reranking:
                source = self._source(turn)
                found, better = reranked(source, group.queries, found, group.matches, better, turn.reranking)
            found = found if turn.k == turn.width else join_lists([found.cut(turn.k)])
            answers.append((found, _measures(better, group.matches, len(group.queries))))
        return answers

    def _expanded(self, groups: list[Group]) -> list[Group]:
        """The queries moved towards what they find, where that is asked for."""
        wide = [
            replace(group, turn=replace(group.turn, k=group.turn.expansion.columns, reranking=None))
            for group in groups
            if group.turn.expansion
        ]
        if not wide:
            return groups
        answers = iter(zip(wide, self._scanned(wide), strict=True))
        return [self._moved(group, *next(answers)) if group.turn.expansion else group for group in groups]

    def _moved(self, group: Group, wide: Group, answer: Scanned) -> Group:
        assert group.turn.expansion
        lists = as_lists(answer.best, len(group.queries), wide.turn.k)
        moved = expanded(self._source(group.turn), group.queries, lists, group.turn.expansion)
        return replace(group, queries=moved)

    def _scored(self, groups: list[Group]) -> list[Group]:
        """With their matches, where these are not known from the survey."""
        asked = [(group.turn.view, group.queries) for group in groups if group.unscored]
        if not asked:
            return groups
        scored = iter(self.map_reduce(_find, _join_found, self.parts, asked))
        return [replace(group, matches=in_order(next(scored))) if group.unscored else group for group in groups]

    def _scanned(self, groups: list[Group], done: Callable[[int], None] = lambda parts: None) -> list[Scanned]:
        """The best columns of each group's queries, complete for certain, and how many rank before each match."""
        searches = [(group.turn.view, self._search(group)) for group in groups]
        answers = self.map_reduce(_scan, _join_scans, self.parts, searches, done=done)
        missing = [incomplete(search, answer.best) for (_, search), answer in zip(searches, answers, strict=True)]
        again = [n for n, queries in enumerate(missing) if len(queries)]
        if again:
            asked = [(searches[n][0], once_more(searches[n][1], answers[n].best, missing[n])) for n in again]
            for n, rest in zip(again, self.map_reduce(_scan, _join_scans, self.parts, asked), strict=True):
                best = completed(answers[n].best, rest.best, missing[n], searches[n][1].k)
                answers[n] = replace(answers[n], best=best)
        return answers

    def _search(self, group: Group) -> Search:
        known, width = group.survey, group.turn.width
        guessed = guess(group.queries, known.sample, known.columns, width, self.precision)
        return Search(
            queries=group.queries, k=width, thresholds=guessed.thresholds, tails=guessed.tails,
            matches=group.matches, device=self.device, precision=self.precision,
        )  # fmt: skip

    def _source(self, turn: Turn) -> Source:
        return Source(parts=self.parts, view=turn.view, map_reduce=self.map_reduce)


def _ranking(lists: list[Lists], measures: list[Measures], known: Survey) -> Ranking:
    whole = lists[0] if len(lists) == 1 else join_lists(lists)
    return Ranking(
        top=whole.top,
        scores=whole.scores,
        listed=whole.columns.table(),
        measures=Measures.join(measures),
        matches=known.matches,
        columns=known.columns - known.left_out,
    )


def _measures(better: np.ndarray, matches: Matches | None, queries: int) -> Measures:
    if matches is None:
        return Measures.of(np.empty(0, np.int64), np.zeros(queries + 1, np.int64))
    order = np.lexsort((better, matches.query))
    return Measures.of(better[order] + 1, np.searchsorted(matches.query, np.arange(queries + 1)))


def _survey(part: Part, asked: Asked, earlier: Any) -> list[Survey]:
    return survey_part(part.number, part.open([turn.view for turn in asked.turns]), asked)


def _find(part: Part, asked: list[tuple[Any, Queries]], earlier: Any) -> list[Matches]:
    opened = part.open([view for view, _ in asked])
    return [find_matches(opened.block(view), queries) for view, queries in asked]


def _join_found(answers: list[list[Matches]], asked: Any) -> list[Matches]:
    return [join_matches(list(parts)) for parts in zip(*answers, strict=True)]


def _scan(part: Part, asked: list[tuple[Any, Search]], earlier: list[Scanned] | None) -> list[Scanned]:
    opened = part.open([view for view, _ in asked])
    return [
        scan(opened.block(view), search.raised(known.best) if known else search)
        for (view, search), known in zip(asked, earlier or repeat(None, len(asked)), strict=True)
    ]


def _join_scans(answers: list[list[Scanned]], asked: list[tuple[Any, Search]]) -> list[Scanned]:
    return [
        join_scanned(list(parts), search.k)
        for parts, (_, search) in zip(zip(*answers, strict=True), asked, strict=True)
    ]

"""What a report shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fashion.retrieval.metrics_record import Metrics


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One image of a query's ranking."""

    image: str
    item: str
    score: float  # similarity to the query
    correct: bool
    category: str | None = None


@dataclass(frozen=True, kw_only=True)
class QueryRow:
    """A query and the head of its ranking."""

    image: str
    item: str
    domain: str
    category: str | None = None
    rank: int | None  # of the first right answer, from 1; None where the gallery holds none
    average_precision: float
    top: Sequence[Hit] = ()  # best first
    extra: bool = False  # shown only where its category is chosen


@dataclass(frozen=True, kw_only=True)
class MapPoint:
    """One image of the embedding map: x and y in any unit, y upwards."""

    x: float
    y: float
    image: str
    item: str
    domain: str
    category: str | None = None


@dataclass(frozen=True, kw_only=True)
class Thief:
    """A gallery item that comes first for queries it does not match."""

    item: str
    image: str  # the one of its images that does so most often
    category: str | None = None
    queries: int  # that it comes first for, wrongly
    items: int  # of those queries
    victims: Sequence[QueryRow] = ()  # some of those queries, the surest mistakes first


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """How queries of C categories are answered: the share of each row's queries whose first answer is of each column's
    category."""

    names: Sequence[str]  # C, of rows and columns
    counts: Sequence[int]  # C, queries of each row
    shares: Sequence[Sequence[float]]  # C x C


@dataclass(frozen=True, kw_only=True)
class Guess:
    """A predicted name."""

    name: str
    right: bool | None  # None where nothing is annotated


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A landmark on a picture: x and y as fractions of its width and height."""

    name: str
    at: tuple[float, float] | None  # as estimated; None where it is estimated not to be there
    seen: bool  # estimated to be visible
    true: tuple[float, float] | None  # as annotated
    visible: bool  # annotated to be visible


@dataclass(frozen=True, kw_only=True)
class LabelledPicture:
    """An image with what the network says of it."""

    image: str
    category: str | None = None  # as annotated; None where there is nothing to judge by
    category_rank: int | None = None  # of that; 0 where the network does not know it
    categories: Sequence[Guess] = ()  # best first
    attributes: Sequence[Guess] = ()
    missed: Sequence[str] = ()  # annotated attributes that are not among these
    annotated: bool = False  # attributes are annotated
    marks: Sequence[Mark] = ()
    error: float | None = None  # mean over landmarks annotated as visible, as a fraction


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """All that a report is made from. Rows and points are meant to be hundreds at most."""

    metrics: Metrics
    history: Sequence[dict] = ()  # one an epoch: epoch, loss, recall (k -> fraction), ...; see sections.training_plots
    queries: Sequence[QueryRow] = ()  # in the order they are shown in
    thieves: Sequence[Thief] = ()
    confusion: Confusion | None = None
    trend: Sequence[dict] = ()  # rows of the history of evaluations that count alike, oldest first; see gate.history
    map_points: Sequence[MapPoint] = ()
    labelled: Mapping[str, Sequence[LabelledPicture]] = field(default_factory=dict)  # by group; see labels.TITLES
    thumbnails: Mapping[str, bytes] = field(default_factory=dict)  # JPEG files by image

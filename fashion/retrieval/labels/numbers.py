"""How well labels are predicted: what metrics.json says of it, what guessing gets and what was published.

The guesses and the published numbers have the shares alone, and older evaluations may lack any of it.
"""

from dataclasses import dataclass, field

from fashion.json_values import left_out

Shares = dict[str, float | None]  # k -> fraction


@dataclass(frozen=True, kw_only=True)
class CategoryRow:
    name: str
    images: int
    top: Shares


@dataclass(frozen=True, kw_only=True)
class CategoryNumbers:
    images: int | None = left_out()
    unknown: int | None = left_out()  # images of categories that the network does not know
    choices: int | None = left_out()  # categories that compete
    top: Shares = field(default_factory=dict)
    by_category: list[CategoryRow] | None = left_out()


@dataclass(frozen=True, kw_only=True)
class TypeRow:
    """The attributes of one type."""

    name: str
    choices: int | None = left_out()
    positives: int | None = left_out()
    recall: Shares = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AttributeNumbers:
    images: int | None = left_out()
    positives: int | None = left_out()  # annotated attributes, over all images
    unknown: int | None = left_out()  # positives that the network does not know
    choices: int | None = left_out()
    recall: Shares = field(default_factory=dict)
    by_type: list[TypeRow] | None = left_out()


@dataclass(frozen=True, kw_only=True)
class LandmarkRow:
    name: str
    annotated: int
    visible: int
    error: float | None
    visibility: float | None


@dataclass(frozen=True, kw_only=True)
class LandmarkNumbers:
    images: int | None = left_out()
    visible: int | None = left_out()
    error: float | None = None  # mean over visible ones, a fraction of the sides
    annotated: int | None = left_out()
    visibility: float | None = None  # share of the annotated ones
    slots: float | None = left_out()  # the same over all slots
    by_landmark: list[LandmarkRow] | None = left_out()


@dataclass(frozen=True, kw_only=True)
class LabelNumbers:
    """Of the kinds of labels that are judged."""

    images: int | None = left_out()
    category: CategoryNumbers | None = left_out()
    attributes: AttributeNumbers | None = left_out()
    landmarks: LandmarkNumbers | None = left_out()

    @property
    def headline(self) -> dict[str, float]:
        """By the names that they have everywhere: what two evaluations are compared by."""
        category, attributes, landmarks = self.category, self.attributes, self.landmarks
        values = {f"category top-{k}": value for k, value in (category.top if category else {}).items()}
        values |= {f"attributes recall@{k}": value for k, value in (attributes.recall if attributes else {}).items()}
        if landmarks:
            values |= {"landmark error": landmarks.error, "landmark visibility": landmarks.visibility}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def types(self) -> list[TypeRow]:
        return (self.attributes.by_type if self.attributes else None) or []

    def of_type(self, name: str) -> Shares:
        """The recall of a type's attributes; empty where there is none."""
        return next((row.recall for row in self.types if row.name == name), {})


@dataclass(frozen=True, kw_only=True)
class _Judged:
    split: str = ""
    crop: str = ""


@dataclass(frozen=True, kw_only=True)
class LabelMetrics(LabelNumbers, _Judged):
    """`labels` of metrics.json: fields of the last base come first."""

    baselines: dict[str, LabelNumbers] = field(default_factory=dict)
    published: dict[str, LabelNumbers] = field(default_factory=dict)
    comparable: bool = False  # with the published ones

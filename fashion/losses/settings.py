"""The losses by name, and the settings of a loss, checked where they are made."""

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from fashion.errors import InputError
from fashion.setting_ranges import check, setting

LossName = Literal[
    "tuplet",
    "triplet",
    "soft-triplet",
    "improved-triplet",
    "quadruplet",
    "centroid-triplet",
    "margin",
    "infonce",
    "multi-similarity",
    "supervised-contrastive",
    "proxy-anchor",
    "normalised-softmax",
]
DistanceName = Literal["cosine", "euclidean", "squared-euclidean"]
MiningName = Literal["random", "all", "hard", "semi-hard", "distance-weighted"]
TASKS = ("landmarks", "visibility", "category", "attributes")  # what is learnt from labels

# The losses' settings and their usual values (see the README for which to use when). A setting that a loss does not list
# has no meaning for it, so giving one is an error rather than ignored.
USUAL: dict[str, dict[str, float | str]] = {
    "tuplet": {"distance": "cosine", "margin": 0.2, "temperature": 0.1},
    "triplet": {"distance": "squared-euclidean", "mining": "semi-hard", "margin": 0.2, "reduction": "active"},
    "soft-triplet": {
        "distance": "euclidean",
        "mining": "all",
        "margin": 0.0,
        "temperature": 1.0,
        "reduction": "active",
    },
    "improved-triplet": {
        "distance": "squared-euclidean",
        "mining": "all",
        "margin": 0.1,
        "bound": 0.05,
        "weight": 1.0,
        "reduction": "active",
    },
    "quadruplet": {
        "distance": "squared-euclidean",
        "mining": "all",
        "margin": 1.0,
        "second_margin": 0.5,
        "weight": 1.0,
        "reduction": "active",
    },
    "centroid-triplet": {"distance": "euclidean", "mining": "hard", "margin": 0.5, "reduction": "active"},
    "margin": {
        "distance": "euclidean",
        "mining": "distance-weighted",
        "margin": 0.2,
        "boundary": 1.2,
        "reduction": "active",
    },
    "infonce": {"distance": "cosine", "temperature": 0.1},
    "multi-similarity": {"positive_scale": 2.0, "negative_scale": 50.0, "threshold": 0.5},
    "supervised-contrastive": {"temperature": 0.1},
    "proxy-anchor": {"margin": 0.1, "temperature": 1 / 32},
    "normalised-softmax": {"temperature": 0.05},
}
assert set(USUAL) == set(get_args(LossName))

# Losses that compare with one learned vector a class instead of with other images.
PROXY_LOSSES = ("proxy-anchor", "normalised-softmax")


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """What pulls images of one item together and pushes others apart. None takes the loss's usual value.

    Raises InputError for a value out of range and for a setting that the named loss does not have.
    """

    name: LossName = "tuplet"
    """Formula of the loss."""

    distance: DistanceName | None = None
    """Distance between embeddings: cosine (0..2), euclidean (0..2) or squared-euclidean (0..4 at unit length)."""

    mining: MiningName | None = None
    """Triplets that count: random (one negative a positive pair), all, hard (farthest positive, nearest negative),
    semi-hard (negatives beyond the positive, within the margin) or distance-weighted (one drawn negative a positive
    pair, for unit-length embeddings)."""

    fallback: bool = False
    """Semi-hard mining: a positive with no negative beyond it is set against the anchor's farthest negative."""

    reduction: Literal["active", "all"] | None = None
    """Mean over the triplets that violate the margin, or over all mined ones."""

    margin: float | None = setting(None, least=0)
    """How much nearer than a negative a positive has to be, in units of the distance."""

    second_margin: float | None = setting(None, least=0)
    """Quadruplet: the same against the distance of two other items, in units of the distance; below margin."""

    bound: float | None = setting(None, above=0)
    """Improved triplet: largest distance a positive may have, in units of the distance; below margin."""

    boundary: float | None = setting(None, above=0)
    """Margin loss: start of the learned distance between positives and negatives, in units of the distance."""

    weight: float | None = setting(None, least=0)
    """Improved triplet, quadruplet: weight of the second term."""

    temperature: float | None = setting(None, above=0)
    """Softness of the weighting by hardness, in units of the distance. Small: only the hardest negatives count."""

    positive_scale: float | None = setting(None, above=0)
    """Multi-similarity: steepness on positives (the paper's alpha), per unit of cosine."""

    negative_scale: float | None = setting(None, above=0)
    """Multi-similarity: steepness on negatives (the paper's beta), per unit of cosine."""

    threshold: float | None = setting(None, least=-1, most=1)
    """Multi-similarity: cosine similarity that divides positives from negatives."""

    domains: Literal["any", "cross", "within"] | None = None
    """Domain of an anchor's positives and negatives: any, the other one, or its own. None: cross (a training run
    takes any where its data has one domain only)."""

    direction: Literal["both", "consumer-to-shop", "shop-to-consumer"] = "both"
    """Cross: domain of the anchors, and then of what they are compared with."""

    positives: Literal["item", "pair"] = "item"
    """Photos of the anchor's item are its positives, or only those annotated as its pair (others are then ignored)."""

    memory: int = setting(0, least=0)
    """Past embeddings to compare with beside the batch (cross-batch memory), in images; 0 for none. 8k-55k is usual."""

    memory_warmup: int = setting(0, least=0)
    """Steps before the memory is used (it fills meanwhile), until embeddings drift slowly."""

    def __post_init__(self) -> None:
        check(self, "loss")
        self._check_used()
        self._check_combinations()

    def filled(self) -> "LossSettings":
        """The same settings with the loss's usual values in place of None; what it does not use stays None."""
        return replace(self, domains=self.domains or "cross", **{name: self._value(name) for name in USUAL[self.name]})

    def _value(self, name: str) -> Any:
        value = getattr(self, name)
        return USUAL[self.name].get(name) if value is None else value

    def _check_used(self) -> None:
        usable = {name for usual in USUAL.values() for name in usual}
        for name in sorted(usable - set(USUAL[self.name])):
            if getattr(self, name) is not None:
                users = ", ".join(loss for loss, usual in USUAL.items() if name in usual)
                raise InputError(
                    f"loss.{name}: found {getattr(self, name)}, but {self.name} has no such setting; {users} do"
                )

    def _check_combinations(self) -> None:
        margin, mining = self._value("margin"), self._value("mining")
        for name in ("bound", "second_margin"):
            value = self._value(name)
            if value is not None and not value < margin:
                raise InputError(f"loss.{name}: found {value}, expected less than loss.margin ({margin})")
        if mining == "semi-hard" and not margin > 0:
            raise InputError(f"loss.margin: found {margin}, expected more than 0, as semi-hard negatives lie within it")
        if self.fallback and mining != "semi-hard":
            raise InputError(f"loss.fallback: found true with mining {mining}, expected loss.mining semi-hard")
        if self.direction != "both" and self.domains not in (None, "cross"):
            raise InputError(f"loss.direction: found {self.direction}, expected loss.domains cross, not {self.domains}")
        if self.memory and self.name in PROXY_LOSSES:
            raise InputError(f"loss.memory: found {self.memory}, expected 0, as {self.name} compares with proxies only")
        if self.memory_warmup and not self.memory:
            raise InputError(f"loss.memory_warmup: found {self.memory_warmup} without loss.memory; set both or none")

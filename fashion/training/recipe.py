"""What a user chooses about a training step: how pictures are varied, how weights move, what a fashionnet learns."""

from dataclasses import dataclass
from typing import Literal

from fashion.errors import InputError
from fashion.losses.settings import TASKS

EMBEDDING = "embedding"
POSE = ("landmarks", "visibility")


@dataclass(frozen=True, kw_only=True)
class AugmentationSettings:
    """How training pictures are varied. All zero (and flip false) trains on the plain pictures."""

    zoom: float = 0.3
    """A crop keeps at least 1 - zoom of each side, 0 to 0.9."""
    stretch: float = 0.15
    """Change of the aspect ratio, as a fraction, 0 to 0.5."""
    rotation: float = 0.0
    """Largest rotation either way, degrees."""
    flip: bool = True
    """Mirror half of the pictures."""
    brightness: float = 0.3
    """Largest change of brightness, as a fraction, 0 to 0.9."""
    contrast: float = 0.3
    """Largest change of contrast, as a fraction, 0 to 0.9."""
    saturation: float = 0.3
    """Largest change of saturation, as a fraction, 0 to 0.9."""
    tint: float = 0.0
    """Largest change of each colour channel, as a fraction, 0 to 0.9: the light's colour."""
    erase: float = 0.0
    """Share of the pictures that lose a rectangle (2 to 15 % of the area), 0 to 1."""

    def __post_init__(self):
        for name, most in {
            "zoom": 0.9, "stretch": 0.5, "rotation": 180, "brightness": 0.9, "contrast": 0.9, "saturation": 0.9,
            "tint": 0.9, "erase": 1,
        }.items():  # fmt: skip
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise InputError(f"augmentation.{name}: found {value}, expected 0 to {most}")


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """AdamW with a linear warm-up and a cosine to zero."""

    learning_rate: float = 2e-3
    """Highest learning rate, for the whole global batch."""
    weight_decay: float = 1e-4
    """AdamW's decoupled decay; biases and normalisation weights are left out of it."""
    warmup: float = 0.3
    """Share of the run's steps in which the rate rises linearly from 0, 0 to 1."""
    backbone_factor: float = 1.0
    """Factor on the rate of the backbone's layers, not of heads and other new ones. 0.1 is usual with pretrained
    weights."""
    depth_decay: float = 1.0
    """Factor on the rate from each stage of the backbone to the one before it, from the head down, above 0 to 1: the
    layers at the input learn slowest. 1: all alike."""
    freeze_epochs: float = 0.0
    """Epochs, from the first on, in which only the new layers learn; the backbone stays as it was published and acts as
    in validation (its batch statistics too). May end within an epoch; needs network.pretrained."""
    freeze_stages: int | None = None
    """First stages of the backbone that stay as they were published through the whole run, and act as in validation:
    edges and colours are the same on garments, and half of a step goes into them. Needs network.pretrained. Default: 2
    where that names published weights, else 0."""
    average: float = 0.0
    """Decay a step of the moving average of the weights that is validated and kept, 0 to below 1, such as 0.99 for
    hundreds of steps and 0.9999 for a hundred thousand. The first steps count more: at step t the decay is at most
    (1 + t) / (10 + t). 0: the weights themselves."""
    clip: float = 0.0
    """Largest norm of the gradient; 0 does not clip."""

    def __post_init__(self):
        for name in ("learning_rate", "backbone_factor"):
            if not getattr(self, name) > 0:
                raise InputError(f"optimizer.{name}: found {getattr(self, name)}, expected more than 0")
        for name in ("weight_decay", "freeze_epochs", "freeze_stages", "clip"):
            if not (getattr(self, name) or 0) >= 0:
                raise InputError(f"optimizer.{name}: found {getattr(self, name)}, expected 0 or more")
        if not 0 <= self.warmup <= 1:
            raise InputError(f"optimizer.warmup: found {self.warmup}, expected a share of the run's steps, 0 to 1")
        if not 0 < self.depth_decay <= 1:
            raise InputError(f"optimizer.depth_decay: found {self.depth_decay}, expected above 0 to 1")
        if not 0 <= self.average < 1:
            raise InputError(f"optimizer.average: found {self.average}, expected 0 (off) to below 1, such as 0.999")


@dataclass(frozen=True, kw_only=True)
class TaskSettings:
    """Weights of what a fashionnet learns (network.design fashionnet only). The paper gives no numbers."""

    embedding: float = 1.0
    """Weight of the loss on embeddings (section loss)."""
    landmarks: float = 10.0
    """Weight of the squared distance of visible landmarks, in picture sides."""
    visibility: float = 0.5
    """Weight of the cross-entropy of landmarks' visibility."""
    category: float = 0.5
    """Weight of the cross-entropy of categories."""
    attributes: float = 0.5
    """Weight of the weighted binary cross-entropy of attributes."""
    attribute_balance: Literal["none", "set", "attribute"] = "set"
    """Weights of an attribute's presence and absence: 1 (none), from the training set's ratio over all attributes (set),
    or each attribute's own (attribute)."""
    schedule: Literal["joint", "alternating"] = "joint"
    """All tasks at once (joint), or the paper's turns: landmarks and visibility first, then the rest, and so on."""
    pose_epochs: int = 1
    """alternating: epochs of a turn of landmarks and visibility."""
    rest_epochs: int = 1
    """alternating: epochs of a turn of embedding, category and attributes."""
    minor: float = 0.1
    """alternating: factor on the weights of the tasks whose turn it is not."""

    def __post_init__(self):
        for name in (EMBEDDING, *TASKS, "minor"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"tasks.{name}: found {getattr(self, name)}, expected a number from 0 on")
        if not any(getattr(self, name) for name in (EMBEDDING, *TASKS)):
            raise InputError("tasks: all weights are 0, so nothing would be learnt; give one of them more")
        for name, choices in {
            "attribute_balance": ("none", "set", "attribute"),
            "schedule": ("joint", "alternating"),
        }.items():
            if getattr(self, name) not in choices:
                raise InputError(f"tasks.{name}: found {getattr(self, name)!r}, expected one of {', '.join(choices)}")
        for name in ("pose_epochs", "rest_epochs"):
            if getattr(self, name) < 1:
                raise InputError(f"tasks.{name}: found {getattr(self, name)}, expected at least 1")

    def weights(self, epoch: int) -> dict[str, float]:
        """Task -> weight in this epoch, counted from 0."""
        weights = {name: float(getattr(self, name)) for name in (EMBEDDING, *TASKS)}
        if self.schedule == "alternating":
            pose = epoch % (self.pose_epochs + self.rest_epochs) < self.pose_epochs
            weights = {name: w * (1.0 if (name in POSE) == pose else self.minor) for name, w in weights.items()}
        return weights

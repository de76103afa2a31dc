"""What a user chooses about a training step: how pictures are varied, how weights move, what a fashionnet learns."""

from dataclasses import dataclass
from typing import Literal

from fashion.errors import InputError
from fashion.losses.settings import TASKS
from fashion.setting_ranges import check, setting

EMBEDDING = "embedding"
POSE = ("landmarks", "visibility")


@dataclass(frozen=True, kw_only=True)
class AugmentationSettings:
    """How training pictures are varied. All zero (and flip false) trains on the plain pictures."""

    zoom: float = setting(0.3, least=0, most=0.9)
    """A crop keeps at least 1 - zoom of each side."""
    stretch: float = setting(0.15, least=0, most=0.5)
    """Change of the aspect ratio, as a fraction."""
    rotation: float = setting(0.0, least=0, most=180, unit="degrees")
    """Largest rotation either way."""
    flip: bool = True
    """Mirror half of the pictures."""
    brightness: float = setting(0.3, least=0, most=0.9)
    """Largest change of brightness, as a fraction."""
    contrast: float = setting(0.3, least=0, most=0.9)
    """Largest change of contrast, as a fraction."""
    saturation: float = setting(0.3, least=0, most=0.9)
    """Largest change of saturation, as a fraction."""
    tint: float = setting(0.0, least=0, most=0.9)
    """Largest change of each colour channel, as a fraction: the light's colour."""
    erase: float = setting(0.0, least=0, most=1)
    """Share of the pictures that lose a rectangle (2 to 15 % of the area)."""

    def __post_init__(self) -> None:
        check(self, "augmentation")


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """AdamW with a linear warm-up and a cosine to zero."""

    learning_rate: float | None = setting(None, above=0)
    """Highest learning rate, for the whole global batch. Default: 0.002, for resnet10 0.004."""
    weight_decay: float = setting(1e-4, least=0)
    """AdamW's decoupled decay; biases and normalisation weights are left out of it."""
    warmup: float = setting(0.3, least=0, most=1, note="a share of the run's steps")
    """Share of the run's steps in which the rate rises linearly from 0."""
    backbone_factor: float = setting(1.0, above=0)
    """Factor on the rate of the backbone's layers, not of heads and other new ones. 0.1 is usual with pretrained
    weights."""
    depth_decay: float = setting(1.0, above=0, most=1)
    """Factor on the rate from each stage of the backbone to the one before it, from the head down: the
    layers at the input learn slowest. 1: all alike."""
    freeze_epochs: float = setting(0.0, least=0)
    """Epochs, from the first on, in which only the new layers learn; the backbone stays as it was published and acts as
    in validation (its batch statistics too). May end within an epoch; needs network.pretrained."""
    freeze_stages: int | None = setting(None, least=0)
    """First stages of the backbone that stay as they were published through the whole run, and act as in validation:
    edges and colours are the same on garments, and half of a step goes into them. Needs network.pretrained. Default: 2
    where that names published weights, else 0."""
    lora: int = setting(0, least=0, note="such as 8; 0 is off")
    """Rank of low-rank additions to the backbone's dense layers and convolutions, which are trained in place of their own
    weights (LoRA): much less to remember for a large vit; what is kept has them summed in and is a network like any other.
    Needs network.pretrained and the extra fashion-retrieval[lora]. 0: the weights themselves."""
    average: float = setting(0.0, least=0, below=1, note="such as 0.999; 0 is off")
    """Decay a step of the moving average of the weights that is validated and kept, such as 0.99 for
    hundreds of steps and 0.9999 for a hundred thousand. The first steps count more: at step t the decay is at most
    (1 + t) / (10 + t). 0: the weights themselves."""
    clip: float = setting(0.0, least=0)
    """Largest norm of the gradient; 0 does not clip."""

    def __post_init__(self) -> None:
        check(self, "optimizer")


@dataclass(frozen=True, kw_only=True)
class TaskSettings:
    """Weights of what a fashionnet learns (network.design fashionnet only). The paper gives no numbers."""

    embedding: float = setting(1.0, least=0)
    """Weight of the loss on embeddings (section loss)."""
    landmarks: float = setting(10.0, least=0)
    """Weight of the squared distance of visible landmarks, in picture sides."""
    visibility: float = setting(0.5, least=0)
    """Weight of the cross-entropy of landmarks' visibility."""
    category: float = setting(0.5, least=0)
    """Weight of the cross-entropy of categories."""
    attributes: float = setting(0.5, least=0)
    """Weight of the weighted binary cross-entropy of attributes."""
    attribute_balance: Literal["none", "set", "attribute"] = "set"
    """Weights of an attribute's presence and absence: 1 (none), from the training set's ratio over all attributes (set),
    or each attribute's own (attribute)."""
    schedule: Literal["joint", "alternating"] = "joint"
    """All tasks at once (joint), or the paper's turns: landmarks and visibility first, then the rest, and so on."""
    pose_epochs: int = setting(1, least=1)
    """alternating: epochs of a turn of landmarks and visibility."""
    rest_epochs: int = setting(1, least=1)
    """alternating: epochs of a turn of embedding, category and attributes."""
    minor: float = setting(0.1, least=0)
    """alternating: factor on the weights of the tasks whose turn it is not."""

    def __post_init__(self) -> None:
        check(self, "tasks")
        if not any(getattr(self, name) for name in (EMBEDDING, *TASKS)):
            raise InputError("tasks: all weights are 0, so nothing would be learnt; give one of them more")

    def weights(self, epoch: int) -> dict[str, float]:
        """Task -> weight in this epoch, counted from 0."""
        weights = {name: float(getattr(self, name)) for name in (EMBEDDING, *TASKS)}
        if self.schedule == "alternating":
            pose = epoch % (self.pose_epochs + self.rest_epochs) < self.pose_epochs
            weights = {name: w * (1.0 if (name in POSE) == pose else self.minor) for name, w in weights.items()}
        return weights

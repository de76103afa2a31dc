"""What a user chooses about the network."""

import difflib
from dataclasses import dataclass
from typing import Literal

from fashion.errors import InputError

EMBNET = "embnet"
TIMM = "timm:"
WEIGHTS_FILE = ".safetensors"


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """The network: which backbone, how many branches, how long the embedding."""

    name: str = EMBNET
    """The backbone: embnet, a torchvision classification network (resnet50, vgg16, convnext_tiny, vit_b_16, ...), or
    timm:NAME with the optional package timm."""
    dimension: int = 128
    """Length of the embedding."""
    head: Literal["linear", "bnneck"] = "linear"
    """What follows the backbone: a dense layer (linear), or a dense layer and a batch normalisation (bnneck)."""
    branches: Literal["shared", "dual"] = "shared"
    """One network for both domains (shared), or one branch for consumer and one for shop photos (dual)."""
    shared_stages: int = 1
    """Only for dual: how many first stages of the backbone both branches have in common. A stage is what lies between
    two halvings of the resolution (in a vit: the patches, then each block); a timm backbone is one stage."""
    pretrained: str | None = None
    """Weights to start from: a name of torchvision's (DEFAULT, IMAGENET1K_V2, ...), which is downloaded, or the path
    (local or s3://) of a .safetensors file with the backbone's weights under torchvision's own names; null: random."""
    size: int = 64
    """Side of the square input, in pixels."""
    width: float = 1.0
    """Only for embnet: its numbers of channels are multiplied by this."""

    def __post_init__(self):
        for field in ("dimension", "size"):
            if getattr(self, field) < 1:
                raise InputError(f"network.{field}: {getattr(self, field)}; expected 1 or more")
        _one_of("head", self.head, ("linear", "bnneck"))
        _one_of("branches", self.branches, ("shared", "dual"))
        if self.shared_stages < 0:
            raise InputError(f"network.shared_stages: {self.shared_stages}; expected 0 or more")
        if not 0 < self.width <= 16:
            raise InputError(f"network.width: {self.width}; expected above 0 and at most 16")
        if self.width != 1 and self.name != EMBNET:
            raise InputError(
                f"network.width: {self.width} has a meaning for embnet only, not for {self.name}; leave it 1"
            )
        _check_name(self.name)
        if self.pretrained is not None:
            _check_pretrained(self.name, self.pretrained)


def _one_of(field: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"network.{field}: {value!r}; expected one of {', '.join(choices)}")


def _check_name(name: str) -> None:
    if name == EMBNET or (name.startswith(TIMM) and name != TIMM):
        return
    from torchvision import models  # here, for it takes seconds to import and most settings do not need it

    known = models.list_models(module=models)
    if name not in known:
        close = difflib.get_close_matches(name, [EMBNET, *known], n=3, cutoff=0.5) or [EMBNET, "resnet18", "resnet50"]
        raise InputError(
            f"network.name: {name!r} is not known; expected embnet, timm:NAME or a torchvision network"
            f" such as {', '.join(close)}"
        )


def _check_pretrained(name: str, pretrained: str) -> None:
    if pretrained.endswith(WEIGHTS_FILE):
        return
    where = f"network.pretrained: {pretrained!r}"
    if "/" in pretrained or "." in pretrained:
        raise InputError(
            f"{where}; a file of weights must be {WEIGHTS_FILE}: convert it with safetensors.torch.save_file"
        )
    if name == EMBNET:
        raise InputError(f"{where}; embnet has no published weights: give a {WEIGHTS_FILE} file or null")
    if name.startswith(TIMM):
        choices = ["DEFAULT"]
    else:
        from torchvision import models

        choices = list(models.get_model_weights(name).__members__)
    if pretrained not in choices:
        raise InputError(f"{where} is no weights of {name}; expected {', '.join(choices)} or a {WEIGHTS_FILE} file")

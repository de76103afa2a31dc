"""What a user chooses about the network."""

import difflib
from dataclasses import asdict, dataclass, replace
from typing import Literal

from fashion.errors import InputError
from fashion.networks.torchvision_names import torchvision_weights
from fashion.networks.transform import Channels, Fit, Interpolation, Transform, usual
from fashion.setting_ranges import check, setting

EMBNET, RESNET10 = "embnet", "resnet10"
OWN = (EMBNET, RESNET10)  # small networks of ours, of which no weights are published
TIMM = "timm:"
SHIPPED = "timm:tf_efficientnet_lite0"  # its ImageNet weights come with the package; see shipped.py
AUTO = "auto"
WEIGHTS_FILE = ".safetensors"
# Files of weights that we do not read.
_FOREIGN = ("pth", "pt", "bin", "ckpt", "pkl", "npz", "onnx", "h5", "tar", "zip")


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """The network: which backbone, how many branches, how long the embedding."""

    name: str = SHIPPED
    """The backbone: timm:NAME, a torchvision classification network (resnet50, vgg16, convnext_tiny, vit_b_16, ...),
    resnet10, a narrow one for a start from random weights, or embnet, the small network that this task began with."""
    design: Literal["plain", "fashionnet"] = "plain"
    """What is built on the backbone: an embedding (plain), or an embedding, landmarks, category and attributes that
    learn together, local features pooled round the estimated landmarks (fashionnet; vgg16 is the published backbone)."""
    hidden: int = setting(4096, least=1)
    """Only for fashionnet: width of its new dense layers."""
    window: int = setting(3, least=1, unit="cells")
    """Only for fashionnet: side, on the feature map, of the window that is pooled round a landmark; odd."""
    dimension: int = setting(256, least=1)
    """Length of the embedding."""
    head: Literal["linear", "bnneck"] = "linear"
    """What follows the backbone: a dense layer (linear), or a dense layer and a batch normalisation (bnneck)."""
    branches: Literal["shared", "dual"] = "shared"
    """One network for both domains (shared), or one branch for consumer and one for shop photos (dual)."""
    shared_stages: int = setting(1, least=0)
    """Only for dual: how many first stages of the backbone both branches have in common. A stage is what lies between
    two halvings of the resolution (in a vit: the patches, then each block); some of timm's backbones are one stage."""
    pretrained: str | None = AUTO
    """Weights to start from: a name of torchvision's (DEFAULT, IMAGENET1K_V2, ...), or DEFAULT of timm's, which is
    downloaded (timm:tf_efficientnet_lite0's is installed with this package); the path (local or s3://) of a .safetensors
    file with the backbone's weights under torchvision's or timm's own names; or the folder of a training run or of one of
    its checkpoints, whose network goes on with other data, another loss, size or dimension; null: random. auto: those
    that are installed, for other networks random."""
    size: int | None = setting(None, least=1, unit="pixels")
    """Side of the square input. Default: 160 for the network whose weights are installed, 80 for resnet10, else 64."""
    mean: Channels | None = setting(None, least=0, most=1, note="red, green, blue")
    """Mean of the input a channel (red, green, blue; of values in 0..1). null, here and below: what the weights that it
    starts from are recorded to expect; ImageNet's and a stretched, bilinear picture where it starts from random ones."""
    std: Channels | None = setting(None, least=1e-3, most=1, note="red, green, blue")
    """Deviation of the input a channel, likewise."""
    interpolation: Interpolation | None = None
    """How a picture is resized."""
    fit: Fit | None = None
    """How a picture, or its box, becomes a square: stretched, padded to one, or its ends cut off."""
    drop_path: float | None = setting(None, least=0, below=1)
    """Highest probability with which a picture skips a block in training, rising from 0 at the first block (stochastic
    depth); null: as the backbone was published. Only for backbones with such blocks."""
    checkpointing: bool = False
    """Keep only what lies between stages for the backward pass and compute the rest again: much less memory, about a
    third more time, the same gradients."""
    width: float = setting(1.0, above=0, most=16)
    """Only for resnet10 and embnet: their numbers of channels are multiplied by this."""

    def __post_init__(self) -> None:
        if self.size is None:
            object.__setattr__(self, "size", {SHIPPED: 160, RESNET10: 80}.get(self.name, 64))
        if self.pretrained == AUTO:
            object.__setattr__(self, "pretrained", "DEFAULT" if self.name == SHIPPED else None)
        check(self, "network")
        if self.width != 1 and self.name not in OWN:
            raise InputError(
                f"network.width: {self.width} has a meaning for {' and '.join(OWN)} only, not for {self.name}; leave it 1"
            )
        if self.drop_path is not None and self.name in OWN:
            raise InputError(f"network.drop_path: {self.name} has no blocks that could be skipped; leave it out")
        for field in ("mean", "std"):
            if (values := getattr(self, field)) is not None:
                if len(values) != 3:
                    raise InputError(
                        f"network.{field}: found {list(values)}, expected three numbers (red, green, blue)"
                    )
                object.__setattr__(self, field, tuple(map(float, values)))  # a file has lists
        _check_name(self.name)
        self._check_design()
        if self.pretrained is not None:
            _check_pretrained(self.name, self.pretrained)

    @property
    def side(self) -> int:
        """Of the input, in pixels: `size`, which is decided where it was left open."""
        assert self.size is not None
        return self.size

    @property
    def published(self) -> bool:
        """Whether it starts from weights that others have published, which go by a name and not by a place."""
        return self.pretrained is not None and "/" not in self.pretrained and not self.pretrained.endswith(WEIGHTS_FILE)

    @property
    def certain(self) -> bool:
        """Whether it is known without a trial that it can be built, takes pictures of its size, and its weights fit: the
        default network, whatever its embedding and pictures. torch takes a while to import."""
        shown = {name: getattr(self, name) for name in ("dimension", "size", "checkpointing", *_TRANSFORM)}
        return self == NetworkSettings(**shown)

    @property
    def transform(self) -> Transform:
        """How the network wants to be shown pictures; what is null is as `usual`."""
        return replace(usual(self.name), **{k: v for k in _TRANSFORM if (v := getattr(self, k)) is not None})

    def showing(self, transform: Transform) -> "NetworkSettings":
        """These settings with `transform` where they are null."""
        if self.design == "fashionnet":  # its landmarks are fractions of the whole picture
            transform = replace(transform, fit="stretch")
        return replace(self, **{k: v for k, v in asdict(transform).items() if getattr(self, k) is None})

    def _check_design(self) -> None:
        if self.design == "plain":
            for field in _FASHIONNET:
                value, usual = getattr(self, field), type(self).__dataclass_fields__[field].default
                if value != usual:
                    raise InputError(
                        f"network.{field}: {value} has a meaning for design fashionnet only; leave it {usual}, or set "
                        "network.design fashionnet"
                    )
            return
        if self.fit not in (None, "stretch"):
            raise InputError(
                f"network.fit: {self.fit}, but fashionnet's landmarks are fractions of the picture; leave it out, or set "
                "stretch"
            )
        if self.window % 2 == 0:
            raise InputError(f"network.window: found {self.window}, expected an odd number")
        if self.branches == "dual":
            raise InputError(
                "network.branches: dual, but fashionnet has one network for both domains; set it to shared"
            )

    def identity(self) -> dict:
        """All settings that the network depends on. What came later than the first files is said only where it makes a
        difference: a file, its fingerprint and a run from before stay what they were."""
        left_out = ("checkpointing",) + ((*_FASHIONNET, "design") if self.design == "plain" else ())
        left_out += ("drop_path",) if self.drop_path is None else ()
        normal = asdict(usual(self.name))
        left_out += tuple(name for name in _TRANSFORM if getattr(self, name) in (None, normal[name]))
        return {name: value for name, value in asdict(self).items() if name not in left_out}


_TRANSFORM = tuple(Transform.__dataclass_fields__)
_FASHIONNET = ("hidden", "window")


def _check_name(name: str) -> None:
    if name in OWN or (name.startswith(TIMM) and name != TIMM):
        return
    known = torchvision_weights()
    if name not in known:
        close = difflib.get_close_matches(name, [*OWN, *known], n=3, cutoff=0.5) or [RESNET10, "resnet18", "resnet50"]
        raise InputError(
            f"network.name: {name!r} is not known; expected {', '.join(OWN)}, timm:NAME or a torchvision network"
            f" such as {', '.join(close)}"
        )


def _check_pretrained(name: str, pretrained: str) -> None:
    where = f"network.pretrained: {pretrained!r}"
    _, dot, ending = pretrained.rpartition("/")[2].rpartition(".")
    if f".{ending}" == WEIGHTS_FILE or ("/" in pretrained and ending not in _FOREIGN):
        return
    if dot and ending in _FOREIGN:
        raise InputError(
            f"{where}; a file of weights must be {WEIGHTS_FILE}: convert it with safetensors.torch.save_file"
        )
    others = f"a {WEIGHTS_FILE} file or the folder of a training run"
    if name in OWN:
        raise InputError(f"{where}; {name} has no published weights: give {others}, or null")
    if name.startswith(TIMM):
        choices = ["DEFAULT"]
    else:
        choices = list(torchvision_weights()[name])
    if pretrained not in choices:
        raise InputError(f"{where} is no weights of {name}; expected {', '.join(choices)}, {others}")

"""A backbone's stages, taken apart where FashionNet branches: low maps, the last map, and what makes a vector of it."""

from dataclasses import dataclass

from torch import nn

from fashion.errors import InputError
from fashion.networks.settings import NetworkSettings


@dataclass(frozen=True)
class Trunk:
    """The stages in three parts, in order; each map is (N, C, H, W)."""

    shared: nn.Sequential  # picture -> map: conv1 to conv4 of vgg16
    last: nn.Sequential  # map -> map: conv5 and its pooling
    vector: nn.Sequential  # map -> (N, F): averaging and, where the backbone has dense layers, the first one (fc6)


def split(stages: list[nn.Module], settings: NetworkSettings) -> Trunk:
    """The parts of `build_stages`' stages; they use its own layers. Raises InputError for a backbone that has no maps in
    stages, such as a vision transformer."""
    steps = list(stages[-1].children()) if isinstance(stages[-1], nn.Sequential) else [stages[-1]]
    average = next((i for i, step in enumerate(steps) if isinstance(step, nn.AdaptiveAvgPool2d)), None)
    if average is None:
        raise no_maps(settings)
    lower, maps, vector = list(stages[:-1]), steps[:average], steps[average:]
    if not any(True for step in maps for _ in step.parameters()):
        # A pooling alone is no stage: it ends the one before.
        maps = [*(lower.pop().children() if lower else ()), *maps]
    if not lower or not maps:
        raise no_maps(settings)
    dense = [i for i, step in enumerate(vector) if isinstance(step, nn.Linear)]
    kept = vector[: dense[1]] if len(dense) > 1 else vector
    return Trunk(nn.Sequential(*lower), nn.Sequential(*maps), nn.Sequential(*kept))


def no_maps(settings: NetworkSettings) -> InputError:
    """The error for a backbone without maps."""
    return InputError(
        f"network.name: {settings.name} has no feature maps that fashionnet could pool landmarks on; take vgg16, "
        "resnet50, convnext_tiny, embnet or another convolutional network of torchvision's or timm's"
    )

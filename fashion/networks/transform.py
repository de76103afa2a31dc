"""How a network wants to be shown pictures: what shows it one asks here; normalise.py is its own first step."""

from dataclasses import dataclass
from typing import Literal

Interpolation = Literal["bilinear", "bicubic"]
Fit = Literal["stretch", "pad", "crop"]  # how a picture becomes a square
Channels = tuple[float, float, float]  # red, green, blue; of values in 0..1


@dataclass(frozen=True, kw_only=True)
class Transform:
    """From a picture, or its box, to the network's input. The defaults are what most of torchvision's weights expect,
    and what a network had before it carried this."""

    mean: Channels = (0.485, 0.456, 0.406)
    std: Channels = (0.229, 0.224, 0.225)
    interpolation: str = "bilinear"
    fit: str = "stretch"  # how it becomes a square: sides stretched to it, padded to it, or cut off to it

    def identity(self, size: int, crop: str) -> dict:
        """What embeddings depend on, as their manifests have it; of a usual transform as they have always had it."""
        resize = f"{self.interpolation}, antialiased" + (f", {self.fit}" if self.fit != "stretch" else "")
        return {"size": size, "crop": crop, "resize": resize, "mean": list(self.mean), "std": list(self.std)}


USUAL = Transform()
# torchvision's own two scale their input, normalised by USUAL, once more; here the two steps are one.
_OF_FAMILY = {name: Transform(mean=(0.5,) * 3, std=(0.5,) * 3) for name in ("googlenet", "inception_v3")}


def usual(name: str) -> Transform:
    """What a network of this name gets where no record of weights says otherwise."""
    return _OF_FAMILY.get(name, USUAL)

"""What timm's and torchvision's own records say of how the weights that they publish want to be shown pictures."""

from dataclasses import replace

from fashion.errors import InputError
from fashion.networks.of_timm import timm_package
from fashion.networks.settings import OWN, TIMM, NetworkSettings
from fashion.networks.transform import Transform, usual

# timm's words for what we do. On garments keeping the proportions is worth more than what is cut off: an untrained
# tf_efficientnet_lite0 finds 80 % of unseen photos first at 128 pixels with crop, 79 % with pad, 75 % with stretch.
_FITS = {"center": "crop", "squash": "stretch", "border": "pad"}


def recorded(settings: NetworkSettings) -> tuple[Transform, int | None]:
    """The transform of the network's published weights, and the side in pixels that they were trained at; of a file of
    weights, those that are published for its network. Raises InputError for a name that timm has not."""
    if settings.name in OWN:
        return usual(settings.name), None
    if settings.name.startswith(TIMM):
        return _of_timm(settings)
    return _of_torchvision(settings)


def _of_timm(settings: NetworkSettings) -> tuple[Transform, int | None]:
    try:
        record = timm_package(settings).get_pretrained_cfg(settings.name.removeprefix(TIMM))
    except RuntimeError as error:
        raise InputError(f"network.name: {settings.name}: {error}") from None
    if record is None:
        return usual(settings.name), None
    transform = Transform(
        mean=tuple(record.mean),
        std=tuple(record.std),
        interpolation="bilinear" if record.interpolation == "bilinear" else "bicubic",
        fit=_FITS.get(record.crop_mode, "crop"),
    )
    return transform, record.input_size[-1]


def _of_torchvision(settings: NetworkSettings) -> tuple[Transform, int | None]:
    from torchvision import models

    published = models.get_model_weights(settings.name).__members__
    preset = published.get(settings.pretrained, published["DEFAULT"]).transforms()
    transform = Transform(
        mean=tuple(preset.mean), std=tuple(preset.std), interpolation=preset.interpolation.value, fit="crop"
    )
    own = usual(settings.name)
    if own != usual(""):  # the record is of an input that the network scales once more; see transform.py
        transform = replace(transform, mean=own.mean, std=own.std)
    return transform, preset.crop_size[0]

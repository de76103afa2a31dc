"""Augmentation: what it may and may not do to a picture."""

import pytest
import torch

from fashion.errors import InputError
from fashion.training.augment import AugmentationSettings, augment, draw

NONE = dict(zoom=0, stretch=0, rotation=0, flip=False, brightness=0, contrast=0, saturation=0, tint=0, erase=0)


def pictures(count=6, size=16):
    return torch.randint(0, 256, (count, 3, size, size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def vary(images, seed=0, **changes):
    generator = torch.Generator().manual_seed(seed)
    return augment(images, draw(len(images), AugmentationSettings(**{**NONE, **changes}), generator))


def test_nothing_asked_changes_nothing():
    images = pictures()
    torch.testing.assert_close(vary(images), images.float(), atol=1e-2, rtol=1e-4)


def test_flip_mirrors_about_half_and_leaves_the_rest():
    images = pictures(200)
    out = vary(images, flip=True)
    same = (out - images).abs().amax((1, 2, 3)) < 0.1
    mirrored = (out - images.flip(3)).abs().amax((1, 2, 3)) < 0.1
    assert (same | mirrored).all() and 60 < int(mirrored.sum()) < 140


def test_colour_changes_are_per_picture_and_within_their_bounds():
    grey = torch.full((300, 3, 4, 4), 100, dtype=torch.uint8)
    out = vary(grey, brightness=0.3, tint=0.1)
    factor = out / 100
    assert 0.7 * 0.9 - 1e-4 <= float(factor.min()) < 0.7 and 1.3 < float(factor.max()) <= 1.3 * 1.1 + 1e-4
    assert (out.std((2, 3)) < 1e-3).all()  # one factor a channel of a picture
    images = pictures()
    pale = vary(images, saturation=0.9)
    assert not torch.allclose(pale, images.float(), atol=1)
    weights = torch.tensor([0.299, 0.587, 0.114])
    grey_of = lambda x: (x * weights[:, None, None]).sum(1)  # noqa: E731
    inside = ((pale > 0) & (pale < 255)).all(1)  # where nothing was cut off, the brightness stays
    torch.testing.assert_close(grey_of(pale)[inside], grey_of(images.float())[inside], atol=0.5, rtol=1e-3)


def test_crop_stays_in_the_picture_and_shrinks_what_is_seen():
    ramp = torch.arange(64, dtype=torch.float32).mul(4).to(torch.uint8).expand(100, 3, 64, 64).contiguous()
    out = vary(ramp, zoom=0.5)
    seen = (out[:, 0, :, -4:].mean((1, 2)) - out[:, 0, :, :4].mean((1, 2))) / 240
    assert 0.45 < float(seen.min()) < 0.65 and 0.85 < float(seen.max()) < 1.02
    assert out.min() >= 0 and out.max() <= 255


def test_erasing_hits_its_share_and_2_to_15_percent_of_the_area():
    white = torch.full((400, 3, 32, 32), 255, dtype=torch.uint8)
    hole = (vary(white, erase=0.5)[:, 0] < 200).float().mean((1, 2))
    assert 150 < int((hole > 0).sum()) < 250
    assert hole[hole > 0].min() > 0.01 and hole.max() < 0.18


def test_a_workers_part_is_the_same_as_in_the_whole_batch():
    images = pictures(8)
    draws = draw(8, AugmentationSettings(), torch.Generator().manual_seed(3))
    part = torch.tensor([1, 6, 7])
    torch.testing.assert_close(augment(images[part], draws.cut(part)), augment(images, draws)[part])


@pytest.mark.parametrize(("name", "value"), [("zoom", 0.95), ("erase", -0.1), ("rotation", 200)])
def test_bounds_are_checked(name, value):
    with pytest.raises(InputError, match=rf"augmentation\.{name}: found {value}"):
        AugmentationSettings(**{name: value})

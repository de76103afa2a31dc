"""Augmentation: what it may and may not do to a picture."""

import pytest
import torch

from fashion.errors import InputError
from fashion.training.augment import Draws, augment, draw, move_landmarks
from fashion.training.recipe import AugmentationSettings

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


def marked(landmarks, size=96):
    """Black pictures with one white spot at each landmark, a picture a landmark."""
    x, y = (landmarks[..., 1:] * size).long().clamp(0, size - 1).unbind(-1)
    images = torch.zeros(len(landmarks), 8, 3, size, size, dtype=torch.uint8)
    for n in range(len(landmarks)):
        for k in range(8):
            images[n, k, :, max(0, y[n, k] - 1) : y[n, k] + 2, max(0, x[n, k] - 1) : x[n, k] + 2] = 255
    return images


@pytest.mark.parametrize(
    "changes",
    [
        {"zoom": 0.5},
        {"rotation": 60, "stretch": 0.4},
        {"flip": True},
        {"zoom": 0.4, "rotation": 25, "flip": True, "stretch": 0.2},
    ],
)
def test_landmarks_move_with_what_they_mark(changes):
    generator = torch.Generator().manual_seed(2)
    N, size = 24, 96
    landmarks = torch.cat([torch.zeros(N, 8, 1), torch.rand(N, 8, 2, generator=generator) * 0.8 + 0.1], 2)
    draws = draw(N, AugmentationSettings(**{**NONE, **changes}), torch.Generator().manual_seed(4))
    moved = move_landmarks(landmarks, draws)
    flipped = draws.affine[:, :, :2].det() < 0
    assert flipped.any() == ("flip" in changes)
    out = augment(
        marked(landmarks).flatten(0, 1),
        Draws(*(getattr(draws, name).repeat_interleave(8, 0) for name in draws.__dataclass_fields__)),
    )
    out = out[:, 0].view(N, 8, size, size)
    seen = 0
    for n in range(N):
        for k in range(8):
            slot = k ^ 1 if flipped[n] else k  # neighbours are left and right
            visibility, x, y = moved[n, slot].tolist()
            if not (0.05 < x < 0.95 and 0.05 < y < 0.95):
                continue
            seen += 1
            assert visibility == 0
            row, column = int(y * size), int(x * size)
            spot = out[n, k, row - 1 : row + 2, column - 1 : column + 2]
            assert spot.max() > 100 and (out[n, k] > 100).float().mean() < 0.02  # bright here, and hardly elsewhere
    assert seen > 100


def test_a_landmark_that_leaves_the_picture_is_cut_off_and_one_that_is_erased_occluded():
    N = 200
    generator = torch.Generator().manual_seed(0)
    visibility = torch.randint(-2, 3, (N, 8, 1), generator=generator).float()
    landmarks = torch.cat([visibility, torch.rand(N, 8, 2, generator=generator)], 2)
    draws = draw(N, AugmentationSettings(**{**NONE, "zoom": 0.5, "erase": 0.7}), torch.Generator().manual_seed(1))
    moved = move_landmarks(landmarks, draws)
    inside = ((moved[..., 1:] >= 0) & (moved[..., 1:] < 1)).all(2)
    corner, end = draws.hole[:, None, :2], draws.hole[:, None, 2:]
    behind = ((moved[..., 1:] >= corner) & (moved[..., 1:] < end)).all(2)
    before, after = landmarks[..., 0], moved[..., 0]
    assert torch.equal(after[before < 0], before[before < 0])
    assert (after[(before >= 0) & ~inside] == 2).all() and (after[before == 2] == 2).all()
    assert (after[(before == 0) & inside & behind] == 1).all() and (after[(before == 0) & inside & ~behind] == 0).all()
    assert (after[(before == 1) & inside] == 1).all()
    assert ((before == 0) & inside & behind).any() and ((before == 1) & ~inside).any()


def test_nothing_asked_moves_no_landmark():
    landmarks = torch.rand(5, 8, 3, generator=torch.Generator().manual_seed(0)).round(decimals=3)
    landmarks[..., 0] = 0
    draws = draw(5, AugmentationSettings(**NONE), torch.Generator().manual_seed(1))
    torch.testing.assert_close(move_landmarks(landmarks, draws), landmarks)

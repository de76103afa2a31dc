import torch
from torchvision.transforms import v2

from fashion.networks.normalise import normalise


def test_equals_torchvisions_preset_for_its_published_weights():
    images = torch.randint(0, 256, (4, 3, 7, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    preset = v2.Compose(
        [v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])]
    )
    torch.testing.assert_close(normalise(images), preset(images), atol=1e-5, rtol=0)
    torch.testing.assert_close(normalise(images.float()), preset(images), atol=1e-5, rtol=0)


def test_keeps_channels_last():
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    assert normalise(images).is_contiguous(memory_format=torch.channels_last)

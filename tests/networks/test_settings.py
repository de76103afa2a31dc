import pytest

from fashion.errors import InputError
from fashion.networks.check import check_network
from fashion.networks.model import build_network
from fashion.networks.settings import NetworkSettings


@pytest.mark.parametrize(
    "values, field, expected",
    [
        ({"name": "resnet19"}, "name", "resnet18"),
        ({"name": "timm:"}, "name", "timm:NAME"),
        ({"dimension": 0}, "dimension", "at least 1"),
        ({"size": 0}, "size", "at least 1 pixels"),
        ({"head": "mlp"}, "head", "linear, bnneck"),
        ({"branches": "triple"}, "branches", "shared, dual"),
        ({"shared_stages": -1}, "shared_stages", "at least 0"),
        ({"mean": (0.5, 0.5)}, "mean", "three numbers"),
        ({"std": (0.5, 0.5, 0.0)}, "std", "0.001 to 1"),
        ({"interpolation": "nearest"}, "interpolation", "bilinear, bicubic"),
        ({"fit": "squash"}, "fit", "stretch, pad, crop"),
        ({"drop_path": 1.0, "name": "resnet18"}, "drop_path", "below 1"),
        ({"drop_path": 0.1, "name": "embnet"}, "drop_path", "embnet has no blocks"),
        ({"fit": "crop", "design": "fashionnet"}, "fit", "fractions of the picture"),
        ({"width": 0.0}, "width", "above 0"),
        ({"name": "resnet18", "width": 2.0}, "width", "embnet and resnet10 only"),
        ({"pretrained": "DEFAULT", "name": "embnet"}, "pretrained", ".safetensors"),
        ({"name": "resnet50", "pretrained": "IMAGENET1K_V9"}, "pretrained", "IMAGENET1K_V1, IMAGENET1K_V2, DEFAULT"),
        ({"name": "resnet50", "pretrained": "s3://bucket/resnet50.pth"}, "pretrained", ".safetensors"),
    ],
)
def test_an_impossible_setting_is_one_line_that_names_it_and_says_what_is_expected(values, field, expected):
    with pytest.raises(InputError) as error:
        NetworkSettings(**values)
    message = str(error.value)
    assert message.startswith(f"network.{field}: ") and expected in message and "\n" not in message


@pytest.mark.parametrize(
    "values, field, expected",
    [
        ({"branches": "dual", "shared_stages": 4, "name": "embnet"}, "shared_stages", "embnet has 3 stages"),
        ({"name": "resnet18", "branches": "dual", "shared_stages": 6}, "shared_stages", "resnet18 has 5 stages"),
        ({"name": "regnet_x_400mf", "branches": "dual", "shared_stages": 6}, "shared_stages", "has 5 stages"),
        ({"name": "alexnet", "size": 8}, "size", "cannot take 8 pixels"),
        ({"name": "vit_b_32", "size": 65}, "size", "cannot take 65 pixels"),
        ({"name": "maxvit_t", "size": 64}, "size", "cannot take 64 pixels"),
    ],
)
def test_what_only_the_backbone_can_tell_is_told_the_same_way_before_it_is_built(values, field, expected):
    settings = NetworkSettings(**values)
    for build in (check_network, lambda settings: build_network(settings, seed=0)):
        with pytest.raises(InputError) as error:
            build(settings)
        message = str(error.value)
        assert message.startswith(f"network.{field}: ") and expected in message and "\n" not in message

"""FashionNet: what its branches see, what reaches what, and that it is used like any other network."""

import pytest
import safetensors.torch
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torchvision import models

from fashion.errors import InputError
from fashion.networks.check import check_network
from fashion.networks.fashionnet import FashionNet
from fashion.networks.files import fingerprint, load_network, save_network
from fashion.networks.heads import new_parameters
from fashion.networks.landmark_pooling import pool_round
from fashion.networks.model import EmbeddingNetwork, build_network
from fashion.networks.settings import NetworkSettings
from fashion.storage import Store
from fashion.vocabulary import Vocabulary

SMALL = {"name": "embnet", "design": "fashionnet", "width": 0.125, "dimension": 8, "size": 32, "hidden": 12}
WORDS = Vocabulary(categories=("Dress", "Tee", "Coat"), attributes=("striped", "long sleeve"))


def network_of(*, seed=0, vocabulary=WORDS, **values):
    return build_network(NetworkSettings(**(SMALL | values)), seed=seed, vocabulary=vocabulary)


def awake(network):
    """Its estimates differ from picture to picture: those of a new network do not."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for head in (network.positions, network.visibility):
            head.dense.weight.copy_(torch.randn(head.dense.weight.shape, generator=generator) * 0.1)
    return network


def pictures(count=7, size=32, dtype=torch.float32):
    return 255 * torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(3), dtype=dtype)


def test_it_is_called_like_a_plain_network():
    network = awake(network_of()).eval()
    images = pictures()
    found = network.outputs(images)
    z, norm = network(images, torch.zeros(7, dtype=torch.int64), with_norm=True)
    assert torch.equal(z, network(images)) and torch.equal(z, found.z_ND) and torch.equal(norm, found.norm_N)
    torch.testing.assert_close(z.norm(dim=1), torch.ones(7))
    shapes = [tuple(x.shape) for x in vars(network(images, everything=True)).values()]
    assert shapes == [(7, 8), (7,), (7, 8, 2), (7, 8, 4), (7, 3), (7, 2)]
    assert build_network(NetworkSettings(name="embnet"), seed=0).vocabulary is None and network.vocabulary == WORDS


def test_a_new_network_places_every_landmark_in_the_middle():
    found = network_of().outputs(pictures())
    assert (found.landmarks_N82 == 0.5).all() and (found.visibility_N84 == 0).all()


def test_local_features_are_pooled_round_the_estimates_and_zero_where_these_are_not_visible():
    network = awake(network_of(window=5)).eval()
    seen = []
    network.local.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = pictures()
    found = network.outputs(images)
    low = network.shared(network.normalise(images))
    visible = found.visibility_N84.argmax(2) == 0
    assert visible.any() and not visible.all()
    expected = pool_round(low, found.landmarks_N82, 5)
    for n in range(len(images)):
        for k in range(8):
            part = seen[0][n].view(8, -1)[k]
            assert torch.equal(part, expected[n, k] if visible[n, k] else torch.zeros_like(part))


def test_the_embedding_and_the_labels_learn_nothing_of_the_pose_and_the_pose_nothing_of_them():
    network = awake(network_of())
    pose = {"pose", "positions", "visibility"}
    common = {"shared"}
    found = network.outputs(pictures())
    (found.z_ND.square()[:, 0].sum() + found.category_NC.sum() + found.attribute_NA.sum()).backward()
    for name, p in network.named_parameters():
        assert (p.grad is None) == (name.split(".")[0] in pose), name
    network.zero_grad()
    found = network.outputs(pictures())
    (found.landmarks_N82.sum() + found.visibility_N84.square().sum()).backward()
    for name, p in network.named_parameters():
        assert (p.grad is not None) == (name.split(".")[0] in pose | common), name


def test_low_stages_get_the_local_branchs_gradient_only_in_the_windows():
    network = awake(network_of()).eval()
    low = network.shared(network.normalise(pictures())).detach().requires_grad_()
    found = network.outputs(pictures())
    seen = found.visibility_N84.detach().argmax(2) == 0
    pooled = pool_round(low, found.landmarks_N82, 3) * seen[..., None]
    network.local(pooled.flatten(1)).sum().backward()
    H, W = low.shape[2:]
    allowed = torch.zeros(len(low), H, W, dtype=torch.bool)
    for n in range(len(low)):
        for k in range(8):
            if seen[n, k]:
                x, y = (min(max(int(v * s), 0), s - 1) for v, s in zip(found.landmarks_N82[n, k], (W, H), strict=True))
                allowed[n, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2] = True
    touched = low.grad.abs().sum(1) > 0
    assert touched.any() and not (touched & ~allowed).any() and not allowed.all()


def test_published_weights_go_to_the_shared_stages_and_to_both_copies_of_the_last(tmp_path):
    path = tmp_path / "resnet18.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(1)
        weights = models.resnet18().state_dict()
    safetensors.torch.save_file(weights, path)
    network = network_of(name="resnet18", width=1.0, size=64, pretrained=str(path))
    for stage in (network.last, network.pose[0]):
        assert torch.equal(stage[0].conv1.weight, weights["layer4.0.conv1.weight"])
    assert torch.equal(network.shared[0][0].weight, weights["conv1.weight"])
    assert torch.equal(network.shared[-1][0].conv1.weight, weights["layer3.0.conv1.weight"])
    backbone = [name for name, p in network.named_parameters() if p not in new_parameters(network)]
    assert {name.split(".")[0] for name in backbone} == {"shared", "last", "pose"}
    assert not any(name.startswith("pose.3") for name in backbone)


def test_of_vgg16_conv1_to_4_are_shared_and_fc6_is_kept_but_not_fc7():
    with torch.device("meta"):
        network = FashionNet(NetworkSettings(name="vgg16", design="fashionnet", size=224), WORDS)
        low = network.shared(torch.zeros(2, 3, 224, 224))
        high = network.last(low)
    convolutions = [[m for m in part.modules() if isinstance(m, nn.Conv2d)] for part in (network.shared, network.last)]
    assert [len(found) for found in convolutions] == [10, 3]
    assert low.shape == (2, 512, 28, 28) and high.shape == (2, 512, 7, 7)
    dense = [m for m in network.vector.modules() if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in dense] == [(512 * 49, 4096)]
    assert (network.local[0].in_features, network.fused[0].in_features) == (8 * 512, 4096 + 4096)


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "convnext_tiny",
        "densenet121",
        "regnet_y_400mf",
        "mobilenet_v3_small",
        "timm:tf_efficientnet_lite0",
        "timm:convnext_atto",
    ],
)
def test_other_backbones_of_maps_do_too(name):
    check_network(NetworkSettings(name=name, design="fashionnet", size=64, hidden=8))


@pytest.mark.parametrize("name", ["vit_b_32", "swin_t"])
def test_a_backbone_without_maps_is_refused(name):
    with pytest.raises(InputError, match=rf"^network\.name: {name} has no feature maps .*take vgg16"):
        check_network(NetworkSettings(name=name, design="fashionnet", size=224))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"design": "fashion"}, r"network\.design: found 'fashion', expected one of plain, fashionnet"),
        (
            {"design": "plain", "hidden": 64},
            r"network\.hidden: 64 has a meaning for design fashionnet only; leave it 4096",
        ),
        ({"design": "plain", "window": 5}, r"network\.window: 5 has a meaning for design fashionnet only; leave it 3"),
        ({"design": "fashionnet", "window": 4}, r"network\.window: found 4, expected an odd number"),
        ({"design": "fashionnet", "hidden": 0}, r"network\.hidden: found 0, expected at least 1"),
        ({"design": "fashionnet", "branches": "dual"}, r"network\.branches: dual, but fashionnet has one network"),
    ],
)
def test_settings_of_the_design_are_checked(values, message):
    with pytest.raises(InputError, match=f"^{message}"):
        NetworkSettings(**values)


def test_the_file_holds_the_vocabulary_and_the_fingerprint_counts_it(tmp_path):
    store, network = Store(tmp_path), awake(network_of())
    network(pictures())
    digest = save_network(store, "network", network, {"epoch": 1})
    loaded, extra = load_network(store, "network")
    assert isinstance(loaded, FashionNet) and loaded.vocabulary == WORDS and extra == {"epoch": 1}
    assert fingerprint(loaded) == fingerprint(network) == digest
    assert torch.equal(loaded.eval()(pictures()), network.eval()(pictures()))
    network.vocabulary = Vocabulary(categories=WORDS.categories[::-1], attributes=WORDS.attributes)
    assert fingerprint(network) != digest


def test_a_plain_networks_fingerprint_is_what_it_was_before_there_were_designs():
    network = build_network(NetworkSettings(name="embnet", width=0.125, dimension=8, size=32), seed=0)
    assert isinstance(network, EmbeddingNetwork)
    with torch.no_grad():
        for tensor in network.state_dict().values():  # not drawn: another torch may draw otherwise
            tensor.zero_()
    assert fingerprint(network) == "509525820b334276"


def test_the_first_weights_but_those_of_the_labels_do_not_depend_on_the_vocabulary():
    one, none = network_of().state_dict(), network_of(vocabulary=None).state_dict()
    assert none.keys() == {name for name in one if not name.startswith(("category.", "attributes."))}
    assert all(torch.equal(tensor, one[name]) for name, tensor in none.items())
    found = network_of(vocabulary=None).outputs(pictures())
    assert found.category_NC.shape == (7, 0) and found.attribute_NA.shape == (7, 0)


def test_bfloat16_autocast_gives_float32_outputs_near_the_exact_ones():
    network = awake(network_of()).eval()
    exact = network.outputs(pictures())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = network.outputs(pictures())
    for name, x in vars(found).items():
        assert x.dtype == torch.float32, name
    assert (found.landmarks_N82 - exact.landmarks_N82).abs().max() < 0.05
    sum(x.square().sum() for x in vars(found).values()).backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in network.parameters())


def test_distributed_training_equals_plain():
    # DistributedDataParallel raises at the next step when a parameter got no gradient in this one.
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        plain = awake(network_of())
        wrapped = DistributedDataParallel(awake(network_of()))
        for _ in range(3):
            for network in (plain, wrapped):
                network.zero_grad()
                found = network(pictures(), everything=True)
                sum(x.square().sum() for x in vars(found).values()).backward()
            for expected, mine in zip(plain.parameters(), wrapped.module.parameters(), strict=True):
                torch.testing.assert_close(mine.grad, expected.grad)
    finally:
        dist.destroy_process_group()

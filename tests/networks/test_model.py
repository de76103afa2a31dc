import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from fashion.networks.model import build_network
from fashion.networks.settings import NetworkSettings

SMALL = {"name": "embnet", "width": 0.125, "dimension": 8, "size": 32}
CONSUMER, SHOP = 0, 1


def network_of(*, seed=0, **values):
    return build_network(NetworkSettings(**(SMALL | values)), seed=seed).double()


def dual(**values):
    """A network whose branches differ: those of a new one are equal."""
    network = network_of(branches="dual", **values)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for p in network.branches[SHOP].parameters():
            p.add_(torch.randn(p.shape, generator=generator, dtype=p.dtype) * 0.1)
    return network


def batch(count=7, size=32):
    generator = torch.Generator().manual_seed(3)
    images = 255 * torch.rand(count, 3, size, size, generator=generator, dtype=torch.float64)
    return images, torch.tensor([1, 0, 0, 1, 0, 1, 1, 0, 0][:count])


@pytest.mark.parametrize("head", ["linear", "bnneck"])
@pytest.mark.parametrize("shared_stages", [0, 1, 3])
def test_a_new_dual_network_is_the_shared_network(head, shared_stages):
    images, domains = batch()
    shared = network_of(head=head).eval()
    both = network_of(head=head, branches="dual", shared_stages=shared_stages).eval()
    torch.testing.assert_close(both(images, domains), shared(images))
    assert len(both.shared) == shared_stages


def test_each_picture_goes_through_its_own_branch_and_only_its_domain_shapes_the_batch_statistics():
    images, domains = batch()
    network = dual(head="bnneck").train()
    h = network.shared(network.normalise(images))
    v = torch.zeros(len(images), 8, dtype=torch.float64)
    for domain in (CONSUMER, SHOP):
        v[domains == domain] = network.branches[domain](h[domains == domain])
    z, norm = network(images, domains, with_norm=True)
    torch.testing.assert_close(z, nn.functional.normalize(v))
    torch.testing.assert_close(norm, v.norm(dim=1))
    torch.testing.assert_close(network.features(images, domains), v)


def test_the_order_of_the_batch_does_not_matter():
    images, domains = batch()
    network = dual().eval()
    order = torch.tensor([4, 2, 0, 6, 1, 5, 3])
    torch.testing.assert_close(network(images[order], domains[order]), network(images, domains)[order])


def test_the_norm_is_a_function_of_the_weights():
    images, domains = batch()
    network = dual()
    network(images, domains, with_norm=True)[1].sum().backward()
    assert all(p.grad.abs().max() > 0 for p in network.branches.parameters())


@pytest.mark.parametrize("domain", [CONSUMER, SHOP])
def test_a_batch_of_one_domain_gives_the_other_branch_zero_gradients_and_no_statistics(domain):
    images, _ = batch()
    network = dual(head="bnneck").train()
    idle = network.branches[1 - domain]
    before = {name: buffer.clone() for name, buffer in idle.named_buffers()}
    network(images, torch.full((len(images),), domain)).sum().backward()
    for name, p in network.named_parameters():
        if p.requires_grad:
            assert p.grad is not None, name
    assert all((p.grad == 0).all() for p in idle.parameters() if p.requires_grad)
    assert any(p.grad.abs().max() > 0 for p in network.branches[domain].parameters() if p.requires_grad)
    torch.testing.assert_close(dict(idle.named_buffers()), before, rtol=0, atol=0)


def test_distributed_training_goes_through_batches_of_one_domain():
    # DistributedDataParallel raises at the next step when a parameter got no gradient in this one.
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        plain, wrapped = dual(head="bnneck"), DistributedDataParallel(dual(head="bnneck"))
        images, domains = batch()
        for d in (domains, torch.zeros_like(domains), torch.ones_like(domains), domains):
            for network in (plain, wrapped):
                network.zero_grad()
                network(images, d).square()[:, 0].sum().backward()
            for expected, found in zip(plain.parameters(), wrapped.module.parameters(), strict=True):
                torch.testing.assert_close(found.grad, expected.grad)
    finally:
        dist.destroy_process_group()


def test_one_photo_of_a_domain_is_enough_to_train():
    images, domains = batch(9)
    network = dual(head="bnneck").train()
    z = network(images[1:4], domains[1:4])  # two consumer photos, one shop photo
    assert torch.isfinite(z).all()


@pytest.mark.parametrize("wrong", [None, torch.zeros(6, dtype=torch.int64), torch.tensor([0, 1, 2, 0, 1, 0, 1])])
def test_two_branches_refuse_a_batch_without_a_known_domain_for_each_picture(wrong):
    with pytest.raises(ValueError, match="domain"):
        dual()(batch()[0], wrong)


def test_bfloat16_autocast_gives_float32_embeddings_near_the_exact_ones_and_float32_gradients():
    images, domains = (t.float() if t.is_floating_point() else t for t in batch())
    network = dual(shared_stages=1).float().eval()
    exact = network(images, domains)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z, norm = network(images, domains, with_norm=True)
    assert z.dtype == norm.dtype == torch.float32
    torch.testing.assert_close(z.norm(dim=1), torch.ones(len(z)))
    assert (z - exact).norm(dim=1).max() < 0.05
    z[:, 0].sum().backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.dtype == torch.float32 for p in network.parameters())


def test_channels_last_reaches_both_branches_and_changes_nothing():
    images, domains = batch()
    network = dual().eval()
    expected = network(images, domains)
    network.to(memory_format=torch.channels_last)
    formats = []
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_pre_hook(
                lambda _, inputs: formats.append(inputs[0].is_contiguous(memory_format=torch.channels_last))
            )
    found = network(images.contiguous(memory_format=torch.channels_last), domains)
    torch.testing.assert_close(found, expected)
    assert len(formats) == 5 and all(formats)


def test_the_first_weights_are_a_function_of_the_seed_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = network_of(seed=7).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    same, other = network_of(seed=7).state_dict(), network_of(seed=8).state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["branches.0.0.dense.weight"], other["branches.0.0.dense.weight"])


def test_a_picture_without_features_has_no_direction_and_no_gradient():
    network = network_of()
    nn.init.zeros_(network.branches[0][-1].dense.weight)
    z, norm = network(batch()[0], with_norm=True)
    assert (z == 0).all() and (norm == 0).all()
    (z.sum() + norm.sum()).backward()
    assert all((p.grad == 0).all() for p in network.parameters())


def test_features_as_small_as_an_untrained_networks_are_brought_to_unit_length():
    images = batch()[0].float()
    network = network_of().float().eval()
    expected = network(images)
    with torch.no_grad():
        network.branches[0][-1].dense.weight.mul_(1e-14)
    torch.testing.assert_close(network(images), expected)

"""bf16 in a step: what is chosen and left as it was, depthwise convolutions, and that no step waits for its device."""

import copy
import time

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from fashion.losses import LossResult, LossSettings, build_loss
from fashion.networks.heads import to_sphere
from fashion.training.augment import AugmentationSettings
from fashion.training.autocast import quick_depthwise
from fashion.training.precision import quicker, settled
from fashion.training.step import Batch, StepContext, backward

CPU = torch.device("cpu")


class Mobile(nn.Module):
    """Batch statistics, dropout and a depthwise convolution; slow in one of the precisions."""

    def __init__(self, slow=None, again=False):
        super().__init__()
        self.slow, self.again = slow, again
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)

    def body(self, x):
        return self.depthwise(nn.functional.dropout(self.norm(self.first(x)), 0.2, self.training))

    def forward(self, images, domains, *, with_norm=False):
        if self.slow is not None and self.slow == torch.is_autocast_enabled("cpu"):
            time.sleep(0.02)
        x = checkpoint(self.body, images, use_reentrant=False) if self.again else self.body(images)
        return to_sphere(x.relu().mean((2, 3)))


def batch():
    g = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (8, 3, 16, 16), generator=g, dtype=torch.uint8)
    return Batch(images, torch.arange(8) // 2, torch.arange(8) % 2, None, torch.arange(8))


def context(network, *, autocast=False, chunk=0, loss=None):
    loss = loss or build_loss(LossSettings(), dimension=8, classes=4)
    return StepContext(network.train(), loss, AugmentationSettings(), chunk, autocast, 0)


@pytest.mark.parametrize(("slow", "chosen"), [(False, "bf16"), (True, "float32")])
def test_the_quicker_is_found_and_nothing_else_changes(slow, chosen):
    torch.manual_seed(0)
    network = Mobile(slow)
    before, random = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    assert quicker(context(network), batch()) == chosen
    assert all(torch.equal(x, before[name]) for name, x in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters()) and torch.equal(torch.get_rng_state(), random)


def test_without_native_bf16_a_cpu_computes_in_float32(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert settled("auto", CPU) == "float32" and settled("bf16", CPU) == "bf16"
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert settled("auto", CPU) is None and settled("float32", CPU) == "float32"


class Same(nn.Conv2d):
    """Packages have convolutions of their own."""

    def forward(self, x):
        return conv2d(nn.functional.pad(x, (1, 1, 1, 1)), self.weight, self.bias, 1, 0, 1, self.groups)


@pytest.mark.parametrize("layer", [lambda: nn.Conv2d(8, 8, 3, padding=1, groups=8), lambda: Same(8, 8, 3, groups=8)])
def test_a_depthwise_convolution_has_the_gradients_of_float32_while_it_is_trained(layer):
    g = torch.Generator().manual_seed(0)
    x, grown = (torch.randn(4, 8, 9, 9, generator=g).bfloat16().float() for _ in range(2))
    plain = layer()
    quick = copy.deepcopy(plain)
    quick_depthwise(quick)
    quick_depthwise(quick)  # once more changes nothing
    quick = copy.deepcopy(quick)

    def gradients(module, autocast):
        a = x.clone().requires_grad_()
        module.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            out = module(a)
        out.backward(grown.to(out.dtype))
        return out, a.grad, module.weight.grad.clone()

    (out, *mine), (exact, *theirs) = gradients(quick, True), gradients(plain, False)
    assert out.dtype == torch.bfloat16 and torch.equal(out, exact.bfloat16()) and all(map(torch.equal, mine, theirs))
    assert all(map(torch.equal, gradients(quick, False), gradients(plain, False)))
    assert all(map(torch.equal, gradients(quick.eval(), True), gradients(plain, True)))
    assert not all(map(torch.equal, gradients(plain, True)[1:], theirs))
    assert quick.state_dict().keys() == plain.state_dict().keys()


@pytest.mark.parametrize("chunk", [0, 3])
def test_a_forward_pass_that_is_computed_once_more_is_the_same(chunk):
    found = []
    for again in (False, True):
        torch.manual_seed(0)
        network = Mobile(again=again)
        quick_depthwise(network)
        torch.manual_seed(1)
        backward(context(network, autocast=True, chunk=chunk), batch(), epoch=0, step=0)
        found.append([p.grad for p in network.parameters()])
    assert all(map(torch.equal, *found)) and all(x.abs().sum() > 0 for x in found[0])


class Waits(TorchDispatchMode):
    """Refuses what would make the host wait for a GPU: reading a value, and shapes that depend on values."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket._qualified_op_name
        masked = "aten::index" in name and any(x is not None and x.dtype == torch.bool for x in args[1])
        if masked or name in {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal"}:
            raise AssertionError(f"{name} waits")
        return func(*args, **(kwargs or {}))


class Mean(nn.Module):
    """A loss without mining: those that look for triplets do wait."""

    def forward(self, z, labels, domains, *, norms_B, **others):
        return LossResult(loss=(z[labels] * domains[:, None]).sum(), statistics={"norm": norms_B.mean()})


@pytest.mark.parametrize("chunk", [0, 3])
def test_a_step_does_not_wait_for_its_device(chunk):
    with pytest.raises(AssertionError, match="waits"), Waits():
        float(torch.ones(2)[torch.tensor([True, False])].sum())
    with Waits():
        backward(context(Mobile(), autocast=True, chunk=chunk, loss=Mean()), batch(), epoch=0, step=0)

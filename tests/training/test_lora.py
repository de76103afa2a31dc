"""Low-rank additions: what is kept computes what is trained, and nothing else of the backbone learns."""

import copy

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from fashion.errors import InputError
from fashion.networks.embnet import EmbNet
from fashion.networks.heads import new_parameters
from fashion.networks.model import build_network
from fashion.networks.settings import NetworkSettings
from fashion.training import lora
from fashion.training.lora import Additions
from tests.training.test_tuning_weights import trainer, watched


class Attentive(nn.Module):
    """Torch's attention, as torchvision's transformers have it, a layer beside it, and a head."""

    def __init__(self):
        super().__init__()
        self.attention, self.mlp = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 8)
        self.head = nn.Linear(8, 4)
        self.head.new = True

    def forward(self, x):
        return self.head(self.mlp(self.attention(x, x, x, need_weights=False)[0]))


def of_timm(name, size):
    return build_network(NetworkSettings(name=f"timm:{name}", pretrained=None, size=size, dimension=8), seed=0)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: of_timm("tf_efficientnet_lite0", 32), (2, 3, 32, 32)),
        (lambda: of_timm("test_vit", 160), (2, 3, 160, 160)),
        (Attentive, (2, 5, 8)),
    ],
)
def test_what_is_kept_computes_what_is_trained(make, shape):
    network, pictures = make(), 255 * torch.rand(shape, generator=torch.Generator().manual_seed(0))
    before = copy.deepcopy(network.state_dict())
    additions = Additions(network, 3, seed=1)
    assert list(additions.network.state_dict()) == list(before)
    additions.update(network)
    assert all(
        torch.equal(x, before[name]) for name, x in additions.network.state_dict().items()
    )  # nothing is learnt yet
    learnt = {name: p for name, p in network.named_parameters() if p.requires_grad}
    new = new_parameters(network)
    assert {p in new or ".lora_" in name for name, p in learnt.items()} == {True}
    network(pictures).square().sum().backward()
    assert all(p.grad is not None for p in learnt.values())  # each is called: else DDP would wait for it
    with torch.no_grad():
        for p in learnt.values():
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(2)))
    additions.update(network)
    changed = [name for name, x in additions.network.state_dict().items() if not torch.equal(x, before[name])]
    assert len(changed) >= len([name for name in learnt if ".lora_A." in name])
    torch.testing.assert_close(additions.network.eval()(pictures), network.eval()(pictures), rtol=1e-3, atol=1e-4)


def test_the_backbones_own_weights_stay_and_what_is_kept_moves(tmp_path):
    save_file(EmbNet(0.125).state_dict(), tmp_path / "backbone.safetensors")
    made = trainer(str(tmp_path / "backbone.safetensors"), lora=2)
    first = {name: x.clone() for name, x in made.kept.state_dict().items()}
    own = {name: p.detach().clone() for name, p in made.network.named_parameters() if ".base_layer.weight" in name}
    watched(made)
    assert own and all(torch.equal(p, own[name]) for name, p in made.network.named_parameters() if name in own)
    moved = {name for name, x in made.kept.state_dict().items() if not torch.equal(x, first[name])}
    assert {name.replace(".base_layer.", ".") for name in own} <= moved
    assert not any("lora" in name for name in first)


def test_equal_seeds_give_equal_additions_and_leave_other_draws_alone():
    found = []
    for seed in (1, 1, 2):
        network = of_timm("tf_efficientnet_lite0", 32)
        torch.manual_seed(7)
        Additions(network, 2, seed=seed)
        found.append(({name: x for name, x in network.state_dict().items() if ".lora_A." in name}, torch.rand(1)))
    (one, next_one), (same, next_same), (other, _) = found
    assert all(torch.equal(x, same[name]) for name, x in one.items()) and next_one == next_same
    assert not all(torch.equal(x, other[name]) for name, x in one.items())


def test_without_peft_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(lora, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"^optimizer\.lora: peft is not installed; .*fashion-retrieval\[lora\]"):
        Additions(Attentive(), 2, seed=0)

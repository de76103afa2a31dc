"""The embedding network: a picture and its domain in, a point on the unit sphere out."""

import copy
from collections.abc import Mapping, Sequence
from itertools import chain

import torch
from torch import nn

from fashion.errors import InputError
from fashion.networks.backbones import build_stages, feature_length, stages_apart
from fashion.networks.fashionnet import FashionNet
from fashion.networks.heads import Head, new_parameters, to_sphere
from fashion.networks.normalise import Normalise
from fashion.networks.recompute import through
from fashion.networks.settings import NetworkSettings
from fashion.vocabulary import Vocabulary

CONSUMER, SHOP = 0, 1


class EmbeddingNetwork(nn.Module):
    """A backbone and a head. With `branches: dual`, the stages from `shared_stages` on and the head exist twice, and
    each picture goes through its own domain's: the batch statistics there are of that domain alone. Both branches
    begin with equal weights, so that the two domains are comparable from the first step on.

    `weights`: the backbone's, see `build_stages`; None for random ones, drawn from torch's global generator
    (`build_network` draws them from a seed). Raises InputError for impossible settings.
    """

    vocabulary = None  # it predicts no labels
    branches: Sequence[nn.Sequential]

    def __init__(
        self, settings: NetworkSettings, weights: Mapping[str, torch.Tensor] | None = None, *, apart: bool | None = None
    ):
        """`apart`: whether a timm network is taken apart; by default where that makes a difference."""
        super().__init__()
        self.settings = settings
        self.checkpointing = settings.checkpointing  # which may change from one start of a run to the next
        stages = build_stages(settings, weights, apart=settings.branches == "dual" if apart is None else apart)
        shared = len(stages)
        if settings.branches == "dual":
            if settings.shared_stages > shared:
                raise InputError(
                    f"network.shared_stages: {settings.shared_stages}, but {settings.name} has {shared} stages;"
                    f" expected 0 to {shared}"
                )
            shared = settings.shared_stages
        head = Head(feature_length(stages, settings), settings.dimension, neck=settings.head == "bnneck")
        if weights is not None:
            head.keep_neighbours()
        branch = nn.Sequential(*stages[shared:], head)
        self.normalise = Normalise(settings.transform)
        self.shared = nn.Sequential(*stages[:shared])
        branches = [branch, copy.deepcopy(branch)] if settings.branches == "dual" else [branch]
        self.branches = nn.ModuleList(branches)  # type: ignore[assignment]  # it does not tell what it is a sequence of

    def forward(
        self, images_N3HW: torch.Tensor, domains_N: torch.Tensor | None = None, *, with_norm: bool = False
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """z_ND, float32, of length 1 (0 for a picture without any features); with `with_norm` also the lengths (N,)
        before that, with their gradient.

        `images_N3HW`: values 0..255, uint8 or float; the network normalises them. `domains_N`: 0 for consumer, 1 for shop
        photos; a shared network does not look at it."""
        z_ND, norm_N = to_sphere(self.features(images_N3HW, domains_N))
        return (z_ND, norm_N) if with_norm else z_ND

    def features(self, images_N3HW: torch.Tensor, domains_N: torch.Tensor | None = None) -> torch.Tensor:
        """The embeddings (N, D) before they are brought to unit length."""
        images_N3HW = self.normalise(images_N3HW)
        if len(self.branches) == 1:
            return self._through(self.branches[0], self._through(self.shared, images_N3HW))
        # The batch is sorted by domain while it is still pictures, so that a branch gets one slice of it.
        order_N, counts = _by_domain(images_N3HW, domains_N)
        slices = self._through(self.shared, images_N3HW[order_N]).split(counts)
        v_ND = torch.cat([self._through(branch, x) for branch, x in zip(self.branches, slices, strict=True) if len(x)])
        if torch.is_grad_enabled():
            v_ND = v_ND + self._zero_of_idle(counts)
        return v_ND[order_N.argsort()]

    def _through(self, part: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
        if self.checkpointing and torch.is_grad_enabled():
            return through(_stages(part), x)
        return part(x)

    def depths(self) -> list[list[nn.Module]]:
        """The backbone's modules from the input side on; a stage that exists twice is of one depth."""
        shared = [[stage] for stage in _stages(self.shared)]
        return shared + [list(stages) for stages in zip(*(_stages(b[:-1]) for b in self.branches), strict=True)]

    def _zero_of_idle(self, counts: list[int]) -> torch.Tensor | float:
        """0 as a function of the branches that got no picture: their gradients are zeros instead of None, which
        DistributedDataParallel would wait for in vain."""
        idle = [branch for branch, count in zip(self.branches, counts, strict=True) if not count]
        return sum(0.0 * p.sum() for branch in idle for p in branch.parameters() if p.requires_grad)


def _stages(part: nn.Sequential) -> list[nn.Module]:
    return [stage for whole in part for stage in stages_apart(whole)]


def _by_domain(images_N3HW: torch.Tensor, domains_N: torch.Tensor | None) -> tuple[torch.Tensor, list[int]]:
    """The order that puts consumer before shop photos and leaves each in its own order, and the number of each."""
    if domains_N is None or domains_N.shape != images_N3HW.shape[:1]:
        given = None if domains_N is None else tuple(domains_N.shape)
        raise ValueError(f"two branches need a domain a picture: {len(images_N3HW)} pictures, domains {given}")
    counts = torch.stack([(domains_N == domain).sum() for domain in (CONSUMER, SHOP)]).tolist()  # one wait for the GPU
    if sum(counts) != len(domains_N):
        raise ValueError(f"domains must be {CONSUMER} (consumer) or {SHOP} (shop)")
    return torch.argsort(domains_N, stable=True), counts


Network = EmbeddingNetwork | FashionNet


def make_network(
    settings: NetworkSettings,
    vocabulary: Vocabulary | None = None,
    weights: Mapping[str, torch.Tensor] | None = None,
    *,
    apart: bool | None = None,
) -> Network:
    """The network of the settings' design. `vocabulary`: what a fashionnet predicts; None for nothing."""
    if settings.design == "fashionnet":
        return FashionNet(settings, vocabulary or Vocabulary(categories=(), attributes=()), weights)
    return EmbeddingNetwork(settings, weights, apart=apart)


def build_network(settings: NetworkSettings, *, seed: int, vocabulary: Vocabulary | None = None) -> Network:
    """The network with its first weights; `settings.pretrained`, a name or a backbone's file, is read where given, and
    what `settings` leaves open is as those weights expect it. Raises InputError."""
    weights = None
    if settings.pretrained:
        # Here, for they import torchvision.
        from fashion.networks.pretrained import read_weights
        from fashion.networks.records import recorded

        weights = read_weights(settings)
        settings = settings.showing(recorded(settings)[0])
    return new_network(settings, weights, seed=seed, vocabulary=vocabulary)


def new_network(
    settings: NetworkSettings,
    weights: Mapping[str, torch.Tensor] | None,
    *,
    seed: int,
    vocabulary: Vocabulary | None = None,
) -> Network:
    """The network with `weights` in its backbone; all others are a function of `seed` alone (a fashionnet's embedding
    does not depend on the vocabulary). torch's global generators are as they were. Raises InputError."""
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which seeds the GPUs' generators too.
        torch.default_generator.manual_seed(seed)
        return make_network(settings, vocabulary, weights)


def parameter_depths(network: Network) -> list[list[nn.Parameter]]:
    """All parameters by depth: a group a stage of the backbone, from the input side on, and last the head and all else
    that no published weights exist for. No group is empty, and no parameter in two."""
    left = dict.fromkeys(network.parameters())
    new = new_parameters(network)
    groups = []
    for depth in chain.from_iterable(map(_finer, network.depths())):
        group = [p for p in dict.fromkeys(depth) if p in left and p not in new]
        for p in group:
            del left[p]
        groups.append(group)
    return [group for group in [*groups, list(left)] if group]


def _finer(stages: list[nn.Module]) -> list[list[nn.Parameter]]:
    """The parameters of one depth; of a timm network that has no stages here, those of its own groups."""
    if not hasattr(stages[0], "group_matcher"):
        return [[p for stage in stages for p in stage.parameters()]]
    from fashion.networks.timm_stages import parameter_groups

    return [list(chain.from_iterable(groups)) for groups in zip(*map(parameter_groups, stages), strict=True)]

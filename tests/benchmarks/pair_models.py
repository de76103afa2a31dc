"""Models over the local features of two pictures, for second_opinion.py.

Each says what is kept of a picture, from its embedding and maps, and scores queries against others by that. Tensor legend:
N pictures, D numbers of the embedding, T places of a map, W numbers of a place, Q queries, n others of each.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

WIDTH = 64  # W


class PairModel(nn.Module, ABC):
    def __init__(self, dimension: int, maps: Sequence[Sequence[int]]):
        """`maps`: (C, H, W) of each map, the last one first."""
        super().__init__()

    @abstractmethod
    def kept(self, z_ND: torch.Tensor, maps: list[torch.Tensor]) -> list[torch.Tensor]:
        """(N, ...) what is kept of each picture."""

    @abstractmethod
    def forward(self, queries: list[torch.Tensor], others: list[torch.Tensor]) -> torch.Tensor:
        """(Q, n) scores, from what is kept: (Q, ...) and (Q, n, ...)."""


class SamePlace(PairModel):
    """The cosine of the last maps as they are, place by place: nothing is learnt, and it needs no pair."""

    def kept(self, z_ND: torch.Tensor, maps: list[torch.Tensor]) -> list[torch.Tensor]:
        return [F.normalize(maps[0].flatten(1), dim=1)]

    def forward(self, queries: list[torch.Tensor], others: list[torch.Tensor]) -> torch.Tensor:
        return (queries[0][:, None] * others[0]).sum(2)


class Matching(PairModel):
    """Of each map how alike a picture's places are to the other's most alike ones, and to those of the same place: six
    numbers, weighed. The places' projections, weights of their own and the six are learnt; at first each place counts the
    same, and projections are random ones at right angles."""

    def __init__(self, dimension: int, maps: Sequence[Sequence[int]]):
        super().__init__(dimension, maps)
        self.project = nn.ModuleList(_projection(channels) for channels, *_ in maps)
        self.weigh = nn.ModuleList(nn.Linear(channels, 1) for channels, *_ in maps)
        for layer in self.weigh:
            nn.init.zeros_(layer.weight)
        self.mix = nn.Linear(3 * len(maps), 1)
        nn.init.constant_(self.mix.weight, 5.0)

    def kept(self, z_ND: torch.Tensor, maps: list[torch.Tensor]) -> list[torch.Tensor]:
        places = [x.flatten(2).transpose(1, 2) for x in maps]
        return [
            torch.cat([F.normalize(project(x), dim=2), weigh(x).softmax(1)], 2)
            for x, project, weigh in zip(places, self.project, self.weigh, strict=True)
        ]

    def forward(self, queries: list[torch.Tensor], others: list[torch.Tensor]) -> torch.Tensor:
        features = []
        for q, g in zip(queries, others, strict=True):
            s_QnTT = q[:, None, :, :-1] @ g[..., :-1].transpose(2, 3)
            weight_Q1T, weight_QnT = q[:, None, :, -1], g[..., -1]
            features += [
                (weight_Q1T * s_QnTT.amax(3)).sum(2),
                (weight_QnT * s_QnTT.amax(2)).sum(2),
                (weight_Q1T * s_QnTT.diagonal(dim1=2, dim2=3)).sum(2),
            ]
        return self.mix(torch.stack(features, 2)).squeeze(2)


class Attention(PairModel):
    """A transformer over the embeddings and the places of both pictures, after Tan, Yuan and Ordonez (ICCV 2021)."""

    def __init__(self, dimension: int, maps: Sequence[Sequence[int]]):
        super().__init__(dimension, maps)
        (late, *self.grid), (early, *_) = maps
        self.project, self.whole = _projection(late + early), _projection(dimension)
        self.first = nn.Parameter(torch.zeros(WIDTH))
        self.position = nn.Parameter(0.1 * torch.randn(2, 1 + self.grid[0] * self.grid[1], WIDTH))
        layer = nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH, 0.1, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.score = nn.Linear(WIDTH, 1)

    def kept(self, z_ND: torch.Tensor, maps: list[torch.Tensor]) -> list[torch.Tensor]:
        late, early = maps
        x = torch.cat([late, F.adaptive_avg_pool2d(early, self.grid)], 1).flatten(2).transpose(1, 2)
        return [torch.cat([self.whole(z_ND)[:, None], self.project(x)], 1)]

    def forward(self, queries: list[torch.Tensor], others: list[torch.Tensor]) -> torch.Tensor:
        (q,), (g,) = queries, others
        both = torch.cat([(q + self.position[0])[:, None].expand_as(g), g + self.position[1]], 2).flatten(0, 1)
        x = torch.cat([self.first.expand(len(both), 1, -1), both], 1)
        return self.score(self.layers(x)[:, 0]).view(g.shape[:2])


def _projection(channels: int) -> nn.Linear:
    layer = nn.Linear(channels, WIDTH)
    nn.init.orthogonal_(layer.weight)
    return layer

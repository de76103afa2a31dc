"""FashionNet (Liu et al. 2016, "DeepFashion: powering robust clothes recognition and retrieval with rich annotations"):
an embedding that is learnt together with landmarks, category and attributes."""

import copy
from collections.abc import Mapping

import torch
from torch import nn

from fashion.domain import LANDMARKS, VISIBILITIES, VISIBLE
from fashion.networks.backbones import build_stages, output_shape
from fashion.networks.heads import Dense, Head, to_sphere
from fashion.networks.landmark_pooling import pool_round
from fashion.networks.normalise import Normalise
from fashion.networks.outputs import Outputs
from fashion.networks.recompute import through
from fashion.networks.settings import NetworkSettings
from fashion.networks.trunk import no_maps, split
from fashion.vocabulary import Vocabulary

POSE_GRID = 7  # side of the map that the pose's dense layer sees, at most


class FashionNet(nn.Module):
    """Three branches above a backbone's low stages (conv1 to conv4 of vgg16).

    pose: a copy of the last stage, two dense layers -> landmark positions and visibilities.
    global: the last stage and, of vgg16, fc6.
    local: the low stages' map, max-pooled round each estimated landmark, 0 where the landmark is not estimated visible;
        one dense layer.
    Global and local features -> one dense layer -> the descriptor, which the embedding, category and attributes are
    read from. Landmarks are estimates everywhere, in training too; the descriptor has no gradient to them.

    The paper's second dense layer of vgg16 (fc7) is here the one above both branches. `weights`: the backbone's, as for
    an EmbeddingNetwork; the pose's copy starts with them too. Raises InputError for impossible settings.
    """

    def __init__(
        self, settings: NetworkSettings, vocabulary: Vocabulary, weights: Mapping[str, torch.Tensor] | None = None
    ):
        super().__init__()
        self.settings, self.vocabulary = settings, vocabulary
        self.checkpointing = settings.checkpointing
        self.normalise = Normalise(settings.transform)
        trunk = split(build_stages(settings, weights, apart=True), settings)
        self.shared, self.last, self.vector = trunk.shared, trunk.last, trunk.vector
        low, high = (output_shape(stages, settings) for stages in ([self.shared], [self.shared, self.last]))
        if len(low) != 3 or low[1] != low[2]:  # channels last, as a swin's
            raise no_maps(settings)
        grid = min(POSE_GRID, high[1])
        features = output_shape([self.shared, self.last, self.vector], settings)[0]
        hidden = settings.hidden
        self.pose = nn.Sequential(
            copy.deepcopy(self.last), nn.AdaptiveAvgPool2d(grid), nn.Flatten(1), Dense(high[0] * grid**2, hidden)
        )
        self.positions = _zero(Head(hidden, 2 * len(LANDMARKS)))
        self.visibility = _zero(Head(hidden, VISIBILITIES * len(LANDMARKS)))
        self.local = Dense(len(LANDMARKS) * low[0], hidden)
        self.fused = Dense(features + hidden, hidden)
        self.embedding = Head(hidden, settings.dimension, neck=settings.head == "bnneck")
        # Last, so that the other layers' first weights do not depend on the vocabulary.
        self.category = _logits(hidden, len(vocabulary.categories))
        self.attributes = _logits(hidden, len(vocabulary.attributes))

    def forward(
        self,
        images_N3HW: torch.Tensor,
        domains_N: torch.Tensor | None = None,
        *,
        with_norm: bool = False,
        everything: bool = False,
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor] | Outputs:
        """z_ND as an EmbeddingNetwork gives it, with `with_norm` also the lengths (N,); with `everything`, Outputs."""
        outputs = self.outputs(images_N3HW, domains_N)
        if everything:
            return outputs
        return (outputs.z_ND, outputs.norm_N) if with_norm else outputs.z_ND

    def outputs(self, images_N3HW: torch.Tensor, domains_N: torch.Tensor | None = None) -> Outputs:
        """All that is estimated of the pictures, values 0..255, uint8 or float. `domains_N` is not looked at: both
        domains have one network."""
        images_N3HW = self.normalise(images_N3HW)
        recomputed = self.checkpointing and torch.is_grad_enabled()
        low_NCHW = through(list(self.shared), images_N3HW) if recomputed else self.shared(images_N3HW)
        pose_NH = self.pose(low_NCHW)
        landmarks_N82 = 0.5 + self.positions(pose_NH).unflatten(1, (len(LANDMARKS), 2))
        visibility_N84 = self.visibility(pose_NH).unflatten(1, (len(LANDMARKS), VISIBILITIES))
        seen_N8 = visibility_N84.detach().argmax(2) == VISIBLE
        local_N8C = pool_round(low_NCHW, landmarks_N82, self.settings.window) * seen_N8.unsqueeze(2)
        both_NF = torch.cat([self.vector(self.last(low_NCHW)), self.local(local_N8C.flatten(1))], dim=1)
        fused_NH = self.fused(both_NF)
        z_ND, norm_N = to_sphere(self.embedding(fused_NH))
        category_NC, attribute_NA = self.category(fused_NH), self.attributes(fused_NH)
        return Outputs(z_ND, norm_N, landmarks_N82, visibility_N84, category_NC, attribute_NA)

    def depths(self) -> list[list[nn.Module]]:
        """The backbone's modules from the input side on; the pose's copy of the last stage is as deep as that."""
        return [*([stage] for stage in self.shared), [self.last, self.pose[0]], [self.vector]]


def _zero(head: Head) -> Head:
    """Every estimate starts in the middle of the picture, with no visibility likelier than another."""
    nn.init.zeros_(head.dense.weight)
    return head


def _logits(features: int, names: int) -> nn.Module:
    return Head(features, names) if names else _Nothing()


class _Nothing(nn.Module):
    """(N, F) -> (N, 0), float32: no names, no layer."""

    new = True

    def forward(self, x_NF: torch.Tensor) -> torch.Tensor:
        return x_NF.new_zeros((len(x_NF), 0), dtype=torch.promote_types(x_NF.dtype, torch.float32))

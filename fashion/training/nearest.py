"""Each item's nearest other items, exactly and block by block."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

PAIRS = 1 << 24  # similarities of two photos at a time
ACROSS = 1 << 14  # items that a block is compared with at a time
CACHED = 1 << 12  # the same by a CPU, whose cache holds no more
LISTED = 10_000  # pairs of near-duplicates, at most
_LOW = 0x7FFFFFFF
_NONE = (0x807FFFFF - (1 << 32)) << 32  # key of similarity -inf


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """Of n items, the ranks from first to last: labels (-1 where there are fewer) and similarities (n, K), and of the
    near-duplicates their number, and the labels (M, 2) and similarities (M,) of at most LISTED, the most alike."""

    labels_nK: Tensor
    similarity_nK: Tensor
    duplicates: int
    pairs_M2: Tensor
    alike_M: Tensor


def nearest(
    z_NVD: Tensor, domain_NV: Tensor, rows: range, *, domains: str, first: int, last: int, duplicate: float
) -> Nearest:
    """Of the items `rows` (labels) among all N, by the embeddings of V photos each and their domains.

    The similarity of two items is the largest cosine of a photo of one and a photo of the other, whose domains are as the
    loss compares them (`domains`: cross, within, any); without such photos they are no neighbours. Two items of which any
    two photos have a cosine above `duplicate` are near-duplicates, and no neighbours. Ties: the lower label comes first.
    """
    N, V, _ = z_NVD.shape
    z_NVD = torch.nn.functional.normalize(z_NVD.float(), dim=2)
    across = min(ACROSS, CACHED) if z_NVD.device.type == "cpu" else ACROSS
    keys, pairs, alike, count = [], [], [], 0
    for block in _blocks(rows, block_rows(N, V)):
        own = torch.arange(block.start, block.stop, device=z_NVD.device)
        best = torch.empty(len(block), 0, dtype=torch.int64, device=z_NVD.device)
        for tile in _blocks(range(N), across):
            others = torch.arange(tile.start, tile.stop, device=z_NVD.device)
            similarity, any_two = _compared(z_NVD[own], z_NVD[others], domain_NV[own], domain_NV[others], domains)
            other = own[:, None] != others
            twice = (any_two > duplicate).logical_and_(other)
            similarity = similarity.masked_fill(twice | ~other, -torch.inf)
            best = torch.cat([best, _keys(similarity, others)], 1)
            best = best.topk(min(last, best.shape[1])).values
            a, b = (twice & (own[:, None] < others)).nonzero(as_tuple=True)
            count += len(a)
            listed = most_alike(torch.stack([own[a], others[b]], 1).cpu(), any_two[a, b].cpu())
            pairs.append(listed[0])
            alike.append(listed[1])
        keys.append(torch.nn.functional.pad(best, (0, last - best.shape[1]), value=_NONE)[:, first - 1 :].cpu())
    similarity_nK, labels_nK = _of_keys(
        torch.cat(keys) if keys else torch.empty(0, last - first + 1, dtype=torch.int64)
    )
    pairs_M2 = torch.cat(pairs) if pairs else torch.empty(0, 2, dtype=torch.int64)
    pairs_M2, alike_M = most_alike(pairs_M2, torch.cat(alike) if alike else torch.empty(0))
    return Nearest(
        labels_nK=labels_nK.masked_fill(similarity_nK.isinf(), -1),
        similarity_nK=similarity_nK,
        duplicates=count,
        pairs_M2=pairs_M2,
        alike_M=alike_M,
    )


def block_rows(N: int, V: int) -> int:
    """Items of a block. Parts of whole blocks give every number of workers the same products, to the last bit."""
    return max(1, PAIRS // (V * V * min(N, ACROSS)))


def most_alike(pairs_M2: Tensor, alike_M: Tensor) -> tuple[Tensor, Tensor]:
    """The LISTED most alike, in that order; ties by their labels."""
    a_M, b_M = pairs_M2.T.numpy()
    order = torch.from_numpy(np.lexsort((b_M, a_M, -alike_M.numpy()))[:LISTED])
    return pairs_M2[order], alike_M[order]


def _keys(similarity_ab: Tensor, labels_b: Tensor) -> Tensor:
    """Whole numbers (a, b) in the order of similarities, and at equal ones of falling labels."""
    bits = similarity_ab.contiguous().view(torch.int32)
    ordered = bits ^ ((bits >> 31) & _LOW)
    return (ordered.long() << 32) | (_LOW - labels_b)


def _of_keys(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Similarities float32 and labels."""
    ordered = (keys >> 32).to(torch.int32)
    return (ordered ^ ((ordered >> 31) & _LOW)).view(torch.float32), _LOW - (keys & _LOW)


def _compared(
    z_aVD: Tensor, z_bVD: Tensor, domain_aV: Tensor, domain_bV: Tensor, domains: str
) -> tuple[Tensor, Tensor]:
    """(a, b) largest product of two photos that are compared, -inf without such, and (a, b) of any two. One photo of each
    item at a time: products of all at once would be gone through four times, outside the cache."""
    similarity = z_aVD.new_full((len(z_aVD), len(z_bVD)), -torch.inf)
    any_two = similarity if domains == "any" else similarity.clone()
    of_photos = torch.empty_like(similarity)
    for v, w in product(range(z_aVD.shape[1]), range(z_bVD.shape[1])):
        torch.mm(z_aVD[:, v], z_bVD[:, w].T, out=of_photos)
        torch.maximum(any_two, of_photos, out=any_two)
        if domains == "any":
            continue
        same = domain_aV[:, v, None] == domain_bV[:, w]
        related = same if domains == "within" else ~same
        if related.all():  # nearly always: a slot holds one domain
            torch.maximum(similarity, of_photos, out=similarity)
        elif related.any():
            torch.maximum(similarity, of_photos.masked_fill_(~related, -torch.inf), out=similarity)
    return similarity, any_two


def _blocks(span: range, size: int) -> Iterator[range]:
    for start in range(span.start, span.stop, size):
        yield range(start, min(start + size, span.stop))

"""Cross-batch memory (Wang et al. 2020): past embeddings as more references, since they drift slowly."""

import torch
from torch import Tensor, nn

from fashion.losses.relations import Identity


class CrossBatchMemory(nn.Module):
    """First-in-first-out queue of detached embeddings and what they show.

    Everything is a buffer, so it moves with the module, and a state dict holds it: a resumed run goes on exactly. It
    fills from the first step and is given out after `warmup` steps.
    """

    embeddings: Tensor
    identities: Tensor
    steps: Tensor
    seen: Tensor

    def __init__(self, size: int, dimension: int, *, warmup: int = 0):
        super().__init__()
        self.size, self.warmup = size, warmup
        self.register_buffer("embeddings", torch.zeros(size, dimension))
        self.register_buffer("identities", torch.full((3, size), -1, dtype=torch.int64))  # item, domain, pair
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))  # embeddings ever put in

    def __len__(self) -> int:
        """Embeddings held."""
        return min(int(self.seen), self.size)

    def recall(self, *, pairs: bool) -> tuple[Tensor, Identity] | None:
        """The embeddings (n, D) and what they show (with pairs, if asked), or None in warm-up or when empty."""
        filled = len(self)
        if not filled or int(self.steps) < self.warmup:
            return None
        labels, domains, pair = self.identities[:, :filled].clone()
        return self.embeddings[:filled].clone(), Identity(labels=labels, domains=domains, pairs=pair if pairs else None)

    @torch.no_grad()
    def put(self, z_BD: Tensor, identity: Identity) -> None:
        """End a step: the batch takes the places of the oldest; of a batch larger than the queue, its last images."""
        pairs = torch.full_like(identity.labels, -1) if identity.pairs is None else identity.pairs
        identities = torch.stack([identity.labels, identity.domains, pairs]).long()[:, -self.size :]
        skipped = len(z_BD) - identities.shape[1]
        place = (self.seen + skipped + torch.arange(identities.shape[1], device=self.seen.device)) % self.size
        self.embeddings[place] = z_BD.detach()[-self.size :].to(self.embeddings)
        self.identities[:, place] = identities.to(self.identities.device)
        self.seen += len(z_BD)
        self.steps += 1

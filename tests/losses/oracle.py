"""The formulas again, as plain loops over triplets.

Only distances are taken from the library (they have their own test), so that ties between equal pictures fall the
same way.
"""

import torch
from torch import Tensor

from fashion.losses.distances import DISTANCES

from .batches import Batch


class Oracle:
    """One batch under one setting. `positives[a]` and `negatives[a]` list images, both empty where either would be."""

    def __init__(self, batch: Batch, settings):
        self.batch, self.s = batch, settings.filled()
        self.distance = DISTANCES[self.s.distance or "cosine"].between
        self.d = self.distance(batch.z, batch.z)
        self.positives, self.negatives = [], []
        for a in range(len(batch.z)):
            near, far = self._compared(a, True), self._compared(a, False)
            self.positives.append(near if near and far else [])
            self.negatives.append(far if near and far else [])

    def _compared(self, a: int, same_item: bool) -> list[int]:
        b, s, found = self.batch, self.s, []
        for r in range(len(b.z)):
            domain_a, domain_r = int(b.domains[a]), int(b.domains[r])
            if s.domains == "cross" and domain_a == domain_r:
                continue
            if s.domains == "within" and domain_a != domain_r:
                continue
            if s.direction == "consumer-to-shop" and domain_a != 0:
                continue
            if s.direction == "shop-to-consumer" and domain_a != 1:
                continue
            if (int(b.labels[a]) == int(b.labels[r])) != same_item or a == r:
                continue
            if same_item and s.positives == "pair" and (int(b.pairs[a]) < 0 or int(b.pairs[a]) != int(b.pairs[r])):
                continue
            found.append(r)
        return found

    def mined(self, far: Tensor | None = None, margin: float | None = None, negatives=None) -> list[tuple]:
        """The triplets (a, p, n) of a mining without chance; `far` (A, R) replaces the negatives' distances."""
        far, margin = self.d if far is None else far, self.s.margin if margin is None else margin
        negatives = self.negatives if negatives is None else negatives
        chosen = []
        for a, positives in enumerate(self.positives):
            if not positives or not negatives[a]:
                continue
            if self.s.mining == "hard":
                farthest = max(positives, key=lambda p: self.d[a, p].item())
                chosen.append((a, farthest, min(negatives[a], key=lambda n: far[a, n].item())))
                continue
            for p in positives:
                every = negatives[a]
                if self.s.mining == "semi-hard":
                    beyond = [n for n in every if far[a, n] > self.d[a, p]]
                    every = [n for n in beyond if far[a, n] < self.d[a, p] + margin]
                    if self.s.fallback and not beyond:
                        every = [max(negatives[a], key=lambda n: far[a, n].item())]
                chosen += [(a, p, n) for n in every]
        return chosen

    def zero(self) -> Tensor:
        return self.batch.z.sum() * 0

    def mean(self, terms: list[Tensor]) -> Tensor:
        if self.s.reduction == "active":
            terms = [t for t in terms if t > 0]
        return sum(terms, self.zero()) / max(1, len(terms))

    def hinges(self, triplets, margin: float, far: Tensor | None = None) -> Tensor:
        far = self.d if far is None else far
        return self.mean([torch.relu(self.d[a, p] - far[a, n] + margin) for a, p, n in triplets])

    # The losses, by name.

    def triplet(self, triplets=None):
        return self.hinges(self.mined() if triplets is None else triplets, self.s.margin)

    def soft_triplet(self, triplets=None):
        x = [(self.d[a, p] - self.d[a, n] + self.s.margin) / self.s.temperature for a, p, n in triplets or self.mined()]
        return self.mean([torch.log(1 + torch.exp(value)) for value in x])

    def improved_triplet(self):
        pairs = [(a, p) for a, positives in enumerate(self.positives) for p in positives]
        bounds = [torch.relu(self.d[a, p] - self.s.bound) for a, p in pairs]
        return self.triplet() + self.s.weight * self.mean(bounds)

    def quadruplet(self):
        second, known = torch.zeros_like(self.d), [[] for _ in self.negatives]
        for a, negatives in enumerate(self.negatives):
            for n in negatives:
                third = [
                    m
                    for m in range(len(self.d))
                    if n in self.negatives[m] and self.batch.labels[m] != self.batch.labels[a]
                ]
                if third:
                    second[a, n] = self.d[min(third, key=lambda m, n=n: self.d[m, n].item()), n]
                    known[a].append(n)
        mined = self.mined(second, self.s.second_margin, known)
        return self.triplet() + self.s.weight * self.hinges(mined, self.s.second_margin, second)

    def centroid_triplet(self):
        z, rows = self.batch.z, []
        for a, positives in enumerate(self.positives):
            if positives:
                items = sorted({int(self.batch.labels[n]) for n in self.negatives[a]})
                groups = [[n for n in self.negatives[a] if int(self.batch.labels[n]) == item] for item in items]
                centroids = torch.stack([z[group].mean(0) for group in [positives, *groups]])
                rows.append(self.distance(z[a : a + 1], centroids)[0])
        self.d = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True) if rows else self.d
        self.positives = [[0] for _ in rows]
        self.negatives = [list(range(1, len(row))) for row in rows]
        return self.triplet()

    def margin(self):
        b, terms = float(torch.tensor(self.s.boundary)), []  # a float32 parameter
        for a, p, n in self.mined():
            terms.append(torch.relu(self.d[a, p] - b + self.s.margin))
            terms.append(torch.relu(b - self.d[a, n] + self.s.margin))
        return self.mean(terms)

    def tuplet(self):
        terms, margin = [], self.s.margin or 0.0
        for a, positives in enumerate(self.positives):
            for p in positives:
                x = [(self.d[a, p] - self.d[a, n] + margin) / self.s.temperature for n in self.negatives[a]]
                terms.append(torch.log(1 + sum(torch.exp(value) for value in x)))
        return sum(terms, self.zero()) / max(1, len(terms))

    infonce = tuplet

    def multi_similarity(self):
        terms, similarity = [], 1 - self.d
        alpha, beta, t = self.s.positive_scale, self.s.negative_scale, self.s.threshold
        for a, positives in enumerate(self.positives):
            if positives:
                pull = sum(torch.exp(-alpha * (similarity[a, p] - t)) for p in positives)
                push = sum(torch.exp(beta * (similarity[a, n] - t)) for n in self.negatives[a])
                terms.append(torch.log(1 + pull) / alpha + torch.log(1 + push) / beta)
        return sum(terms, self.zero()) / max(1, len(terms))

    def supervised_contrastive(self):
        terms = []
        for a, positives in enumerate(self.positives):
            if positives:
                e = torch.exp((1 - self.d[a]) / self.s.temperature)
                total = sum(e[r] for r in positives + self.negatives[a])
                terms.append(-sum(torch.log(e[p] / total) for p in positives) / len(positives))
        return sum(terms, self.zero()) / max(1, len(terms))

    def value(self) -> Tensor:
        return getattr(self, self.s.name.replace("-", "_"))()

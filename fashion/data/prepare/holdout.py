"""Which items are held out for validation and test, and which of their photos ask and which answer.

Decided for the whole table, from counts alone, before an item is looked at. Items are held out, never single images.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from fashion.domain import ROLE_OF
from fashion.seeds import seed_of

EVALUATED = ("val", "test")


@dataclass(frozen=True, kw_only=True)
class HoldOut:
    """Shares of the train items that become the splits which the annotations lack, and how roles are given."""

    shares: dict[str, float]  # val, test -> share; those held out alone
    by_domain: dict[str, bool]  # split -> whether it has both domains, so that these are the roles
    dealt: dict[str, str]  # split whose roles are dealt -> its only domain
    seed: int

    @staticmethod
    def of(counts: Counter, *, holdout: float, seed: int) -> "HoldOut":
        """`counts`: images by (split, domain, whether a role is given), as annotated."""
        have = {split for split, _, _ in counts}
        shares = {split: holdout for split in EVALUATED if holdout and split not in have and "train" in have}
        domains = {split: {d for s, d, _ in counts if s == split} for split in have}
        domains |= {split: domains["train"] for split in shares}
        roleless = {split for split, _, role in counts if not role}
        roleless |= set(shares) if "train" in roleless else set()
        dealt = {split for split, names in domains.items() if len(names) == 1 and "train" in have}
        return HoldOut(
            shares=shares,
            by_domain={split: len(names) > 1 or "train" not in have for split, names in domains.items()},
            dealt={s: min(domains[s]) for s in EVALUATED if s in roleless & dealt},
            seed=seed,
        )

    def notes(self) -> list[str]:
        """Lines that tell the user."""
        lines = []
        if self.shares:
            missing = "no split column" if len(self.shares) == 2 else f"no {' or '.join(self.shares)} images"
            rest = 1 - sum(self.shares.values())
            others = ", ".join(f"{100 * share:.3g} % {split}" for split, share in self.shares.items())
            lines.append(f"{missing}: {100 * rest:.3g} % of the train items stay train, {others}")
        if self.dealt:
            splits, domain = " and ".join(self.dealt), next(iter(self.dealt.values()))
            lines.append(
                f"{splits}: {domain} photos alone, without a role: those of each item are dealt in turn to gallery and "
                "queries"
            )
        return lines

    def splits(self, split: np.ndarray, hashes: np.ndarray) -> np.ndarray:
        """The split of each row; `hashes` (N,) uint64 are of the rows' items, and not those of their shards: a
        hold-out must not be a run of neighbours."""
        low, split = 0.0, split.copy()
        train = split == "train"
        for name, share in self.shares.items():
            bounds = [np.uint64(min(x, 1) * float(2**64 - 2048)) for x in (low, low + share)]
            split[train & (hashes >= bounds[0]) & (hashes < bounds[1])] = name
            low += share
        return split

    def roles(self, rows: pa.Table, split: str) -> pa.Table:
        """`rows` of one split (an item's rows adjacent) with a role for each that has none.

        With both domains in the split, consumer photos are queries and shop photos the gallery; so it is too in a table
        without train images, which is a catalogue to be searched. With one domain, the photos of an item are shuffled
        by the seed and dealt in turn to gallery and queries, so an only photo is of the gallery; train photos, which
        nothing is asked of, stay without.
        """
        roles = rows["role"].to_pylist()
        if None not in roles or (split == "train" and not self.by_domain[split]):
            return rows
        if self.by_domain[split]:
            given = [role or ROLE_OF[d] for role, d in zip(roles, rows["domain"].to_pylist(), strict=True)]
        else:
            given = self._dealt(rows["item"].to_pylist(), rows["image"].to_pylist(), roles)
        return rows.set_column(rows.schema.get_field_index("role"), "role", pa.array(given, pa.string()))

    def _dealt(self, items: list[str], images: list[str], roles: list[str | None]) -> list[str]:
        places: dict[str, list[int]] = {}
        for i, item in enumerate(items):
            places.setdefault(item, []).append(i)
        dealt = {}
        for rows in places.values():
            for turn, i in enumerate(sorted(rows, key=lambda i: seed_of(self.seed, "role", images[i]))):
                dealt[i] = roles[i] or ("query" if turn % 2 else "gallery")
        return [dealt[i] for i in range(len(items))]

"""The settings of hard batches, checked where they are made."""

from dataclasses import dataclass

from fashion.errors import InputError
from fashion.setting_ranges import check, setting


@dataclass(frozen=True, kw_only=True)
class MiningSettings:
    """Hard batches: a share of each step is groups of items that the network takes for one another, found among all
    training items. (What counts within a batch is loss.mining.)"""

    every: int = setting(0, least=0)
    """Find each item's nearest others anew after so many epochs; costs a forward pass over the training items. 0: batches
    at random."""
    start: int = setting(1, least=0)
    """First epoch with hard batches, counted from 0; 0 begins with what the first weights take for alike."""
    share: float = setting(0.5, above=0, most=1)
    """Share of a step's items that stand in groups; the others come at random."""
    group: int = setting(4, least=2)
    """Items of a group: one and its nearest that are still free in the epoch."""
    first_rank: int = setting(1, least=1)
    """Nearest item that counts, 1 is the nearest of all."""
    last_rank: int = setting(16, least=1)
    """Farthest item that counts."""
    duplicate: float = setting(0.995, least=-1, most=1)
    """Two items of which two photos have a cosine similarity above this are taken for one garment listed twice: they stand
    in no group together, and in the run's duplicates.csv. 1: none are."""
    photos: int = setting(1, least=1)
    """Photos of each domain by which items are compared, other ones at each time; an item of one domain: twice as many."""

    def __post_init__(self) -> None:
        check(self, "mining")
        least = self.first_rank + self.group - 2
        if self.last_rank < least:
            raise InputError(
                f"mining.last_rank: found {self.last_rank}, expected at least {least}, for a group of {self.group} "
                f"(mining.group) from rank {self.first_rank} on (mining.first_rank)"
            )

    def of(self, epoch: int) -> int | None:
        """The epoch before which the neighbours of this one's batches are found; None for an epoch of random batches."""
        if not self.every or epoch < self.start:
            return None
        return epoch - (epoch - self.start) % self.every

    def check_room(self, *, items: int) -> None:
        """Raise InputError where a step of so many items has no room for a group."""
        if self.every and int(self.share * items) < self.group:
            raise InputError(
                f"mining.group: found {self.group}, but mining.share {self.share} of batch.items {items} is "
                f"{int(self.share * items)} items; set a larger share or a smaller group"
            )

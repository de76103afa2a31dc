"""stats/SHARD.json: what a packed shard came to, written when all else of it is."""

from dataclasses import dataclass, field

from fashion.data.schema import stats_file
from fashion.data.table_manifest import ShardInfo
from fashion.json_values import left_out
from fashion.storage import Store


@dataclass(frozen=True, kw_only=True)
class PackStats:
    """Of a shard's files; of what the table has of them where some of its items are `gone`."""

    name: str
    split: str
    groups: tuple[int, ...]  # items in each row group
    items: int
    images: int
    bad: int  # pictures in quarantine
    reasons: dict[str, int] = field(default_factory=dict)  # why, and how many
    bytes: int  # of the items' file
    digest: str  # of the items' file
    dropped: tuple[tuple[str, str], ...] = ()  # item and image of pictures that are left out, ascending
    gone: str | None = left_out()  # digest of the list of items

    def __post_init__(self) -> None:
        _ = self.info  # which refuses counts below nothing

    @property
    def info(self) -> ShardInfo:
        """As the manifest lists it."""
        return ShardInfo(
            split=self.split,
            name=self.name,
            groups=self.groups,
            items=self.items,
            images=self.images,
            bytes=self.bytes,
            digest=self.digest,
            gone=self.gone,
        )


def read_stats(out: Store, name: str) -> PackStats:
    """Of a finished shard. Raises FileNotFoundError, and InputError where it is damaged."""
    return out.read_value(stats_file(name), PackStats)

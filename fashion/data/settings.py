"""What goes into the item table and how, as jobs take it."""

from dataclasses import asdict, dataclass
from typing import Literal

from fashion.errors import InputError
from fashion.setting_ranges import check, setting

# What may differ between two runs on one table: how strict they are, where the annotations lie and how they are read,
# and what may be read beside the source's own files.
FREE = (
    "bad_fraction", "duplicates", "manifest", "columns", "domains", "allow_private_hosts", "follow_links", "rewrite_images",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TableSettings:
    """What goes into the item table and how."""

    benchmark: Literal["in-shop", "consumer-to-shop", "category-attribute", "manifest"] = "consumer-to-shop"
    """Whose files the source holds; manifest: a CSV or Parquet of your own with the columns image, item, domain."""
    crop: bool = False
    """Cut each picture to its annotated box."""
    size: int | None = setting(None, least=8, unit="pixels")
    """Shrink each picture until its shorter side is so long; never enlarges. Default: as it is."""
    pictures: str | None = None
    """Folder of the pictures in place of the leading img/, such as Img/img_highres. Default: Img/img or img."""
    fine: bool = False
    """category-attribute: read Anno_fine (26 attributes) in place of the 1,000."""
    manifest: str | None = None
    """manifest: the file's name in the source. Default: the only .csv, .tsv or .parquet there."""
    columns: dict[str, str] | None = None
    """manifest: which of its columns holds what, such as {image: photo_url, item: sku}. Default: by their names."""
    domains: dict[str, str] | None = None
    """manifest: what its domains mean, such as {customer: consumer, street: consumer, catalogue: shop}."""
    allow_private_hosts: bool = False
    """manifest: fetch pictures from https:// addresses on this machine or a private network too."""
    follow_links: bool = False
    """Read pictures that links on disk lead to outside of the source."""
    holdout: float = setting(0.1, least=0, below=0.5)
    """Share of the train items that becomes the validation split, and the same again for the test split, where the
    annotations have none of their own. 0: nothing is held out."""
    seed: int = 0
    """Seed of the items' places in the shards, of the hold-out and of its roles."""
    shard_images: int = setting(2000, least=1)
    """Images a shard, about: what one task packs and holds in memory."""
    rewrite_images: int = setting(20_000, least=0)
    """How many images of a table may be packed again so that what is new gets its place among them. Where it would be more,
    the new items become shards of their own, and those that left are only listed as gone. May change between two runs."""
    bad_fraction: float = setting(0.02, least=0, most=1)
    """The job fails where more than this share of the images cannot be used. May change between two runs."""
    duplicates: Literal["warn", "refuse", "drop"] = "warn"
    """One photo (byte for byte, with the same box) under several items. warn: they are listed. refuse: the job fails.
    drop: one of each is kept, in test before val before train. May change between two runs."""

    def __post_init__(self) -> None:
        check(self)
        if self.fine and self.benchmark != "category-attribute":
            raise InputError(
                f"fine: has a meaning for category-attribute only, not for {self.benchmark}; leave it false"
            )
        for name in ("manifest", "columns", "domains", "allow_private_hosts"):
            if getattr(self, name) and self.benchmark != "manifest":
                raise InputError(
                    f"{name}: has a meaning for benchmark manifest only, not for {self.benchmark}; leave it out"
                )

    @property
    def identity(self) -> dict:
        """The settings that cannot change between two runs on one table."""
        return {name: value for name, value in asdict(self).items() if name not in FREE}

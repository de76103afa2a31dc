"""What was published on DeepFashion's category and attribute benchmark, and whether a table is that benchmark."""

from fashion.data.table_manifest import TableManifest

FASHIONNET = "FashionNet (2016)"

# Liu et al., CVPR 2016: top-3 and top-5, as fractions.
PUBLISHED = {
    FASHIONNET: {
        "category": {"top": {"3": 0.8258, "5": 0.9017}},
        "attributes": {
            "recall": {"3": 0.4552, "5": 0.5461},
            "by_type": [
                {"name": "texture", "recall": {"3": 0.3746, "5": 0.4952}},
                {"name": "fabric", "recall": {"3": 0.3930, "5": 0.4984}},
                {"name": "shape", "recall": {"3": 0.3947, "5": 0.4859}},
                {"name": "part", "recall": {"3": 0.4413, "5": 0.5402}},
                {"name": "style", "recall": {"3": 0.6643, "5": 0.7316}},
            ],
        },
    }
}

IMAGES = {"train": 209_222, "val": 40_000, "test": 40_000}
ATTRIBUTES = 1000


def is_full_benchmark(manifest: TableManifest, split: str) -> bool:
    """Whether the numbers of this split may stand beside the published ones: the item table is the whole benchmark, and
    the split its test split."""
    images = {name: row.images for name, row in manifest.labels.items()}
    return (
        manifest.used.benchmark == "category-attribute"
        and not manifest.used.fine
        and images == IMAGES
        and len(manifest.attributes) == ATTRIBUTES
        and split == "test"
    )

"""What was published on DeepFashion's category and attribute benchmark, and whether a table is that benchmark."""

from fashion.data.table_manifest import TableManifest
from fashion.retrieval.labels.numbers import AttributeNumbers, CategoryNumbers, LabelNumbers, TypeRow

FASHIONNET = "FashionNet (2016)"

# Liu et al., CVPR 2016: top-3 and top-5, as fractions.
PUBLISHED = {
    FASHIONNET: LabelNumbers(
        category=CategoryNumbers(top={"3": 0.8258, "5": 0.9017}),
        attributes=AttributeNumbers(
            recall={"3": 0.4552, "5": 0.5461},
            by_type=[
                TypeRow(name="texture", recall={"3": 0.3746, "5": 0.4952}),
                TypeRow(name="fabric", recall={"3": 0.3930, "5": 0.4984}),
                TypeRow(name="shape", recall={"3": 0.3947, "5": 0.4859}),
                TypeRow(name="part", recall={"3": 0.4413, "5": 0.5402}),
                TypeRow(name="style", recall={"3": 0.6643, "5": 0.7316}),
            ],
        ),
    )
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

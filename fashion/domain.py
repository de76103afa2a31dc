"""Facts of the field that several packages need: domains, splits, roles, landmarks and their visibility, kinds of labels."""

from typing import Literal, get_args

Split = Literal["train", "val", "test"]

DOMAINS = ("consumer", "shop")
SPLITS: tuple[str, ...] = get_args(Split)
ROLES = ("query", "gallery")
ROLE_OF = {"consumer": "query", "shop": "gallery"}  # of a domain's photos where both domains are there

LABELS = ("category", "attributes", "landmarks")  # what may be annotated of a picture beside its item

# The 8 landmark slots, DeepFashion's full-body order; upper- and lower-body garments fill some of them.
LANDMARKS = (
    "left collar", "right collar", "left sleeve", "right sleeve",
    "left waist", "right waist", "left hem", "right hem",
)  # fmt: skip

# Clothes type (1 upper body, 2 lower body, 3 full body) -> the slots of LANDMARKS that its rows fill, in their order.
SLOTS = {1: (0, 1, 2, 3, 6, 7), 2: (4, 5, 6, 7), 3: (0, 1, 2, 3, 4, 5, 6, 7)}

# The visibility of a landmark.
VISIBLE, OCCLUDED, CUT_OFF = 0, 1, 2
UNUSED = -1  # the garment's type has no such landmark
NOT_ANNOTATED = -2  # nothing is known, which files of annotations say by having no row
NO_SUCH = 3  # UNUSED as a network predicts it, after the first three
VISIBILITIES = 4  # what a network tells apart

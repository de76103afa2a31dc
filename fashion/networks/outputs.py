"""All that a network with label heads says about pictures.

Tensor legend: N pictures, D dimensions of the embedding, 8 landmark slots in the order of DeepFashion's full-body
garments (left and right collar, sleeve, waist, hem), C categories and A attributes of the network's vocabulary.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Outputs:
    """float32, or wider where the network is. Logits are before the softmax or sigmoid."""

    z_ND: Tensor
    """Embeddings of unit length."""
    norm_N: Tensor
    """Their length before that."""
    landmarks_N82: Tensor
    """x and y as fractions of the width and height of the network's square input, so also of the picture, or of its box
    where pictures are cropped to boxes. Not bounded: an estimate may lie outside."""
    visibility_N84: Tensor
    """Logits of 0 visible, 1 occluded, 2 cut off, 3 the garment's type has no such landmark."""
    category_NC: Tensor
    """Logits; C may be 0."""
    attribute_NA: Tensor
    """Logits, each attribute for itself; A may be 0."""

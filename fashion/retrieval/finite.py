"""Refuse vectors that nothing can be compared with: a score of NaN is neither below nor above another."""

from collections.abc import Sequence

import numpy as np

from fashion.errors import InputError
from fashion.retrieval.search.exact import lengths


def check_finite(x_ND: np.ndarray, side: str, names: Sequence | None = None) -> np.ndarray:
    """The same vectors. Raises InputError with the name (or else the row) of the first one that is not finite, or too long
    for its length to be a float32. `side`: what they are of, such as query."""
    bad = np.flatnonzero(~np.isfinite(lengths(x_ND)))
    if len(bad):
        row = int(bad[0])
        more = f", and of {len(bad) - 1:,} more" if len(bad) > 1 else ""
        raise InputError(
            f"{side} {_text(names[row]) if names is not None else f'in row {row}'}: its vector is not finite{more}; "
            "check the network, and embed again"
        )
    return x_ND


def _text(name) -> str:
    """A name as it is shown; the id of a gallery's image is the image and its item."""
    return str(name.as_py() if hasattr(name, "as_py") else name).replace("\0", " of item ")

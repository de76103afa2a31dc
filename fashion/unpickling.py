"""What torch says of files of pickles, for those who refuse them in a line of their own."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_unpickling() -> Iterator[None]:
    """Without torch's warning of a pickle that it did not write, and that `weights_only` refuses then."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield

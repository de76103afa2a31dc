"""Between Arrow and NumPy without pa.array, pa.scalar and to_numpy, which import pandas: over a second, and a search has no
other use for it."""

import numpy as np
import pyarrow as pa


def arrow_rows(rows: np.ndarray) -> pa.Array:
    """Rows to take from a table."""
    rows = np.ascontiguousarray(rows, np.int64)
    return pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(rows)])


def arrow_text(text: str) -> pa.Scalar:
    """A text to compare with."""
    data = text.encode()
    return pa.StringArray.from_buffers(1, pa.py_buffer(np.array([0, len(data)], np.int32)), pa.py_buffer(data))[0]


def numbers(array: pa.Array) -> np.ndarray:
    """Numbers, none of which is null, where they lie."""
    return np.frombuffer(array.buffers()[1], array.type.to_pandas_dtype())[array.offset : array.offset + len(array)]

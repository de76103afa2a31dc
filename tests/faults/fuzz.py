"""What fuzzing has in common: examples that are the same in every run, and ways to spoil a file that was whole.

FUZZ_EXAMPLES=5000 python -m pytest tests/faults looks longer.
"""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

FUZZ = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", 100)), derandomize=True, deadline=None, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip

# What has surprised readers before: blanks of Unicode's alone, numbers out of range or too long to be read, quotes, nulls.
ODD = [
    b"", b" ", b"\n", b"\r", b"\t", b"\0", b'"', b"'", b",", b";", b"/", b"..", b"\x1c", b"\xc2\xa0", b"\xe2\x80\xa8",
    b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b", b"0", b"-1", b"1e999", b"nan", b"inf", b"999999",
    b"9" * 30, b"9" * 5000, b"\xd9\xa1", b"{", b"[", b"[" * 3000, b"null", b"{}", b"s3://a/b", b"http://[", b"file:///x",
]  # fmt: skip


@st.composite
def spoilt(draw: st.DrawFn, whole: bytes) -> bytes:
    """The file with one to four places of it replaced, taken out, doubled or filled; or its end cut off."""
    data = whole
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, max(0, len(data) - 1)))
        stop = min(len(data), start + draw(st.integers(0, 12)))
        how = draw(st.sampled_from(["odd", "bytes", "cut", "double", "line", "end"]))
        if how == "odd":
            data = data[:start] + draw(st.sampled_from(ODD)) + data[stop:]
        elif how == "bytes":
            data = data[:start] + draw(st.binary(max_size=8)) + data[stop:]
        elif how == "cut":
            data = data[:start] + data[stop:]
        elif how == "double":
            data = data[:stop] + data[start:stop] * 2 + data[stop:]
        elif how == "line":
            lines = data.split(b"\n")
            at = draw(st.integers(0, len(lines) - 1))
            lines[at : at + 1] = draw(st.sampled_from([[], [lines[at]] * 2, [draw(st.sampled_from(ODD))]]))
            data = b"\n".join(lines)
        else:
            data = data[:start]
    return data

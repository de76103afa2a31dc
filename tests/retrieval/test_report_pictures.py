import base64
import io

import pytest
from PIL import Image

from fashion.retrieval.report.pictures import Album


def jpeg(width=6, height=8) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "JPEG")
    return file.getvalue()


def test_an_album_passes_over_what_does_not_fit():
    small, big = jpeg(), jpeg() + bytes(5000)
    uri_bytes = len("data:image/jpeg;base64,") + len(base64.b64encode(small))
    album = Album(["a", "big", "a", "b", "c"], {"a": small, "big": big, "b": small, "c": small}, 2 * uri_bytes)
    assert [(p.number, p.width, p.height) for p in album.pictures] == [(0, 6, 8), (1, 6, 8)]
    assert album["a"].number == 0 and album["b"].number == 1 and album["big"] is None and album["c"] is None


@pytest.mark.parametrize(
    ("sizes", "aspect"), [([], 0.75), ([(6, 8)] * 2 + [(8, 6)], 0.75), ([(9, 5)], 1.0), ([(2, 8)], 0.667)]
)
def test_frames_have_the_shape_of_most_pictures(sizes, aspect):
    thumbnails = {str(i): jpeg(*size) for i, size in enumerate(sizes)}
    assert Album(thumbnails, thumbnails, 10**6).aspect == aspect

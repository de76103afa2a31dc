"""The pictures inside a report: each stored once as a data: URI however often it is shown, within a number of bytes."""

import base64
import io
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from PIL import Image

DATA_URI = "data:image/jpeg;base64,"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A stored picture, `width` x `height` pixels; `number` is its place in the album."""

    image: str
    number: int
    uri: str
    width: int
    height: int


class Album:
    """Pictures by image id. A lookup gives None where there is no JPEG to show: the template draws a placeholder."""

    def __init__(self, images: Iterable[str], thumbnails: Mapping[str, bytes], room: int):
        """Store the thumbnails of `images` in that order, passing over those that would make the URIs exceed `room`
        bytes together and those that are not JPEG files."""
        self._pictures: dict[str, Picture] = {}
        for image in dict.fromkeys(images):
            jpeg = thumbnails.get(image, b"")
            cost = len(DATA_URI) + (len(jpeg) + 2) // 3 * 4
            size = _jpeg_size(jpeg) if cost <= room else None
            if size:
                room -= cost
                uri = DATA_URI + base64.b64encode(jpeg).decode()
                self._pictures[image] = Picture(
                    image=image, number=len(self._pictures), uri=uri, width=size[0], height=size[1]
                )

    def __getitem__(self, image: str) -> Picture | None:
        return self._pictures.get(image)

    @property
    def pictures(self) -> list[Picture]:
        return list(self._pictures.values())

    @property
    def aspect(self) -> float:
        """Width over height of the frames pictures are shown in: the median picture's, kept between 2:3 and 1:1."""
        shapes = [picture.width / picture.height for picture in self.pictures]
        return round(min(max(statistics.median(shapes), 2 / 3), 1.0), 3) if shapes else 0.75


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
            return picture.size
    except OSError:
        return None

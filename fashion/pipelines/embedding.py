"""A run's best network as a function: pictures in, embeddings out, each picture shown as in the training."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from fashion.data.boxes import Box
from fashion.errors import InputError
from fashion.pipelines.networks import best_network, embedder_of
from fashion.retrieval.settings import EmbedSettings
from fashion.storage import Store

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from fashion.retrieval.embedder import Embedder, Networks

    Picture = str | Path | Image.Image | np.ndarray  # an array: uint8 (H, W, 3)


@dataclass(frozen=True, kw_only=True)
class PictureNetwork:
    """A network that is ready to embed."""

    embedder: "Embedder"
    networks: "Networks"

    def embed(
        self, images: "Iterable[Picture]", *, domain: str = "consumer", boxes: Sequence[Box | None] | None = None
    ) -> "np.ndarray":
        """(N, D) float32, of length one: embeddings of files, PIL images or uint8 arrays (H, W, 3).

        `domain`: consumer or shop; it matters where the network has a branch for each. `boxes`: the part of each picture
        to look at, x1, y1, x2, y2 in pixels, or None for all of it. Raises BadPicture for a picture that cannot be decoded.
        """
        import numpy as np
        import torch

        from fashion.data.decode import decode
        from fashion.retrieval.embeddings import EMBEDDING

        shown = self.embedder.transform
        images = list(images)
        boxes = [None] * len(images) if boxes is None else boxes
        parts = [np.empty((0, self.networks.dimensions()[EMBEDDING]), np.float32)]
        size, batch = (self.embedder.size, self.embedder.size), self.embedder.batch
        pictures = list(zip(images, boxes, strict=True))
        for part in (pictures[start : start + batch] for start in range(0, len(pictures), batch)):
            pixels = [
                decode(_encoded(image), size=size, box=box, fit=shown.fit, interpolation=shown.interpolation)
                for image, box in part
            ]
            vectors, _ = self.networks(torch.from_numpy(np.stack(pixels)), [domain] * len(part))
            parts.append(vectors[EMBEDDING])
        return np.concatenate(parts)


def load_network(run: str, *, device: str | None = None) -> PictureNetwork:
    """The best network of a run, in a local folder or a bucket. Raises InputError where there is none."""
    import torch

    embedder = embedder_of(best_network(Store(run)), EmbedSettings())
    wanted = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return PictureNetwork(embedder=embedder, networks=embedder.load(torch.device(wanted)))


def _encoded(image: "Picture") -> bytes:
    """A picture as the bytes of a file, which all go one way from here."""
    from PIL import Image, ImageOps

    if isinstance(image, (str, Path)):
        try:
            return Path(image).expanduser().read_bytes()
        except OSError as fault:
            raise InputError(f"{image}: cannot be read ({fault.strerror}); expected a picture's file") from None
    picture = ImageOps.exif_transpose(image) if isinstance(image, Image.Image) else Image.fromarray(image)
    data = BytesIO()
    picture.convert("RGB").save(data, "png", compress_level=0)
    return data.getvalue()

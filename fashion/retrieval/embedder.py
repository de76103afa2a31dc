"""Pictures to embeddings, without Ray: how a network is shown pictures, and the network that looks at them."""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from fashion.data.decode import TRANSFORM, decode
from fashion.domain import DOMAINS
from fashion.networks.fashionnet import FashionNet
from fashion.networks.files import load_network
from fashion.networks.model import Network, build_network
from fashion.networks.outputs import Outputs
from fashion.networks.transform import Transform
from fashion.retrieval.baselines import HISTOGRAM as HISTOGRAM_LENGTH
from fashion.retrieval.baselines import colour_histogram
from fashion.retrieval.embeddings import EMBEDDING, FORMAT, HISTOGRAM, UNTRAINED
from fashion.retrieval.labels.columns import CATEGORY_SCORES, Predictions, category_scores
from fashion.storage import Store
from fashion.vocabulary import Vocabulary

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Embedder:
    """What turns pictures into vectors: the network's file, and how pictures are shown to it."""

    folder: Store
    file: str
    fingerprint: str
    size: int  # pixels, the side of the network's input
    crop: str  # whole or box
    transform: Transform
    first: tuple[Store, str] | None = None  # folder and name of the untrained network's file; None: a seed's
    baselines: bool = False  # also the untrained network's vectors and colour histograms
    batch: int = 256
    precision: str = "float32"
    dtype: str = "float32"

    def identity(self, data: str) -> dict:
        """What the embeddings of the item table with fingerprint `data` depend on; shards of another identity are never
        mixed with these."""
        return {
            "format": FORMAT,
            "network": self.fingerprint,
            "data": data,
            "transform": self.transform.identity(self.size, self.crop) | {"decoded": TRANSFORM},
            "precision": self.precision,
            "dtype": self.dtype,
            "baselines": self.baselines,
        }

    def folder_name(self, data: str) -> str:
        """A name for a folder of embeddings that is another one whenever their identity is."""
        digest = hashlib.blake2b(json.dumps(self.identity(data), sort_keys=True).encode(), digest_size=4)
        return f"{self.fingerprint}-{data}-{digest.hexdigest()}"

    def decode(self, jpeg: bytes, box: Sequence[int] | None) -> np.ndarray:
        """The network's view of a picture: uint8 (3, size, size). Raises BadPicture."""
        t = self.transform
        box = box if self.crop == "box" else None
        return decode(jpeg, size=(self.size, self.size), box=box, fit=t.fit, interpolation=t.interpolation)

    def digest(self, jpeg: bytes, box: Sequence[int] | None, domain: str) -> str:
        """32 hexadecimal digits over all that the network sees of a picture: equal digests have equal embeddings."""
        shown = f"{domain}\n{list(box) if box is not None and self.crop == 'box' else None}\n"
        return hashlib.blake2b(jpeg, digest_size=16, key=hashlib.blake2b(shown.encode()).digest()).hexdigest()

    def load(self, device: torch.device) -> "Networks":
        """Raises InputError where the file is not there or damaged."""
        network, about = load_network(self.folder, self.file)
        networks: dict[str, Network] = {EMBEDDING: network}
        if self.baselines:
            networks[UNTRAINED] = (
                load_network(*self.first)[0]
                if self.first
                else build_network(network.settings, seed=about["seed"], vocabulary=network.vocabulary)
            )
        return Networks(networks, device, histogram=self.baselines, bf16=self.precision == "bf16")


class Networks:
    """Networks on a device, ready to embed. Where the trained one has a vocabulary, it also predicts labels, and the
    scores of its categories are one more kind of vector."""

    def __init__(self, networks: dict[str, Network], device: torch.device, *, histogram: bool, bf16: bool):
        self.device, self.histogram, self.bf16 = device, histogram, bf16
        self.networks = {
            name: network.eval().to(device).to(memory_format=torch.channels_last) for name, network in networks.items()
        }

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The names that the trained network predicts; None where it predicts none."""
        return self.networks[EMBEDDING].vocabulary

    def dimensions(self) -> dict[str, int]:
        """The length of each kind of vector."""
        lengths = {name: network.settings.dimension for name, network in self.networks.items()}
        if self.vocabulary and self.vocabulary.categories:
            lengths[CATEGORY_SCORES] = len(self.vocabulary.categories)
        return lengths | ({HISTOGRAM: HISTOGRAM_LENGTH} if self.histogram else {})

    def __call__(
        self, images: torch.Tensor, domains: Sequence[str]
    ) -> tuple[dict[str, np.ndarray], Predictions | None]:
        """uint8 (N, 3, S, S) and the N domains -> name -> (N, D) float32, and the labels where there is a vocabulary."""
        images = images.to(self.device)
        coded = torch.tensor([DOMAINS.index(domain) for domain in domains], device=self.device)
        labels = None
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            x = images.contiguous(memory_format=torch.channels_last)
            embedded = {}
            for name, network in self.networks.items():
                if name == EMBEDDING and isinstance(network, FashionNet):
                    outputs = network.outputs(x, coded)
                    embedded[name], labels = outputs.z_ND, _predictions(outputs)
                else:
                    embedded[name] = network(x, coded)
            if self.histogram:
                embedded[HISTOGRAM] = colour_histogram(images)
        vectors = {name: _array(z) for name, z in embedded.items()}
        if CATEGORY_SCORES in self.dimensions():
            assert labels and labels.category_NC is not None  # it has a vocabulary with categories
            vectors[CATEGORY_SCORES] = category_scores(labels.category_NC)
        return vectors, labels


def _predictions(outputs: Outputs) -> Predictions:
    names = ("category_NC", "attribute_NA", "landmarks_N82", "visibility_N84")
    return Predictions(**{name: _array(getattr(outputs, name)) for name in names})


def _array(x: torch.Tensor) -> np.ndarray:
    return x.float().cpu().numpy()


def ahead(pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], window: int) -> Iterator[Result]:
    """`function` of each item, in order; up to `window` of them are computed before they are asked for."""
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > window:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()

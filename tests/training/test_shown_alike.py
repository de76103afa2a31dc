"""Whatever shows a network a picture shows it the same pixels, as its transform says."""

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from fashion.data.decode import decode
from fashion.data.rows import ItemGroup
from fashion.networks.settings import NetworkSettings
from fashion.retrieval.embedder import Embedder
from fashion.retrieval.photos import read_photo
from fashion.storage import Store
from fashion.training.validate import Validation


@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_training_validation_embedding_and_search_decode_alike(tmp_path, fit, interpolation):
    size, box = 24, [10, 5, 60, 95]
    pixels = np.random.default_rng(0).integers(0, 256, (100, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.jpg", quality=95)
    jpeg = (tmp_path / "photo.jpg").read_bytes()
    transform = NetworkSettings(size=size, fit=fit, interpolation=interpolation).transform
    expected = decode(jpeg, size=(size, size), box=box, fit=fit, interpolation=interpolation)

    images = pa.array(
        [[{"jpeg": jpeg, "box": box}]], pa.list_(pa.struct({"jpeg": pa.large_binary(), "box": pa.list_(pa.int32())}))
    )
    group = ItemGroup(pa.table({"item": ["a"], "images": images}))
    trained = group.pixels(0, size, "box", fit=transform.fit, interpolation=transform.interpolation)

    validation = Validation.__new__(Validation)
    validation.size, validation.crop, validation.transform = size, "box", transform
    embedder = Embedder(folder=Store(tmp_path), file="", fingerprint="", size=size, crop="box", transform=transform)
    searched, _ = read_photo(tmp_path / "photo.jpg", tuple(box), size, 50, fit=fit, interpolation=interpolation)
    for found in (trained, validation._decode({"jpeg": jpeg, "box": box}), embedder.decode(jpeg, box), searched):
        assert np.array_equal(found, expected)
    says = embedder.identity("data")["transform"]["resize"]
    assert interpolation in says and (fit in says) == (fit != "stretch")

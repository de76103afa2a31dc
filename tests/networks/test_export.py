"""A network in forms that others read, read by them."""

import json

import onnxruntime
import pytest
import timm
import torch

from fashion.errors import InputError
from fashion.networks import export
from fashion.networks.export import export_onnx, export_timm
from fashion.networks.files import fingerprint
from fashion.networks.model import build_network
from fashion.networks.settings import SHIPPED, NetworkSettings
from fashion.networks.transform import Transform
from fashion.storage import Store


def tuned(**values):
    """A network with statistics of its own, ready to embed; and pictures."""
    settings = NetworkSettings(**({"size": 32, "dimension": 8} | values))
    network = build_network(settings, seed=1)
    images = torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        network.train()(images, torch.tensor([0, 1, 1, 0, 1]))
    return network.eval(), images


@pytest.mark.parametrize("values", [{"name": SHIPPED, "head": "bnneck", "mean": (0.5, 0.4, 0.3), "fit": "pad"},
                                    {"name": "timm:vit_tiny_patch16_224"}])  # fmt: skip
def test_timm_reads_its_folder_and_gives_the_same_embeddings(tmp_path, values):
    network, images = tuned(**values)
    assert export_timm(network, Store(tmp_path)) == ["config.json", "model.safetensors"]
    model = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    found = timm.data.resolve_data_config(model=model)
    transform: Transform = network.settings.transform
    assert tuple(found["input_size"]) == (3, 32, 32) and found["interpolation"] == transform.interpolation
    assert found["crop_mode"] == {"pad": "border", "stretch": "squash"}[transform.fit] and found["crop_pct"] == 1
    mean, std = (torch.tensor(found[name]).view(3, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        z = torch.nn.functional.normalize(model((images / 255 - mean) / std))
        torch.testing.assert_close(z, network(images), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "values, names",
    [
        ({"name": SHIPPED}, ["network.onnx"]),
        ({"name": "embnet", "width": 0.25, "branches": "dual", "head": "bnneck"}, ["consumer.onnx", "shop.onnx"]),
        ({"name": "embnet", "width": 0.25, "design": "fashionnet", "hidden": 8}, ["network.onnx"]),
        ({"name": "vit_b_32"}, ["network.onnx"]),
    ],
)
def test_onnxruntime_gives_the_same_embeddings_of_any_number_of_pictures(tmp_path, capfd, values, names):
    network, images = tuned(**values)
    assert export_onnx(network, Store(tmp_path)) == names
    assert capfd.readouterr() == ("", "")
    for domain, name in enumerate(names):
        session = onnxruntime.InferenceSession(tmp_path / name, providers=["CPUExecutionProvider"])
        about = session.get_modelmeta().custom_metadata_map
        assert about["fingerprint"] == fingerprint(network) and json.loads(about["transform"])["size"] == 32
        with torch.no_grad():
            expected = network(images, torch.full((5,), domain))
        for count in (1, 5):
            (z,) = session.run(None, {"pictures": images[:count].numpy()})
            torch.testing.assert_close(torch.from_numpy(z), expected[:count], rtol=0, atol=1e-4)


def test_what_timm_has_no_form_for_is_one_line(tmp_path):
    for values in ({"name": "resnet18"}, {"name": SHIPPED, "branches": "dual"}):
        with pytest.raises(InputError, match=r"^format: timm has no place for .*take onnx$"):
            export_timm(build_network(NetworkSettings(size=32, **values), seed=0), Store(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_file_that_gives_other_embeddings_is_not_written(tmp_path, monkeypatch):
    network, _ = tuned(name="embnet", width=0.25)
    monkeypatch.setattr(export, "_run", lambda session, images: torch.zeros(len(images), 8))
    with pytest.raises(RuntimeError, match="other embeddings than the network"):
        export_onnx(network, Store(tmp_path))
    assert not list(tmp_path.iterdir())

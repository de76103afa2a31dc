"""A tuned network in forms that others read: timm's folder, and ONNX. Each is checked against the network first."""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any, TypeGuard

import safetensors.torch
import torch
from torch import nn

from fashion.domain import DOMAINS
from fashion.errors import InputError
from fashion.networks.files import fingerprint
from fashion.networks.heads import Head, to_sphere
from fashion.networks.model import EmbeddingNetwork, Network
from fashion.networks.of_timm import timm_network
from fashion.networks.settings import TIMM
from fashion.networks.transform import Transform
from fashion.storage import Store

TOLERANCE = 1e-4  # largest difference in a coordinate of an embedding of unit length
_CROP_MODES = {"stretch": "squash", "crop": "center", "pad": "border"}


def for_timm(network: Network) -> TypeGuard[EmbeddingNetwork]:
    """Whether timm has a form for the network: one of its own, with one branch and no labels."""
    return (
        network.settings.name.startswith(TIMM) and isinstance(network, EmbeddingNetwork) and len(network.branches) == 1
    )


def export_timm(network: Network, out: Store) -> list[str]:
    """Write `model.safetensors`, the weights under timm's own names with the head as the classifier, and `config.json`:
    `timm.create_model("local-dir:FOLDER", pretrained=True)` gives a model whose output, brought to unit length, is the
    embedding; timm's own transforms show it pictures as ours are shown. Returns the names of the files. Raises InputError
    for a network that is not timm's or is in two branches."""
    settings = network.settings
    if not for_timm(network):
        raise InputError(
            f"format: timm has no place for {settings.name} with network.design {settings.design} and network.branches "
            f"{settings.branches}; expected a plain, shared network timm:NAME, or take onnx"
        )
    network.eval()
    backbone, head = network.shared[0], network.branches[0][0]
    assert isinstance(head, Head)
    model: Any = timm_network(settings, classes=settings.dimension)  # torch knows none of the attributes that timm adds
    record = model.pretrained_cfg
    classifier = record.get("classifier")
    if not isinstance(classifier, str) or not isinstance(model.get_submodule(classifier), nn.Linear):
        raise InputError(f"format: timm's {settings.name} has no single dense layer for the embedding; take onnx")
    weight, bias = _dense(head)
    state = backbone.state_dict() | {f"{classifier}.weight": weight, f"{classifier}.bias": bias}
    model.load_state_dict(state)
    _check(network, lambda images: to_sphere(model.eval()(network.normalise(images)))[0], "timm's model")
    side = settings.size
    size_is_fixed = bool(record.get("fixed_input_size"))
    metadata = {
        "architecture": settings.name.removeprefix(TIMM).split(".")[0],
        "num_classes": settings.dimension,
        "num_features": model.num_features,
        **({"model_args": {"img_size": side}} if size_is_fixed else {}),
        "pretrained_cfg": {
            "tag": fingerprint(network),
            "input_size": [3, side, side],
            "fixed_input_size": size_is_fixed,
            "interpolation": settings.interpolation or settings.transform.interpolation,
            "crop_pct": 1.0,
            "crop_mode": _CROP_MODES[settings.transform.fit],
            "mean": list(settings.transform.mean),
            "std": list(settings.transform.std),
            "num_classes": settings.dimension,
            "first_conv": record.get("first_conv"),
            "classifier": classifier,
        },
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    out.write("model.safetensors", safetensors.torch.save(tensors, {"format": "pt"}))
    out.write_json("config.json", metadata)
    return ["config.json", "model.safetensors"]


def export_onnx(network: Network, out: Store) -> list[str]:
    """Write `network.onnx`, or for two branches `consumer.onnx` and `shop.onnx`. Input `pictures`: uint8 (N, 3, S, S),
    RGB, resized as the file's metadata says, not normalised. Output `embeddings`: float32 (N, D) of unit length. Returns
    the names of the files. Raises InputError where onnx or onnxruntime is not installed."""
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise InputError(f"format: onnx needs the package {error.name}: pip install fashion-retrieval[onnx]") from None
    network.eval()
    domains = range(len(network.branches)) if isinstance(network, EmbeddingNetwork) else range(1)
    names = []
    for domain in domains:
        name = f"{DOMAINS[domain]}.onnx" if len(domains) > 1 else "network.onnx"
        model = onnx.load_from_string(_traced(_OneDomain(network, domain).eval(), network.settings.side))
        transform: Transform = network.settings.transform
        metadata = {
            "fingerprint": fingerprint(network),
            "settings": json.dumps(network.settings.identity()),
            "transform": json.dumps({"size": network.settings.size, **asdict(transform)}),
        }
        onnx.helper.set_model_props(model, metadata)
        data = model.SerializeToString()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        _check(network, partial(_run, session), "onnxruntime", domain)
        out.write(name, data)
        names.append(name)
    return names


class _OneDomain(nn.Module):
    """uint8 (N, 3, S, S) -> (N, D), of pictures of one domain."""

    def __init__(self, network: Network, domain: int):
        super().__init__()
        self.network, self.domain = network, domain

    def forward(self, images_N3SS: torch.Tensor) -> torch.Tensor:
        network = self.network
        if not isinstance(network, EmbeddingNetwork):
            return network(images_N3SS)
        branch = network.branches[self.domain]
        return to_sphere(branch(network.shared(network.normalise(images_N3SS))))[0]


def _traced(model: nn.Module, size: int) -> bytes:
    """The model as ONNX. torch's exporter prints, warns and logs; what it cannot do it raises."""
    file = io.BytesIO()
    fast, quiet = torch.backends.mha.get_fastpath_enabled(), logging.root.manager.disable
    torch.backends.mha.set_fastpath_enabled(False)  # ONNX has no such operator
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            torch.no_grad(),
        ):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model, (torch.zeros(2, 3, size, size, dtype=torch.uint8),),
                file,  # type: ignore[arg-type]  # with dynamo=False it takes an open file too
                dynamo=False, opset_version=17,
                input_names=["pictures"], output_names=["embeddings"],
                dynamic_axes={"pictures": {0: "N"}, "embeddings": {0: "N"}},
            )  # fmt: skip
    except torch.onnx.errors.OnnxExporterError as error:
        raise RuntimeError(f"torch cannot write this network as ONNX: {str(error).splitlines()[0]}") from None
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        logging.disable(quiet)
    return file.getvalue()


def _run(session: Any, images: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(session.run(None, {"pictures": images.numpy()})[0])


def _dense(head: Head) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of the dense layer that the head is, once it no longer learns: a batch normalisation is linear."""
    weight, bias = head.dense.weight, head.dense.bias
    if bias is not None:
        return weight, bias
    neck = head.neck
    scale = neck.weight / (neck.running_var + neck.eps).sqrt()
    return weight * scale[:, None], neck.bias - neck.running_mean * scale


@torch.no_grad()
def _check(network: Network, other: Callable[[torch.Tensor], torch.Tensor], what: str, domain: int = 0) -> None:
    """Whether `other` gives the network's embeddings of three pictures of noise. Raises RuntimeError."""
    size = network.settings.side
    images = torch.randint(0, 256, (3, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    difference = (other(images) - network(images, torch.full((3,), domain))).abs().max().item()
    if not difference <= TOLERANCE:
        raise RuntimeError(f"{what} gives other embeddings than the network: a coordinate differs by {difference:.2g}")

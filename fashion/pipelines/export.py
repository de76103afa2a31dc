"""A run's best network in forms that others read: a folder for timm, or ONNX."""

from dataclasses import dataclass
from typing import Literal

from cluster.storage import check_storage
from fashion.setting_ranges import check
from fashion.setting_types import require_folders
from fashion.storage import Store
from fashion.training.checkpoint import best_checkpoint


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """Write a run's best network for others; each form is checked against the network first."""

    run: str
    """Folder of a training run: local or s3://."""
    out: str
    """Folder to write to: local or s3://."""
    format: Literal["timm", "onnx", "all"] = "all"
    """timm: model.safetensors and config.json, as timm.create_model("local-dir:OUT", pretrained=True) takes them, for a
    timm network with one branch. onnx: network.onnx, or one file a domain; uint8 pictures in, embeddings out. all: both
    where there is a form for timm, else onnx."""

    def __post_init__(self) -> None:
        check(self)
        require_folders(self, "run", "out")


def export(settings: ExportSettings) -> list[str]:
    """Write the forms that are asked for; returns the addresses of the files. Raises InputError, and RuntimeError where a
    form does not answer as the network does."""
    from fashion.networks.export import export_onnx, export_timm, for_timm

    for name in ("run", "out"):
        check_storage(name, getattr(settings, name))
    checkpoint, out = best_checkpoint(Store(settings.run)), Store(settings.out)
    network, _ = checkpoint.network()
    written = []
    if settings.format == "timm" or (settings.format == "all" and for_timm(network)):
        written += export_timm(network, out)
    if settings.format != "timm":
        written += export_onnx(network, out)
    return [f"{out.uri}/{name}" for name in written]

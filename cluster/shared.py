"""Does every machine of the cluster see a local folder? What a job's tasks write on another machine is lost otherwise."""

import os
import socket
import uuid
from collections.abc import Mapping
from pathlib import Path

from cluster.machines import answers, others
from fashion.errors import InputError
from fashion.storage import Store


def check_shared(places: Mapping[str, str | None]) -> None:
    """Raise InputError, naming the setting, where its local folder, which is made, is not there on another machine of the
    cluster. `places`: setting -> address; buckets and None pass. Ray runs. Machines that start later are not asked."""
    local = {setting: store.path for setting, uri in places.items() if uri and (store := Store(uri)).local}
    nodes = others() if local else []
    if not nodes:
        return
    for setting, path in local.items():
        mark = Path(path) / f".{uuid.uuid4().hex}.tmp"
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        try:
            without = _without(str(mark), nodes)
        finally:
            mark.unlink()
        if without:
            raise InputError(
                f"{setting}: {path} of {socket.gethostname()} is not there on {without[0]} ({len(without)} of "
                f"{len(nodes)} other machines); give s3://bucket/prefix, or a folder that all machines share"
            )


def _without(path: str, nodes: list[dict]) -> list[str]:
    """The names of the machines that do not see `path`; one that does not answer is left out."""
    return sorted(name for name, sees in answers(_sees, path, nodes=nodes).items() if sees is False)


def _sees(path: str) -> bool:
    return os.path.exists(path)

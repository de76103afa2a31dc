"""Does every machine of the cluster see a local folder? What a job's tasks write on another machine is lost otherwise."""

import os
import socket
import uuid
from collections.abc import Mapping
from pathlib import Path

from fashion.errors import InputError
from fashion.storage import Store

ANSWER_S = 60.0


def check_shared(places: Mapping[str, str | None]) -> None:
    """Raise InputError, naming the setting, where its local folder, which is made, is not there on another machine of the
    cluster. `places`: setting -> address; buckets and None pass. Ray runs. Machines that start later are not asked."""
    local = {setting: store.path for setting, uri in places.items() if uri and (store := Store(uri)).local}
    nodes = _others() if local else []
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


def _others() -> list[dict]:
    import ray

    if not ray.is_initialized():  # nothing is left to do but by this process
        return []
    here = ray.get_runtime_context().get_node_id()
    return [node for node in ray.nodes() if node["Alive"] and node["NodeID"] != here]


def _without(path: str, nodes: list[dict]) -> list[str]:
    """The names of the machines that do not see `path`; one that does not answer is left out."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    sees = ray.remote(num_cpus=0, max_retries=0)(_sees)
    asked = {}
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked[sees.options(scheduling_strategy=there).remote(path)] = node["NodeManagerHostname"]
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER_S)
    found = []
    for answer in answered:
        try:
            if not ray.get(answer):
                found.append(asked[answer])
        except ray.exceptions.RayError:
            continue
    return sorted(found)


def _sees(path: str) -> bool:
    return os.path.exists(path)

"""The files in which a run keeps its items' neighbours, one for each time that they were found.

neighbours/epoch=0004.safetensors    for the batches from epoch 4 on, from the network as it was before it
duplicates.csv
"""

import json
import re
from dataclasses import dataclass

import numpy as np
import safetensors
import safetensors.numpy

from fashion.errors import InputError
from fashion.storage import Store

FOLDER = "neighbours"
DUPLICATES = "duplicates.csv"  # items that may be one garment listed twice, as they were found last
FORMAT = "fashion-neighbours-1"
_NAME = re.compile(rf"{FOLDER}/epoch=(\d+)\.safetensors")


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """Of N training items, named by their class labels, the K nearest others that count, nearest first; -1 where there
    are fewer."""

    nearest_NK: np.ndarray  # int32
    similarity_NK: np.ndarray  # float32, cosine
    origin: dict  # fingerprints of `network` and `data`, `epoch`


def file_of(epoch: int) -> str:
    return f"{FOLDER}/epoch={epoch:04d}.safetensors"


def write_neighbours(run: Store, epoch: int, neighbours: Neighbours) -> None:
    # One entry: safetensors writes several in an order of chance.
    metadata = {"about": json.dumps({"format": FORMAT} | neighbours.origin, sort_keys=True)}
    tensors = {"nearest": neighbours.nearest_NK, "similarity": neighbours.similarity_NK}
    run.write(file_of(epoch), safetensors.numpy.save(tensors, metadata))


def read_neighbours(run: Store, epoch: int, *, items: int, data: str) -> Neighbours:
    """Of a table of so many `items` with fingerprint `data`. Raises FileNotFoundError, and InputError where the file is
    damaged or of other items."""
    where = f"{run.uri}/{file_of(epoch)}"
    raw = run.read(file_of(epoch))
    try:
        tensors = safetensors.numpy.load(raw)
        header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
        origin = json.loads(header["__metadata__"]["about"])
        neighbours = Neighbours(nearest_NK=tensors["nearest"], similarity_NK=tensors["similarity"], origin=origin)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as fault:
        raise InputError(
            f"{where}: is damaged ({fault}); delete it, and the run finds them anew when it goes on"
        ) from None
    nearest = neighbours.nearest_NK
    if origin.get("format") != FORMAT or origin.get("data") != data or nearest.ndim != 2 or len(nearest) != items:
        raise InputError(f"{where}: holds no neighbours of this table's {items} training items; choose another --run")
    if nearest.size and not -1 <= nearest.min() <= nearest.max() < items:
        raise InputError(f"{where}: is damaged (no such items); delete it, and the run finds them anew when it goes on")
    return neighbours


def forget_after(run: Store, epoch: int) -> None:
    """Delete what is there for epochs after this one: of work that no checkpoint holds, and that is done again."""
    for name in run.names(FOLDER):
        if (match := _NAME.fullmatch(name)) and int(match[1]) > epoch:
            run.delete(name)

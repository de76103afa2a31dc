"""Today's addresses of pictures in the annotations of shards that stay: they may be signed anew each day, or count rows of a
file that has grown, and a picture in quarantine is tried again at its address."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion.data.prepare.growth import HOME, Growth
from fashion.data.prepare.planned import PlannedShard
from fashion.data.prepare.spool import SLOT_ROWS, Slots, read_spool
from fashion.data.schema import ADDRESS, rows_file
from fashion.storage import Store

_SCHEMA = pa.schema([("item", pa.string()), ("image", pa.string()), ADDRESS, HOME])


def refresh_addresses(
    growth: Growth, stay: Mapping[int, PlannedShard], folder: Path, *, slot_rows: int = SLOT_ROWS
) -> None:
    """Write them where they are others; `stay`: number of the held shard -> it. In memory is a slot of rows."""
    rows = sum(shard.images for shard in stay.values())
    parts = Slots(folder / "addresses", -(-rows // slot_rows) or 1, _SCHEMA, held=slot_rows)
    numbers = pa.array(sorted(stay), HOME.type)
    spacing = np.uint64((1 << 64) // max(1, len(growth.held)))
    for slot in growth.today():
        for _, part in slot.parts:
            part = part.filter(pc.and_(part[ADDRESS.name].is_valid(), pc.is_in(part[HOME.name], numbers)))
            if part.num_rows:
                parts.add(
                    part.select(_SCHEMA.names).cast(_SCHEMA), part[HOME.name].to_numpy().astype(np.uint64) * spacing
                )
    for path in parts.done():
        part = read_spool(path, _SCHEMA)
        for number in part[HOME.name].unique().to_pylist():
            _write(growth.earlier.out, stay[number], part.filter(pc.equal(part[HOME.name], number)))


def _write(out: Store, shard: PlannedShard, part: pa.Table) -> None:
    keys = zip(part["item"].to_pylist(), part["image"].to_pylist(), strict=True)
    addresses = dict(zip(keys, part[ADDRESS.name].to_pylist(), strict=True))
    rows = out.read_table(rows_file(shard.rows))
    keys = zip(rows["item"].to_pylist(), rows["image"].to_pylist(), strict=True)
    before = rows[ADDRESS.name].to_pylist()
    now = [addresses.get(key, old) for key, old in zip(keys, before, strict=True)]
    if now != before:
        place = rows.schema.get_field_index(ADDRESS.name)
        out.write_table(rows_file(shard.rows), rows.set_column(place, ADDRESS, pa.array(now, ADDRESS.type)))

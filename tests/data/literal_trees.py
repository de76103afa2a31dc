"""Small source folders written out literally, and what the parsers make of them."""

from pathlib import Path

from fashion.data.formats.benchmarks import read_annotations
from fashion.data.schema import ANNOTATIONS
from fashion.storage import Store


def write_tree(root: Path, files: dict[str, str | bytes]) -> Store:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Store(root)


def read_rows(benchmark: str, source: Store, *, several: bool = False, **options) -> tuple[dict, list[str]]:
    """(image -> its row, warnings); every batch has the schema and the bounded size, no image comes twice. `several`:
    an image may, and all its rows are given."""
    warnings: list[str] = []
    rows: dict = {}
    for batch in read_annotations(benchmark, source, warn=warnings.append, **options):
        assert batch.schema == ANNOTATIONS
        batch.validate(full=True)
        assert 0 < batch.num_rows <= 10_000
        for row in batch.to_pylist():
            if several:
                rows.setdefault(row["image"], []).append(row)
                continue
            assert row["image"] not in rows
            rows[row["image"]] = row
    return rows, warnings

"""Whether the annotations are those of the last run: by the bytes of their files, which cost less than their rows."""

import hashlib
import json

from fashion.data.manifest_files import find_manifest
from fashion.data.table_settings import TableSettings
from fashion.errors import InputError
from fashion.storage import Store

FOLDERS = ("Anno", "Anno/attributes", "Anno_coarse", "Anno_fine", "Eval")  # where DeepFashion's annotations lie
CHUNK = 1 << 22  # bytes hashed at once


def annotation_files(source: Store, settings: TableSettings) -> list[str]:
    """The names in `source` of the files that annotations may be read from. Raises InputError where there is no
    manifest."""
    if settings.benchmark == "manifest":
        return [settings.manifest or find_manifest(source)]
    return sorted({name for folder in FOLDERS for name in source.names(folder)})


def digest_of_files(source: Store, names: list[str], settings: TableSettings) -> str:
    """Of the names and the bytes, and of how they are read. Raises InputError where a file is not there."""
    read_as = {name: getattr(settings, name) for name in ("columns", "domains") if getattr(settings, name)}
    digest = hashlib.blake2b(json.dumps(read_as, sort_keys=True).encode(), digest_size=16)
    for name in names:
        digest.update(f"\0{name}\0".encode())
        try:
            with source.fs.open_input_stream(source.at(name)) as stream:
                while chunk := stream.read(CHUNK):
                    digest.update(chunk)
        except FileNotFoundError:
            raise InputError(f"{name}: not found in {source.uri}; expected the file of annotations there") from None
    return digest.hexdigest()

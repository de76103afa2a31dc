"""Build the indexes of a catalogue as Ray tasks, one a part."""

import ray

from fashion.errors import InputError
from fashion.retrieval.embeddings import Catalogue
from fashion.retrieval.index.files import IndexManifest, build_part, plan_parts, write_index_manifest
from fashion.retrieval.settings import AnnSettings


def build_indexes(catalogue: Catalogue, kind: str, settings: AnnSettings) -> IndexManifest:
    """The manifest of the indexes of one kind, all of them built; those that are there in this version are kept. Needs
    a running Ray. Raises InputError where the catalogue has no image to index."""
    used = settings.of(kind, catalogue.manifest.dimension)
    task = ray.remote(num_cpus=1)(build_part)
    plan = plan_parts(catalogue.manifest, settings.vectors)
    built = ray.get([task.remote(catalogue, number, shards, used) for number, shards in enumerate(plan)])
    parts = [part for part in built if part is not None]
    if not parts:
        raise InputError(f"ann.domain: found {settings.domain!r}, but the catalogue has no such images; set any")
    return write_index_manifest(catalogue, used, parts)

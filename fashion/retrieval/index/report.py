"""What an index costs and finds: recall against the exact answer, queries a second, bytes. Holds one part at a time."""

import time

import faiss
import numpy as np

from fashion.retrieval.embeddings import EMBEDDING, Catalogue, read_embeddings
from fashion.retrieval.index.files import ANY, IndexManifest, gallery_of, load_part
from fashion.retrieval.index.kinds import agreement, merge, search
from fashion.retrieval.products.score import check_finite
from fashion.retrieval.settings import AnnSettings
from fashion.seeds import generator

KS = (1, 10, 50)
EXACT, FLAT = "exact", "IndexFlatIP"


def compare_indexes(catalogue: Catalogue, indexes: list[IndexManifest], settings: AnnSettings) -> list[dict]:
    """One row for the exact search, then one for each index manifest: `kind`, `recall` (k -> share of the exact top k
    that is found), `queries_per_s` in one batch on all cores, `bytes`, and `seconds` that building took.

    The indexes must be of the same domain and parts, as one call builds them.
    """
    store, _ = catalogue
    queries_QD = sample_queries(catalogue, settings)
    k = max(KS)
    sides = [EXACT, *(index.settings["kind"] for index in indexes)]
    answers: dict[str, list] = {side: [] for side in sides}
    seconds = dict.fromkeys(sides, 0.0)
    vectors, start = 0, 0
    for number, part in enumerate(indexes[0].parts):
        _, x_ND = gallery_of(store, list(part.shards), settings.domain)
        flat = faiss.IndexFlatIP(x_ND.shape[1])
        flat.add(x_ND)
        for side, manifest in zip(sides, [None, *indexes], strict=True):
            index = flat if manifest is None else load_part(store, manifest.parts[number]).index
            began = time.perf_counter()
            scores, ids = search(index, queries_QD, k)
            seconds[side] += time.perf_counter() - began
            answers[side].append((scores, np.where(ids < 0, -1, ids + start)))
        start += len(x_ND)
        vectors += x_ND.nbytes
    exact = merge(answers[EXACT], k)[1]
    rows = []
    for side, manifest in zip(sides, [None, *indexes], strict=True):
        ids = merge(answers[side], k)[1]
        rows.append(
            {
                "kind": side if manifest is None else _label(manifest),
                "recall": {str(n): agreement(ids, exact, n) for n in KS},
                "queries_per_s": len(queries_QD) / seconds[side],
                "bytes": vectors if manifest is None else sum(part.bytes for part in manifest.parts),
                "seconds": 0.0 if manifest is None else sum(part.seconds for part in manifest.parts),
            }
        )
    return rows


def _label(index: IndexManifest) -> str:
    """The kind, and whether parts of it are too small for it."""
    kind = index.settings["kind"]
    flat = sum(part.built == FLAT for part in index.parts)
    return kind if kind == "flat" or not flat else f"{kind} ({flat} of {len(index.parts)} parts flat)"


def sample_queries(catalogue: Catalogue, settings: AnnSettings) -> np.ndarray:
    """(Q, D) a seeded sample of the images that are not of the indexed domain, or of all where there are no others."""
    store, manifest = catalogue
    shards = [shard.name for shard in manifest.shards]
    order = generator(settings.seed, "ann queries").permutation(len(shards)).tolist()
    for others in (True, False) if settings.domain != ANY else (False,):
        parts, count = [], 0
        for shard in (shards[i] for i in order):
            if count >= settings.queries:
                break
            embeddings = read_embeddings(store, [shard], ["image", "domain", EMBEDDING])
            vectors = check_finite(embeddings.vectors[EMBEDDING], "catalogue image", embeddings.about["image"])
            parts.append(vectors[embeddings.column("domain") != settings.domain] if others else vectors)
            count += len(parts[-1])
        if count:
            break
    return np.concatenate(parts)[: settings.queries]

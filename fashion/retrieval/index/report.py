"""What an index costs and finds: recall against the exact answer, queries a second, bytes. Holds one part at a time."""

import time

import faiss
import numpy as np

from fashion.retrieval.embeddings import EMBEDDING, Catalogue, read_embeddings
from fashion.retrieval.index.files import ANY, gallery_of, load_part
from fashion.retrieval.index.kinds import agreement, merge, search
from fashion.retrieval.search.score import check_finite
from fashion.retrieval.settings import AnnSettings
from fashion.seeds import generator

KS = (1, 10, 50)
EXACT, FLAT = "exact", "IndexFlatIP"


def compare_indexes(catalogue: Catalogue, indexes: list[dict], settings: AnnSettings) -> list[dict]:
    """One row for the exact search, then one for each index manifest: `kind`, `recall` (k -> share of the exact top k
    that is found), `queries_per_s` in one batch on all cores, `bytes`, and `seconds` that building took.

    The indexes must be of the same domain and parts, as one call builds them.
    """
    store, _ = catalogue
    queries_QD = sample_queries(catalogue, settings)
    k = max(KS)
    sides = [EXACT, *(about["settings"]["kind"] for about in indexes)]
    found: dict[str, list] = {side: [] for side in sides}
    seconds = dict.fromkeys(sides, 0.0)
    vectors, start = 0, 0
    for number, part in enumerate(indexes[0]["parts"]):
        _, x_ND = gallery_of(store, list(part["shards"]), settings.domain)
        flat = faiss.IndexFlatIP(x_ND.shape[1])
        flat.add(x_ND)
        for side, about in zip(sides, [None, *indexes], strict=True):
            index = flat if about is None else load_part(store, about["parts"][number]).index
            began = time.perf_counter()
            scores, ids = search(index, queries_QD, k)
            seconds[side] += time.perf_counter() - began
            found[side].append((scores, np.where(ids < 0, -1, ids + start)))
        start += len(x_ND)
        vectors += x_ND.nbytes
    exact = merge(found[EXACT], k)[1]
    rows = []
    for side, about in zip(sides, [None, *indexes], strict=True):
        ids = merge(found[side], k)[1]
        rows.append(
            {
                "kind": side if about is None else _label(about),
                "recall": {str(n): agreement(ids, exact, n) for n in KS},
                "queries_per_s": len(queries_QD) / seconds[side],
                "bytes": vectors if about is None else sum(part["bytes"] for part in about["parts"]),
                "seconds": 0.0 if about is None else sum(part["seconds"] for part in about["parts"]),
            }
        )
    return rows


def _label(about: dict) -> str:
    """The kind, and whether parts of it are too small for it."""
    kind = about["settings"]["kind"]
    flat = sum(part["built"] == FLAT for part in about["parts"])
    return kind if kind == "flat" or not flat else f"{kind} ({flat} of {len(about['parts'])} parts flat)"


def sample_queries(catalogue: Catalogue, settings: AnnSettings) -> np.ndarray:
    """(Q, D) a seeded sample of the images that are not of the indexed domain, or of all where there are no others."""
    store, manifest = catalogue
    shards = [shard["name"] for shard in manifest["shards"]]
    order = generator(settings.seed, "ann queries").permutation(len(shards)).tolist()
    for others in (True, False) if settings.domain != ANY else (False,):
        parts, held = [], 0
        for shard in (shards[i] for i in order):
            if held >= settings.queries:
                break
            found = read_embeddings(store, [shard], ["image", "domain", EMBEDDING])
            vectors = check_finite(found.vectors[EMBEDDING], "catalogue image", found.about["image"])
            parts.append(vectors[found.column("domain") != settings.domain] if others else vectors)
            held += len(parts[-1])
        if held:
            break
    return np.concatenate(parts)[: settings.queries]

"""Which items and which categories the network takes for others: pure functions of the queries' first answers."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from fashion.retrieval.report.data import Confusion, QueryRow, Thief

NO_CATEGORY, OTHER = "no category", "all others"


def thieves(rows: Sequence[QueryRow], *, count: int, victims: int) -> list[Thief]:
    """The `count` gallery items that come first most often for queries they do not match, each with `victims` of them.

    Ties fall to the lower item id. Victims are of different items as far as possible, highest score first.
    """
    stolen = defaultdict(list)
    for row in rows:
        if row.top and not row.top[0].correct:
            stolen[row.top[0].item].append(row)
    worst = sorted(stolen, key=lambda item: (-len(stolen[item]), item))[:count]
    confusions = []
    for item in worst:
        robbed = sorted(stolen[item], key=lambda row: (-row.top[0].score, row.image))
        seen: set[str] = set()
        firsts: list[QueryRow] = []
        others: list[QueryRow] = []
        for row in robbed:
            (others if row.item in seen else firsts).append(row)
            seen.add(row.item)
        images = Counter(row.top[0].image for row in robbed)
        image = min(images, key=lambda name: (-images[name], name))
        confusions.append(
            Thief(
                item=item,
                image=image,
                category=next(row.top[0].category for row in robbed if row.top[0].image == image),
                queries=len(robbed),
                items=len(seen),
                victims=(firsts + others)[:victims],
            )
        )
    return confusions


def confusion(rows: Sequence[QueryRow], *, limit: int) -> Confusion | None:
    """The categories of first answers against those of the queries, the `limit` commonest and the rest as one.

    None where fewer than two categories take part, or the answers' categories are not known.
    """
    answered = [row for row in rows if row.top]
    if not any(row.top[0].category for row in answered):
        return None
    pairs = Counter((row.category or NO_CATEGORY, row.top[0].category or NO_CATEGORY) for row in answered)
    sizes: Counter[str] = Counter()
    for (asked, _), n in pairs.items():
        sizes[asked] += n
    known = {name for pair in pairs for name in pair}
    if len(known) < 2:
        return None
    ordered = sorted(known, key=lambda name: (-sizes[name], name))
    kept = ordered if len(ordered) <= limit + 1 else ordered[:limit]
    names = [*kept, OTHER] if len(kept) < len(ordered) else kept
    place = {name: i for i, name in enumerate(kept)}
    table = [[0] * len(names) for _ in names]
    for (asked, answer), n in pairs.items():
        table[place.get(asked, len(kept))][place.get(answer, len(kept))] += n
    counts = [sum(row) for row in table]
    shares = [[n / total if total else 0.0 for n in row] for row, total in zip(table, counts, strict=True)]
    return Confusion(names=names, counts=counts, shares=shares)

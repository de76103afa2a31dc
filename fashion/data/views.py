"""Which pictures of an item a training epoch looks at: a pure function of seed, epoch and item."""

from fashion.seeds import permutation


def choose_views(domains: list[str], count: int, *, seed: int, epoch: int, item: str) -> list[int]:
    """Indices of `count` images of the item whose images have these domains (length N >= 1).

    Both domains get an equal share where the item has both (an odd one goes to either in turn). Within a domain the
    images are dealt like cards from a shuffled deck: none twice in an epoch while the deck lasts, and each one within
    ceil(n / share) epochs, then a new shuffle; so every image is used.
    """
    by_domain: dict[str, list[int]] = {}
    for i, domain in enumerate(domains):
        by_domain.setdefault(domain, []).append(i)
    decks = [by_domain[name] for name in sorted(by_domain)]
    shares = [count // len(decks)] * len(decks)
    for i in range(count % len(decks)):
        shares[(epoch + i) % len(decks)] += 1
    # An odd count gives a domain its larger share in every second epoch: dealing by the smaller one skips no card.
    return [
        deck[j]
        for deck, share in zip(decks, shares, strict=True)
        for j in deal(len(deck), share, max(1, count // len(decks)), seed, epoch, f"{item}/{domains[deck[0]]}")
    ]


def deal(cards: int, share: int, step: int, seed: int, epoch: int, name: str) -> list[int]:
    """The epoch's `share` of a shuffled deck, which moves on by `step` cards an epoch; a new shuffle when it has been
    through. `name`: of the deck."""
    if cards == 1:
        return [0] * share
    rounds = -(-cards // step)
    shuffle, turn = divmod(epoch, rounds)
    order = permutation(cards, seed, "views", shuffle, name)
    return [order[(turn * step + i) % cards] for i in range(share)]


def choose_pairs(
    domains: list[str],
    images: list[str],
    pairs: list[list[str] | None],
    count: int,
    *,
    seed: int,
    epoch: int,
    item: str,
) -> list[tuple[int, int]]:
    """`count` views as (image, its shop photo): consumer photos dealt as in `choose_views`, each beside a shop photo
    that it is annotated to match (in turn, where there are several); a shop photo is its own.

    An item without annotated pairs gives views as `choose_views` does, with -1 for a photo that matches none.
    """
    place = {image: i for i, image in enumerate(images) if domains[i] == "shop"}
    partners = [[place[name] for name in pairs[i] or () if name in place] for i in range(len(images))]
    paired = [i for i, shops in enumerate(partners) if shops]
    if not paired:
        chosen = choose_views(domains, count, seed=seed, epoch=epoch, item=item)
        return [(i, i if domains[i] == "shop" else -1) for i in chosen]
    views = []
    for i in choose_views(["consumer"] * len(paired), max(1, count // 2), seed=seed, epoch=epoch, item=item):
        consumer = paired[i]
        shop = partners[consumer][(epoch // len(paired)) % len(partners[consumer])]
        views += [(consumer, shop), (shop, shop)]
    return (views + views[:1])[:count]

"""What hard batches are for: a catalogue whose items come in families, one garment in eight cuts.

    python tests/benchmarks/families.py --out FOLDER [--items 20000] [--epochs 3] [--seeds 1 2 3]
                                        [--mining every=2 start=1 ...] [--all network.size=64 ...]

Draws, for each item, a shop photo and a customer's, whole families to train on or to test with; trains with batches at
random and with hard batches, by jobs/train.py, and takes recall from jobs/evaluate.py. The hard side is given as many fewer
epochs as finding neighbours costs (`--cost`, of an epoch each time), so that both take about as long; seconds of each
command are printed. What lies in --out already is not made again.
"""

import argparse
import csv
import itertools
import json
import multiprocessing
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from fashion.data.mining import MiningSettings
from fashion.demo.drawing import Garment, consumer_pictures, design, shop_picture
from fashion.demo.drawing.design import MOTIFS, pick
from tests.benchmarks.commands import recall_once, run_job

CUT = ("Tee", "Top", "Sweater")
CUTS = tuple(itertools.product(("crew", "v"), (0.3, 0.95), ((), ("ringer",))))  # neck, length of the sleeves, edges
FAMILY = len(CUTS)
SPLITS = ("train",) * 8 + ("val", "test")  # of families, in turn
RANDOM, HARD = "at random", "hard"
SMALL = ["network.size=64", "batch.size=64", "batch.crop=box", "validation.items=800"]
MINED = ["every=2", "start=1", "share=0.5", "group=4", "last_rank=16", "duplicate=1"]


@cache
def family(number: int) -> Garment:
    """What the items of a family have in common: all but their cut."""
    tries = (design(number, n) for n in range(10_000))
    garment = next(one for one in tries if one.category in CUT and one.closure == "none")
    prints = sorted(set(MOTIFS) - {"number"})  # of that each item would have its own
    return replace(garment, pattern="plain", motif=pick(np.random.default_rng(number), prints), pocket="none")


def sibling(item: int) -> Garment:
    """An item: its family's garment in a cut that none of the others has."""
    number, place = divmod(item, FAMILY)
    neck, sleeve, trims = CUTS[place]
    return replace(family(number), seed=(0, item), neck=neck, sleeve=sleeve, trims=frozenset(trims))


def draw(task: tuple[Path, int]) -> list[list]:
    """The photos of an item, and its rows of the manifest."""
    folder, item = task
    garment, split = sibling(item), SPLITS[item // FAMILY % len(SPLITS)]
    rows = []
    for picture in (shop_picture(garment, 0), consumer_pictures(garment)[0]):
        name = f"{item // 1000:04d}/{item:06d}-{picture.domain}.jpg"
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        picture.image.save(target, quality=picture.quality)
        rows.append([name, f"item {item:06d}", picture.domain, split, " ".join(map(str, picture.box))])
    return rows


def catalogue(out: Path, items: int) -> Path:
    """The item table of so many items; drawn where it is missing."""
    source, table = out / "photos", out / "table"
    if not (table / "manifest.json").exists():
        source.mkdir(parents=True, exist_ok=True)
        with multiprocessing.get_context("spawn").Pool() as pool:
            rows = [row for drawn in pool.imap(draw, ((source, n) for n in range(items)), 16) for row in drawn]
        with (source / "photos.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["image", "item", "domain", "split", "box"], *rows])
        run_job("prepare", "--benchmark", "manifest", "--source", str(source), "--out", str(table), "--size", "96")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3], help="none: draws the catalogue alone")
    parser.add_argument("--cost", type=float, default=0.5)
    parser.add_argument("--mining", nargs="*", default=MINED, metavar="SETTING")
    parser.add_argument("--all", nargs="*", default=SMALL, metavar="SETTING", help="of both sides")
    options = parser.parse_args()
    table = catalogue(options.out, options.items)
    mining = MiningSettings(**{name: json.loads(value) for name, value in (one.split("=") for one in options.mining)})
    finds = lambda epochs: sum(mining.of(epoch) == epoch for epoch in range(epochs))  # noqa: E731
    # Epochs are whole: of those that do not take longer, the most.
    fewer = max(n for n in range(1, options.epochs + 1) if n == 1 or n + options.cost * finds(n) <= options.epochs)
    sides = {
        RANDOM: [f"epochs={options.epochs}"],
        HARD: [f"epochs={fewer}", *(f"mining.{setting}" for setting in options.mining)],
    }
    print(f"{options.items:,} items in families of {FAMILY}; hard batches: {' '.join(options.mining)}")
    print("| batches | seed | epochs | recall@1 | recall@5 | recall@20 | seconds |\n|---|---|---|---|---|---|---|")
    first: dict[str, list[float]] = {}
    for seed in options.seeds:
        for side, settings in sides.items():
            flags = [f"--{setting}" for setting in [*options.all, *settings, f"seed={seed}"]]
            found = recall_once(str(table), options.out / f"{side.replace(' ', '-')}-{seed}", *flags)
            recall = [100 * found["recall"][k] for k in ("1", "5", "20")]
            first.setdefault(side, []).append(recall[0])
            epochs = settings[0].removeprefix("epochs=")
            print(
                f"| {side} | {seed} | {epochs} | {' | '.join(f'{r:.1f}' for r in recall)} | {found['seconds']:.0f} |",
                flush=True,
            )
    if options.seeds:
        gains = np.subtract(first[HARD], first[RANDOM])
        print(f"hard batches' gain in recall@1: {gains.mean():+.1f} points ({gains.min():+.1f} to {gains.max():+.1f})")


if __name__ == "__main__":
    main()

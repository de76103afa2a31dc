"""The training feed through Ray Data, against a torch DataLoader that decodes with torchvision, and against bare decoding.

    python tests/benchmarks/feed.py [--table FOLDER | --source FOLDER] [--side 1500] [--size 64] [--rounds 5]

All sides decode the pictures of the plan's epochs to the same size on as many processes: the stream reads its table, the
DataLoader a file a picture, the bare loop memory. The peer is what people write: torchvision's decode_jpeg and its
antialiased resizing; a DataLoader with our decoding tells what of the difference is the decoding. The sides take turns;
steady images/s are compared within a round, as a machine that others use too changes its speed, and the medians over the
rounds are printed with the lowest and highest. The pause between epochs is the time in which a trainer with steps of a
set length (it needs four fifths of the stream's rate) has no batch when an epoch begins. Ray gives its workers a low
priority, which counts where something else runs on the machine: here it is that of the other sides.

Without --table or --source a demo catalogue is drawn first. --source: photos in DeepFashion's consumer-to-shop layout.
--side: its pictures enlarged or shrunk until the longer side has so many pixels, as they come from a camera.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, RandomSampler

from cluster.start import ray_cluster
from fashion.data.decode import check, decode
from fashion.data.feed import FeedSettings
from fashion.data.plan import Plan
from fashion.data.prepare.run import prepare
from fashion.data.settings import TableSettings
from fashion.data.stream import FeedActors, steps, stream_options, training_stream
from fashion.data.table import ItemTable
from fashion.data.views import choose_views
from fashion.demo.catalogue import write_demo
from fashion.storage import Store

ITEMS_A_STEP, VIEWS, WORKERS = 64, 2, os.cpu_count() or 2
FEWEST_ITEMS = 128  # so that the train split has a step's items
STREAM, TORCHVISION, OURS, BARE = "stream", "DataLoader, torchvision", "DataLoader, our decoding", "bare decoding"


def by_torchvision(data: bytes, size: int) -> torch.Tensor:
    """The peer's decoding: all of the picture, then antialiased resizing of its bytes."""
    from torchvision.io import decode_jpeg

    pixels = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8))
    return torch.nn.functional.interpolate(pixels[None], size=(size, size), mode="bilinear", antialias=True)[0]


def by_us(data: bytes, size: int) -> torch.Tensor:
    return torch.from_numpy(decode(data, size=(size, size)))


class Pictures(Dataset):
    """A picture a file in one folder, as a DataLoader is commonly fed; the system keeps them in memory."""

    def __init__(self, files: list[Path], size: int, decoded: Callable[[bytes, int], torch.Tensor]):
        self.files, self.size, self.decoded = files, size, decoded

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> torch.Tensor:
        torch.set_num_threads(1)
        return self.decoded(self.files[i].read_bytes(), self.size)


def loader_rate(files: list[Path], size: int, epochs: int, decoded: Callable[[bytes, int], torch.Tensor]) -> float:
    """Images/s of the DataLoader, all epochs in one pass, so that it does not pause between them."""
    pictures = Pictures(files, size, decoded)
    order = RandomSampler(pictures, num_samples=epochs * len(pictures))
    seen, began = 0, None
    for batch in DataLoader(pictures, batch_size=ITEMS_A_STEP * VIEWS, sampler=order, num_workers=WORKERS):
        seen += len(batch) if began else 0
        began = began or time.perf_counter()
    return seen / (time.perf_counter() - began)


def bare_rate(jpegs: list[bytes], size: int, epochs: int) -> float:
    """Decoding alone, in as many processes, nothing handed over."""
    parts = [jpegs[i::WORKERS] for i in range(WORKERS)]
    with ProcessPoolExecutor(WORKERS) as pool:
        list(pool.map(_decode_all, [part[:8] for part in parts], [size] * WORKERS, [1] * WORKERS))
        began = time.perf_counter()
        done = sum(pool.map(_decode_all, parts, [size] * WORKERS, [epochs] * WORKERS))
        return done / (time.perf_counter() - began)


def _decode_all(jpegs: list[bytes], size: int, epochs: int) -> int:
    torch.set_num_threads(1)
    for _ in range(epochs):
        for jpeg in jpegs:
            decode(jpeg, size=(size, size))
    return len(jpegs) * epochs


def stream_of(table: ItemTable, size: int, epochs: int) -> tuple[Plan, Iterator[dict[str, torch.Tensor]]]:
    """The plan, and the steps of the stream."""
    plan = Plan.of(table.shards("train"), items_per_step=ITEMS_A_STEP, seed=0)
    feed = FeedSettings(views=VIEWS, size=size, slots=1, crop="whole", pairs=False)
    dataset = training_stream(
        table,
        plan,
        feed,
        steps=range(epochs * plan.steps),
        actors=FeedActors(start=WORKERS, least=WORKERS, most=WORKERS, cpus=1.0),
    )
    dataset.context.execution_options = stream_options(1 << 30)
    dataset.context.wait_for_min_actors_s = 120  # steady state: no actor is still importing
    return plan, steps(dataset.iter_torch_batches(batch_size=1, prefetch_batches=2))


def stream_rate(table: ItemTable, size: int, epochs: int) -> float:
    """Steady images/s, from an epoch's first batch to another's, so that what is under way at either end is alike:
    without the first quarter of the epochs, in which Ray's own helpers start, and the last one."""
    plan, batches = stream_of(table, size, epochs)
    starts = {}
    for batch in batches:
        starts.setdefault(int(batch["epoch"]), time.perf_counter())
    first, last = max(1, epochs // 4), epochs - 1
    return (last - first) * plan.steps * ITEMS_A_STEP * VIEWS / (starts[last] - starts[first])


def pause(table: ItemTable, size: int, epochs: int, rate: float) -> float:
    """Time in which a trainer that needs four fifths of `rate` waits for an epoch's first batch, as a share of an epoch."""
    plan, batches = stream_of(table, size, epochs)
    step_s, waits = ITEMS_A_STEP * VIEWS / (0.8 * rate), []
    asked = time.perf_counter()
    for batch in batches:
        if int(batch["epoch"]) >= max(1, epochs // 4) and int(batch["step"]) == 0:
            waits.append(time.perf_counter() - asked)
        time.sleep(step_s)
        asked = time.perf_counter()
    return statistics.mean(waits) / (plan.steps * step_s)


def pictures_of_an_epoch(table: ItemTable) -> list[bytes]:
    """What the stream decodes in an epoch: shop photos count as much as consumer photos, of which there are more."""
    return [
        row["images"][i]["jpeg"]
        for shard in table.shards("train")
        for row in table.read(shard.name).to_pylist()
        for i in choose_views([image["domain"] for image in row["images"]], VIEWS, seed=0, epoch=0, item=row["item"])
    ]


def make_table(folder: Path, source: Path | None, images: int, side: int | None) -> ItemTable:
    """A table of the source's pictures, or of about so many drawn ones."""
    if source is None:
        source = folder / "catalogue"
        write_demo(source, items=max(FEWEST_ITEMS, round(images / 4.5 / 0.6)))
    if side:
        source = at_side(source, folder / "sized", side)
    quiet = {"warn": print, "progress": lambda *_: None}
    return prepare(Store(source), Store(folder / "table"), TableSettings(), **quiet)


def at_side(source: Path, to: Path, side: int) -> Path:
    """The source again, its pictures with `side` pixels the longer side."""
    shutil.copytree(source, to)
    with ProcessPoolExecutor(WORKERS) as pool:
        list(pool.map(_resize, to.rglob("*.jpg"), repeat(side), chunksize=8))
    return to


def _resize(file: Path, side: int) -> None:
    with Image.open(file) as image:
        scale = side / max(image.size)
        sized = image.convert("RGB").resize([round(length * scale) for length in image.size], Image.LANCZOS)
    sized.save(file, quality=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", help="an item table to read, as jobs/prepare.py makes it")
    parser.add_argument("--source", type=Path, help="photos in DeepFashion's consumer-to-shop layout")
    parser.add_argument("--side", type=int, help="longer side of the pictures before decoding")
    parser.add_argument("--images", type=int, default=4800, help="train pictures to draw, about")
    parser.add_argument("--size", type=int, default=64, help="side of the decoded pictures")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.table and (options.side or options.source):
        parser.error("--table is read as it is; give --source with --side")
    os.environ |= {"RAY_worker_niceness": "0"}
    size, epochs = options.size, options.epochs
    with tempfile.TemporaryDirectory() as folder, ray_cluster():
        if options.table:
            table = ItemTable(Store(options.table))
        else:
            table = make_table(Path(folder), options.source, options.images, options.side)
        jpegs = pictures_of_an_epoch(table)
        files = [Path(folder, f"{i}.jpg") for i in range(len(jpegs))]
        for file, jpeg in zip(files, jpegs, strict=True):
            file.write_bytes(jpeg)
        sides: dict[str, list[float]] = {STREAM: [], TORCHVISION: [], OURS: [], BARE: []}
        pauses = []
        for number in range(options.rounds):
            sides[STREAM].append(stream_rate(table, size, epochs))
            pauses.append(pause(table, size, max(4, epochs // 4), sides[STREAM][-1]))
            sides[TORCHVISION].append(loader_rate(files, size, epochs, by_torchvision))
            sides[OURS].append(loader_rate(files, size, epochs, by_us))
            sides[BARE].append(bare_rate(jpegs, size, epochs))
            print(f"round {number + 1}: " + ", ".join(f"{name} {rates[-1]:,.0f}" for name, rates in sides.items()))
    longer = statistics.median(max(check(jpeg)) for jpeg in jpegs)
    kilobytes = sum(map(len, jpegs)) / len(jpegs) / 1000
    print(
        f"{len(jpegs)} pictures an epoch of {longer:.0f} pixels (median longer side) and {kilobytes:.0f} kB to {size}, "
        f"{WORKERS} processes a side, {options.rounds} rounds, medians (lowest to highest)"
    )
    for name, rates in sides.items():
        print(f"{name:>24}: {statistics.median(rates):8,.0f} images/s ({min(rates):,.0f} to {max(rates):,.0f})")
    for name, bar in ((TORCHVISION, 2.0 if longer >= 1500 else 1.3), (OURS, None), (BARE, 0.85)):
        ratios = [a / b for a, b in zip(sides[STREAM], sides[name], strict=True)]
        wanted = f", bar {bar}" if bar else ""
        print(f"stream / {name:24} {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}{wanted})")
    print(f"pause between epochs {100 * statistics.median(pauses):.1f} % of an epoch (bar 5 %)")


if __name__ == "__main__":
    main()

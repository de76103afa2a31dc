"""What prepare needs as lists get longer: memory of all its processes at 1x and 10x, and what a growth of 1 % costs.

    python tests/benchmarks/prepare_length.py [--rows 100000] [--times 10] [--folder F] [--shards 2000] [--plan]

Each list names tiny pictures of their own (a JPEG of 16 x 16 with a comment), four of an item, 1,000 in a folder. A second
run has 1 % of new items and 0.2 % fewer old ones. With --plan no picture is there: the annotations name addresses, and only
the plan is made. Memory is the sum of the processes' proportional set sizes, read every half second, by what they do.
"""

import argparse
import io
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from PIL import Image

from fashion.data.table import ItemTable
from fashion.storage import Store

ROOT = Path(__file__).resolve().parents[2]
OF_ITEM = 4  # pictures
PLAN = """
import sys
from fashion.data.prepare.plan import plan_table
from fashion.data.settings import TableSettings
from fashion.storage import Store
settings = TableSettings(benchmark="manifest", shard_images=int(sys.argv[3]))
plan = plan_table(Store(sys.argv[1]), Store(sys.argv[2]), settings, warn=print)
print(len(plan.shards), "shards")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--shards", type=int, default=2000, help="images a shard")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "prepare-length")
    parser.add_argument("--plan", action="store_true")
    options = parser.parse_args()
    for rows in (options.rows, options.rows * options.times):
        items, new = rows // OF_ITEM, max(1, rows // OF_ITEM // 100)
        source = options.folder / f"{'plan' if options.plan else 'pictures'}-{rows}"
        out = source.with_name(f"{source.name}-table")
        generate(source, range(items), pictures=not options.plan)
        report(f"{rows:,} rows", *measured(source, out, options), out, options)
        generate(source, range(new // 5, items + new), pictures=not options.plan)
        before = set(Store(out).names("items", recursive=True))
        report(f"{rows:,} rows and 1 %", *measured(source, out, options), out, options, before)


def generate(source: Path, items: range, *, pictures: bool) -> None:
    """The list, and the pictures that are not there yet."""
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(buffer, "JPEG")
    head, tail = buffer.getvalue()[:2], buffer.getvalue()[2:]
    source.mkdir(parents=True, exist_ok=True)
    with open(source / "list.csv", "w") as file:
        print("image,item,domain,category,attributes", file=file)
        for i in items:
            folder = f"{i * OF_ITEM // 1000:06d}"
            for j in range(OF_ITEM):
                name = f"p/{folder}/{i}-{j}.jpg"
                if not pictures:
                    name = f"https://pictures.example/{name}"
                elif not (source / name).exists():
                    (source / name).parent.mkdir(parents=True, exist_ok=True)
                    comment = f"{i}-{j}".encode()
                    (source / name).write_bytes(
                        head + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + tail
                    )
                print(
                    f"{name},id_{i:09d},{'consumer' if j % 2 else 'shop'},category {i % 50},red;long sleeve", file=file
                )


def measured(source: Path, out: Path, options: argparse.Namespace) -> tuple[dict[str, float], float]:
    """Peak MB of all processes together and of each kind, and seconds."""
    job = ["jobs/prepare.py", "--benchmark", "manifest", "--shard_images", str(options.shards), "--source", str(source)]
    command = ["-c", PLAN, str(source), str(out), str(options.shards)] if options.plan else [*job, "--out", str(out)]
    began, peaks = time.perf_counter(), defaultdict(float)
    process = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True
    )
    while process.poll() is None:
        now = memory(process.pid)
        for kind, size in (*now.items(), ("all", sum(now.values()))):
            peaks[kind] = max(peaks[kind], size)
        time.sleep(0.5)
    if process.returncode:
        raise SystemExit(process.returncode)
    return dict(peaks), time.perf_counter() - began


def memory(root: int) -> dict[str, float]:
    """MB of the process and all below it, by kind."""
    children = defaultdict(list)
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            children[int(status.read_text().rpartition(")")[2].split()[1])].append(int(status.parent.name))
        except OSError:
            continue
    sizes: dict[str, float] = defaultdict(float)
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        waiting += children[pid]
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            name = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
        except OSError:
            continue
        kind = "driver" if pid == root else "tasks" if name.startswith("ray::") else "rest of Ray"
        sizes[kind] += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1e3
    return sizes


def report(
    what: str, peaks: dict[str, float], seconds: float, out: Path, options: argparse.Namespace, before=frozenset()
) -> None:
    parts = ", ".join(f"{kind} {size:,.0f}" for kind, size in sorted(peaks.items()))
    print(f"{what}: peak MB: {parts}; {seconds:,.0f} s, load {os.getloadavg()[0]:.1f}", flush=True)
    if not options.plan:
        shards = ItemTable(Store(out)).manifest.shards
        files = [out / "items" / f"{shard.name}.parquet" for shard in shards]
        sizes = [file.stat().st_size for file in files if file.stat().st_size]
        new = [f for f in files if f"items/{f.parent.name}/{f.name}" not in before]
        written = f"{sum(file.stat().st_size for file in new) / 1e6:,.1f} MB of {sum(sizes) / 1e6:,.1f}"
        print(
            f"  {len(shards):,} shards of {min(sizes):,} to {max(sizes):,} bytes, deviation "
            f"{np.std(sizes) / np.mean(sizes):.1%}; written {len(new):,}, {written}",
            flush=True,
        )


if __name__ == "__main__":
    main()

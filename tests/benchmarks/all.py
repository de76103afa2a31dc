"""All benchmarks that have a row in the README, and the table of them.

    python tests/benchmarks/all.py [--photos FOLDER] [--rounds 3] [--only feed search] [--write]

`--photos`: pictures in the layout of consumer-to-shop, for the rows that want real ones. `--write` puts the table into
README.md between its two marks, with the machine, the versions, the commit and each ratio's least and greatest over the
rounds; it asks for all rows, so for the photos too.
"""

import argparse
import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
README = HERE.parents[1] / "README.md"
BEGIN, END = "<!-- benchmarks -->\n", "<!-- until here -->"
PACKAGES = ("torch", "torchvision", "ray", "faiss-cpu", "pytorch-metric-learning")
# A ratio as the scripts print it, with its least and greatest where it has rounds.
RATIO = r"([\d.]+(?: \([\d.]+ to [\d.]+)?)"


@dataclass(frozen=True)
class Row:
    what: str
    peer: str
    found: str  # what stands before the ratio in the script's output
    bar: str


@dataclass(frozen=True)
class Script:
    name: str
    arguments: tuple[str, ...]
    rows: tuple[Row, ...]
    photos: bool = False
    rounds: bool = True  # whether it takes --rounds


LOADER = "`DataLoader`, torchvision's decoding"
PEER = "the script people write: `DataLoader`, same network, batches, steps and validation"
LEARNING = "pytorch-metric-learning"
SCRIPTS = (
    Script(
        "whole_run", ("--precision", "float32"), photos=True,
        rows=(
            Row("a whole run after start-up, ResNet-18 at 64 pixels, float32, feed memory 64 MiB", PEER,
                r"memory 64 MiB:(?s:.*?)after start-up: ", "1.0"),
            Row("the same with 1,024 MiB", PEER, r"memory 1,?024 MiB:(?s:.*?)after start-up: ", "1.0"),
            Row("the same from the command on, 60 steps", PEER, r"memory 1,?024 MiB:(?s:.*?)from the command on: ", ""),
        ),
    ),
    Script(
        "whole_run", ("--precision", "bf16", "--feed_memory", "1024"), photos=True,
        rows=(Row("a whole run after start-up in bf16", "the peer in bf16", "after start-up: ", ""),),
    ),
    Script(
        "feed", ("--side", "300"), photos=True,
        rows=(
            Row("batches of 64 pixels from photos of 300", LOADER, "stream / DataLoader, torchvision +", "1.3"),
            Row("the same", "bare decoding", "stream / bare decoding +", "0.85"),
        ),
    ),
    Script(
        "feed", ("--side", "1500"), photos=True,
        rows=(Row("batches of 64 pixels from photos of 1,500", LOADER, "stream / DataLoader, torchvision +", "2"),),
    ),
    Script(
        "embed", (),
        rows=(Row("embedding a catalogue", "bare decoding and the bare network in a loop", "pool / bare +", "0.9"),),
    ),
    Script(
        "search", (),
        rows=(Row("4,000 queries, top 50 of 200,000 x 128, 16 shards", "one faiss `IndexFlatIP` at its best kernel",
                  "faiss / ours +", "1.5"),),
    ),
    Script(
        "metrics", (),
        rows=(Row("all metrics of 4,000 queries in 100,000", f"{LEARNING}'s `AccuracyCalculator`, k = 50",
                  "AccuracyCalculator / ours +", "2.5"),),
    ),
    Script(
        "losses", ("--batches", "1024"), rounds=False,
        rows=tuple(
            Row(f"{name}, forward and backward, B = 1024, K = {views}", LEARNING,
                rf"\| {mining} \| 1024 \| {views} \| [\d.]+ \| [\d.]+ \| ", bar)
            for name, mining, bars in (("batch-all", "all", ("10", "30")), ("semi-hard", "semi-hard", ("10", "30")))
            for views, bar in zip((4, 32), bars, strict=True)
        ),
    ),
)  # fmt: skip


def measured(script: Script, options: argparse.Namespace) -> list[tuple[str, ...]]:
    """The cells of the script's rows. Ends with its error where it fails or prints no ratio."""
    command = [sys.executable, str(HERE / f"{script.name}.py"), *script.arguments]
    command += ["--source", str(options.photos)] if script.photos else []
    command += ["--rounds", str(options.rounds)] if script.rounds else []
    print(f"$ {' '.join(Path(part).name if '/' in part else part for part in command[1:])}", flush=True)
    done = subprocess.run(command, capture_output=True, text=True)
    print(done.stdout, flush=True)
    if done.returncode:
        sys.exit(f"{script.name}.py failed:\n{done.stderr}")
    called = " ".join([f"{script.name}.py", *script.arguments])
    return [(f"`{called}`: {row.what}", row.peer, ratio_of(row, done.stdout), row.bar) for row in script.rows]


def ratio_of(row: Row, printed: str) -> str:
    found = re.search(row.found + RATIO, printed)
    if not found:
        sys.exit(f"no ratio of {row.what!r} in what was printed")
    return found[1] + (")" if "(" in found[1] else "")


def machine() -> str:
    """The processor, what it computes natively, the versions and the commit."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    name = re.search(r"model name\s*: (.*)", text)
    cores = text.count("processor\t:") or "?"
    native = [flag for flag in ("avx512_bf16", "amx_bf16") if f" {flag}" in text]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True)
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    return (
        f"{cores} cores of {name[1] if name else platform.processor()} ({', '.join(native) or 'bf16 not native'}), no GPU; "
        f"Python {platform.python_version()}, {versions}; commit {commit.stdout.strip() or 'unknown'}"
    )


def table(rows: list[tuple[str, ...]], rounds: int) -> str:
    lines = ["| what | peer | times as fast (least to greatest) | bar |", "|---|---|---|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([f"{machine()}. Medians of {rounds} rounds, both sides in one run.", "", *lines]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="consumer-to-shop folder")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=sorted({script.name for script in SCRIPTS}))
    parser.add_argument("--write", action="store_true", help="the table goes into README.md")
    options = parser.parse_args()
    if options.write and (options.only or not options.photos):
        parser.error("--write wants all rows: give --photos, and no --only")
    wanted = [s for s in SCRIPTS if s.name in (options.only or [s.name]) and (options.photos or not s.photos)]
    made = table([row for script in wanted for row in measured(script, options)], options.rounds)
    print(made)
    if left := sorted({s.name for s in SCRIPTS if s.photos and not options.photos}):
        print(f"left out, for they want --photos: {', '.join(left)}")
    if options.write:
        text = README.read_text()
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        README.write_text(before + BEGIN + made + END + after)


if __name__ == "__main__":
    main()

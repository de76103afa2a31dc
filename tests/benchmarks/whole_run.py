"""A whole training run, as a user waits for it: jobs/train.py against the script that people would write.

    python tests/benchmarks/whole_run.py --source LAYOUT [--epochs 12] [--rounds 3] [--feed_memory 64,1024]
                                         [--precision float32]

Both train ResNet-18 at 64 pixels on the box crops of LAYOUT (DeepFashion's consumer-to-shop benchmark as published, or
photos laid out so) with the same loss, batches, number of steps, and validation after each epoch. The peer (peer.py) is a
DataLoader with two processes, which saves weights and optimiser after each epoch too. The sides take turns. Printed for
each: wall-clock from the command to its end, seconds to the first training step, seconds of training (from the first batch
until all of the last epoch is written, with what lies between the epochs; the wait for batches in the first one counts as
starting up), and CPU seconds by process. "After start-up" compares the training.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.commands import ROOT, run_job
from tests.benchmarks.kernels import spread

NETWORK, SIZE = "resnet18", 64


class Watched:
    """A command's wall-clock, what it prints, and the CPU seconds of every process that it started."""

    def __init__(self, command: list[str]):
        self.began = time.perf_counter()
        self.output = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=self.output, stderr=subprocess.STDOUT, text=True)
        self.cpu: dict[int, tuple[str, float]] = {}

    def run(self, look: Callable[[], object] = lambda: None, every: float = 0.5) -> tuple[float, list[str]]:
        """Seconds, and the lines that it printed. `look` is called now and then while it runs."""
        while self.process.poll() is None:
            self._sample()
            look()
            time.sleep(every)
        seconds = time.perf_counter() - self.began
        self.output.seek(0)
        printed = self.output.read()
        if self.process.returncode:
            raise SystemExit(f"{printed}\nended with status {self.process.returncode}")
        return seconds, printed.splitlines()

    def _sample(self) -> None:
        try:
            processes = [psutil.Process(self.process.pid)]
            processes += processes[0].children(recursive=True)
        except psutil.NoSuchProcess:
            return
        for process in processes:
            try:
                command, times = process.cmdline(), process.cpu_times()
            except psutil.Error:
                continue
            known, _ = self.cpu.get(process.pid, ("", 0.0))
            # One that has ended and is not waited for yet has its times still, and no name.
            self.cpu[process.pid] = (_title(command) or known, times.user + times.system)

    def by_process(self) -> list[tuple[str, float]]:
        total: Counter = Counter()
        for name, seconds in self.cpu.values():
            total[name] += seconds
        return total.most_common(8)


def _title(command: list[str]) -> str:
    first = " ".join(command)
    if found := re.match(r"ray::([\w.]+)", first):
        return found[1]
    return next((Path(part).name for part in command if "python" not in part and not part.startswith("-")), first[:30])


def ours(table: Path, run: Path, epochs: int, items: int, memory: int, precision: str) -> dict:
    command = [
        sys.executable, "jobs/train.py", "--data", str(table), "--run", str(run), "--epochs", str(epochs),
        "--network.name", NETWORK, "--network.pretrained", "null", "--network.size", str(SIZE), "--batch.crop", "box",
        "--batch.items", str(items), "--batch.views", "2", "--loss.name", "tuplet", "--resources.feed_memory", str(memory),
        "--precision", precision,
    ]  # fmt: skip
    watched, history, written = Watched(command), run / "history.json", {}  # rows -> when so many were

    def look() -> None:
        if history.exists():
            at, count = history.stat().st_mtime, len(json.loads(history.read_text()))
            written.setdefault(count, at)

    seconds, _ = watched.run(look)
    look()
    rows = json.loads(history.read_text())
    spent = [row["seconds"] + row.get("validation_s", 0.0) for row in rows]
    seen = min(written)
    between = (written[len(rows)] - written[seen] - sum(spent[seen:])) / max(1, len(rows) - seen)
    # Of the first epoch the wait is nearly all for the very first batch.
    training = sum(spent) - rows[0]["data_wait_s"] + between * len(rows)
    wall = time.time() - time.perf_counter() + watched.began  # when the command was given
    ended = written[len(rows)] - wall
    return {
        "seconds": seconds,
        "first_step_s": ended - training,
        "training_s": training,
        "between_s": between,
        "tail_s": seconds - ended,
        "cpu": watched.by_process(),
    }


def peer(source: Path, epochs: int, steps: int, items: int, precision: str) -> dict:
    command = [
        sys.executable, "tests/benchmarks/peer.py", "--source", str(source), "--peer", "mark", "--steps",
        str(epochs * steps), "--items", str(items), "--validate_every", str(steps),
        *(["--bf16"] if precision == "bf16" else []),
    ]  # fmt: skip
    watched = Watched(command)
    seconds, lines = watched.run()
    row = json.loads(next(line for line in lines if line.startswith("{")))
    # From its own clock: the command's seconds hold the test as well, which ours leaves to jobs/evaluate.py.
    start = seconds - row["seconds"] - row["test_s"]
    return {
        "seconds": seconds - row["test_s"],
        "first_step_s": start + row["first_step_s"],
        "training_s": row["seconds"] - row["first_step_s"],
        "between_s": row["saving_s"] / epochs,
        "tail_s": 0.0,
        "cpu": watched.by_process(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--items", type=int, default=64, help="of a step")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--feed_memory", default="64,1024", help="MiB, one or more with commas")
    parser.add_argument("--precision", choices=["float32", "bf16"], default="float32")
    parser.add_argument("--table", type=Path, help="an item table of LAYOUT; made where it is missing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = options.table or Path(folder, "table")
        if not (table / "manifest.json").exists():
            run_job("prepare", "--benchmark", "consumer-to-shop", "--source", str(options.source), "--out", str(table))
        items = json.loads((table / "manifest.json").read_text())["splits"]["train"]["items"]
        steps = -(-items // options.items)
        sides: dict[str, list[dict]] = {}
        for number in range(options.rounds):
            for memory in map(int, options.feed_memory.split(",")):
                run = Path(folder, f"run-{number}-{memory}")
                sides.setdefault(f"ours, feed memory {memory} MiB", []).append(
                    ours(table, run, options.epochs, options.items, memory, options.precision)
                )
            sides.setdefault("peer", []).append(
                peer(options.source, options.epochs, steps, options.items, options.precision)
            )
            print(f"round {number + 1} of {options.rounds} done", flush=True)
    print(
        f"{NETWORK} at {SIZE} pixels, {options.precision}, {options.epochs} epochs of {steps} steps of {2 * options.items} "
        f"pictures, {options.rounds} rounds, medians (and spread)"
    )
    median = lambda rows, name: statistics.median(row[name] for row in rows)  # noqa: E731
    for title, rows in sides.items():
        training = [row["training_s"] for row in rows]
        print(
            f"{title}: {median(rows, 'seconds'):.1f} s in all, first step after {median(rows, 'first_step_s'):.1f} s, "
            f"training {median(rows, 'training_s'):.1f} s ({min(training):.1f} to {max(training):.1f}), of which between "
            f"two epochs {median(rows, 'between_s'):.2f} s, after it {median(rows, 'tail_s'):.1f} s"
        )
        print("   CPU s: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in rows[-1]["cpu"]))
        if title != "peer":
            for what, name in (("after start-up", "training_s"), ("from the command on", "seconds")):
                ratios = [p[name] / o[name] for p, o in zip(sides["peer"], rows, strict=True)]
                print(f"   {what}: {spread(ratios)} of the peer's speed")


if __name__ == "__main__":
    main()

"""Triplet losses against pytorch-metric-learning: time of forward and backward, and peak memory.

    python tests/benchmarks/losses.py [--batches 128 512 1024 4096] [--views 4 32] [--seconds 6] [--threads 1]

Ours is the whole module as training calls it, statistics included. Each case runs in processes of its own (time, with
ours and theirs taking turns; memory, one side alone), so nothing one leaves behind counts for another. Memory is the
peak resident size beyond that of the process before the run. The peer lists its triplets from a B x B x B cube, so it
is skipped where cube and list would need more than MOST_BYTES. One thread and its CPU time by default, which other load
on the machine hardly changes; with more threads it is wall-clock time.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch

MOST_BYTES = 9e9
DIMENSION = 128
MARGIN = 0.2
CASES = ("all", "semi-hard")


def peer_bytes(batch: int, views: int) -> float:
    """Cube of bytes, and per triplet three indices, their stacked copy, two distances, loss and mask."""
    return batch**3 + batch * (views - 1) * (batch - views) * (2 * 24 + 20)


def make(side: str, mining: str, batch: int, views: int):
    """A function that runs forward and backward and returns the loss and the gradient."""
    generator = torch.Generator().manual_seed(0)
    # Items around centres, so that neither every triplet is active nor none.
    centres = torch.randn(batch // views, DIMENSION, generator=generator).repeat_interleave(views, 0)
    z = torch.nn.functional.normalize(centres + 1.5 * torch.randn(batch, DIMENSION, generator=generator))
    z.requires_grad_()
    labels = torch.arange(batch // views).repeat_interleave(views)
    domains = torch.arange(batch) % 2
    if side == "ours":
        from fashion.losses import LossSettings, build_loss

        settings = LossSettings(name="triplet", mining=mining, margin=MARGIN, domains="any")
        module = build_loss(settings, dimension=DIMENSION, classes=batch // views)
        loss = lambda: module(z, labels, domains).loss  # noqa: E731
    else:
        from pytorch_metric_learning import distances, losses, miners

        distance = distances.LpDistance(normalize_embeddings=False, p=2, power=2)
        peer = losses.TripletMarginLoss(MARGIN, distance=distance)
        miner = miners.TripletMarginMiner(MARGIN, "semihard", distance=distance) if mining == "semi-hard" else None
        loss = lambda: peer(z, labels, miner(z, labels) if miner else None)  # noqa: E731

    def run():
        z.grad = None
        value = loss()
        value.backward()
        return value.detach(), z.grad

    return run


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def memory(side: str, mining: str, batch: int, views: int) -> float:
    """Peak bytes beyond the process that has run the same on a tiny batch."""
    make(side, mining, 4 * views, views)()
    run, before = make(side, mining, batch, views), peak_bytes()
    run()
    return peak_bytes() - before


def times(mining: str, batch: int, views: int, seconds: float, peer: bool) -> dict:
    """Median seconds of each side, taking turns, and how far loss and gradient are apart (relative to the largest)."""
    sides = {side: make(side, mining, batch, views) for side in (("ours", "theirs") if peer else ("ours",))}
    results = {side: run() for side, run in sides.items()}
    taken = {side: [] for side in sides}
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = time.perf_counter()
    while time.perf_counter() - start < seconds or len(taken["ours"]) < 3:
        for side, run in sides.items():
            began = clock()
            run()
            taken[side].append(clock() - began)
    found = {side: statistics.median(values) for side, values in taken.items()}
    if peer:
        (loss, gradient), (their_loss, their_gradient) = results["ours"], results["theirs"]
        found["difference"] = max(
            ((loss - their_loss).abs() / their_loss.abs()).item(),
            ((gradient - their_gradient).abs().max() / their_gradient.abs().max()).item(),
        )
    return found


def in_process(*call):
    """The result of a function of this file, run in a fresh process."""
    command = [sys.executable, __file__, "--threads", str(torch.get_num_threads()), "--call", json.dumps(call)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{call}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[128, 512, 1024, 4096])
    parser.add_argument("--views", type=int, nargs="+", default=[4, 32])
    parser.add_argument("--seconds", type=float, default=6.0, help="per case, at least three turns")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--call", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.call:
        name, *rest = json.loads(arguments.call)
        print(json.dumps({"times": times, "memory": memory}[name](*rest)))
        return
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, D = {DIMENSION}, margin {MARGIN}, float32")
    print("| mining | B | K | ours ms | theirs ms | ratio | ours MB | theirs MB | largest relative difference |")
    print("|---|---|---|---|---|---|---|---|---|")
    for mining in CASES:
        for batch in arguments.batches:
            for views in arguments.views:
                peer = peer_bytes(batch, views) <= MOST_BYTES
                t = in_process("times", mining, batch, views, arguments.seconds, peer)
                row = [mining, batch, views, f"{t['ours'] * 1e3:.1f}"]
                size = f"{in_process('memory', 'ours', mining, batch, views) / 1e6:.0f}"
                if peer:
                    theirs = f"{in_process('memory', 'theirs', mining, batch, views) / 1e6:.0f}"
                    row += [f"{t['theirs'] * 1e3:.0f}", f"{t['theirs'] / t['ours']:.1f}x", size, theirs]
                    row += [f"{t['difference']:.1e}"]
                else:
                    needs = f"skipped: needs {peer_bytes(batch, views) / 1e9:.0f} GB"
                    row += [needs, "", size, "", ""]
                print("| " + " | ".join(map(str, row)) + " |", flush=True)


if __name__ == "__main__":
    main()

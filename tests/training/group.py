"""Several training workers without Ray: processes of this machine that meet as one group."""

import os
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def in_group(workers: int, folder: Path, work: Callable, *arguments) -> dict:
    """`work(worker, workers, results, *arguments)` in each; returns what they put into `results`. They meet at a file in
    `folder`, so no port is guessed."""
    with mp.Manager() as manager:
        results = manager.dict()
        mp.spawn(_run, (workers, f"file://{folder}/meeting", work, results, arguments), nprocs=workers)
        return dict(results)


def _run(worker: int, workers: int, meeting: str, work: Callable, results, arguments: tuple) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=meeting, rank=worker, world_size=workers)
    work(worker, workers, results, *arguments)
    dist.destroy_process_group()
    # Threads of gloo outlive the group, and in one exit of twenty C++ aborts the process over one of them.
    os._exit(0)

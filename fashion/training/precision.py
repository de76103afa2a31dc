"""What the network computes in: float32, or bf16 by autocast where that is quicker."""

import time

import torch

from fashion.training.distributed import bare, gather
from fashion.training.step import Batch, StepContext, look, prepare

FLOAT32, BF16, AUTO = "float32", "bf16", "auto"
PICTURES = 16  # of a trial
ROUNDS, ROUNDS_S = 3, 0.5  # at least so many, and so long
GAIN = 0.9  # bf16 is taken where it needs less than this share of float32's time


def settled(wanted: str, device: torch.device) -> str | None:
    """float32 or bf16; None where only a trial can tell."""
    if wanted != AUTO:
        return wanted
    if device.type == "cuda":
        return BF16 if torch.cuda.is_bf16_supported(including_emulation=False) else FLOAT32
    return None if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else FLOAT32


def quicker(context: StepContext, batch: Batch) -> str:
    """float32 or bf16, by forward and backward passes over the batch's first pictures; the same on every worker. Leaves
    the network, its gradients and the random state as they were."""
    network = bare(context.network)
    shown = prepare(context, batch, 0, 0)
    pictures = slice(min(PICTURES, context.chunk or PICTURES))
    images, domains = shown.images[pictures], shown.domains[pictures]
    parameters = [p for p in network.parameters() if p.requires_grad]
    buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]

    def seconds(bf16: bool) -> float:
        began = time.perf_counter()
        outputs = look(network, images, domains, autocast=bf16, tasks=context.tasks is not None)
        total = sum((x.sum() for x in outputs.values()), start=torch.zeros((), device=images.device))
        torch.autograd.grad(total, parameters, allow_unused=True)
        return time.perf_counter() - began

    with torch.random.fork_rng(devices=[]):
        for bf16 in (False, True):
            seconds(bf16)
        began = time.perf_counter()
        shares: list[float] = []
        while len(shares) < ROUNDS or time.perf_counter() - began < ROUNDS_S:
            # By turns, so that other work on the machine falls on both.
            float32 = seconds(False)
            shares.append(seconds(True) / float32)
    for buffer, before in buffers:
        buffer.copy_(before)
    return BF16 if float(gather(torch.tensor(shares).median()).mean()) < GAIN else FLOAT32

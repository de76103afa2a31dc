"""The workers of one training run as a group: the only file that speaks to `torch.distributed`.

Every worker computes the loss of the whole global batch and differentiates it with respect to its own embeddings.
DDP then averages the workers' parameter gradients, so each worker's share is scaled by the number of workers: the sum
over workers is exactly the gradient of one worker on the whole batch, for any loss, with no gradient sent back.
"""

from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

ONE_BUCKET = 1 << 20  # MB


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


class _Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, factor: float) -> torch.Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient * ctx.factor, None


def gather_with_gradient(z: torch.Tensor) -> torch.Tensor:
    """(n, ...) on each of W workers -> (W, n, ...); this worker's part carries the gradient, times W (see above)."""
    if world() == 1:
        return z[None]
    parts = list(gather(z.detach()))
    parts[rank()] = _Scale.apply(z, float(world()))
    return torch.stack(parts)


def gather(x: torch.Tensor) -> torch.Tensor:
    """(n, ...) on each of W workers, the same shape on all -> (W, n, ...), without gradient."""
    if world() == 1:
        return x[None]
    parts = [torch.empty_like(x) for _ in range(world())]
    dist.all_gather(parts, x.contiguous())
    return torch.stack(parts)


def gather_rows(x: torch.Tensor) -> torch.Tensor:
    """(n_r, ...) with n_r of its own on each worker -> (sum n_r, ...), in the order of the workers."""
    if world() == 1:
        return x
    counts = gather(torch.tensor([len(x)], device=x.device)).flatten().tolist()
    padded = x.new_zeros((max(counts), *x.shape[1:]))
    padded[: len(x)] = x
    return torch.cat([part[:count] for part, count in zip(gather(padded), counts, strict=True)])


def average_gradients(module: torch.nn.Module) -> None:
    """Make the gradients of a replicated module (a loss with parameters) the mean over the workers.

    They are equal already, but for rounding; averaging keeps the replicas from drifting apart.
    """
    if world() > 1:
        for parameter in module.parameters():
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)
                parameter.grad /= world()


def replicate(network: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    """The network on `device`, its gradients averaged over the workers where there are several."""
    network = network.to(device)
    if world() == 1:
        return network
    if device.type == "cuda":
        return DistributedDataParallel(network, device_ids=[device.index])
    if world() == 2:  # the sum of two numbers has one order
        return DistributedDataParallel(network)
    replica = DistributedDataParallel(network, bucket_cap_mb=ONE_BUCKET)
    replica.register_comm_hook([p for p in network.parameters() if p.requires_grad], _in_one_order)
    return replica


def _in_one_order(parameters: list[torch.nn.Parameter], bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
    """Averages all gradients, laid out as the network has them. In which order gloo adds what more than two workers have
    depends on where it lies, and DDP lays it out anew after a first step, so also after each resume."""
    own = {id(p): gradient for p, gradient in zip(bucket.parameters(), bucket.gradients(), strict=True)}
    gradients = [own[id(p)] for p in parameters]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    for gradient, total in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        torch.div(total.view(gradient.shape), world(), out=gradient)
    averaged: torch.futures.Future[torch.Tensor] = torch.futures.Future()
    averaged.set_result(bucket.buffer())
    return averaged


def unsynchronised(network: torch.nn.Module) -> AbstractContextManager[None]:
    """A block in which a replica's gradients are not averaged."""
    replica = getattr(network, "_orig_mod", network)
    assert isinstance(replica, DistributedDataParallel)
    return replica.no_sync()


def share_buffers(network: torch.nn.Module) -> None:
    """Make the batch statistics those of the first worker, which a checkpoint keeps."""
    if world() > 1:
        for buffer in network.buffers():
            dist.broadcast(buffer, 0)


def bare(network: torch.nn.Module) -> torch.nn.Module:
    """The network inside its replica, compiled or not."""
    network = getattr(network, "_orig_mod", network)
    return network.module if isinstance(network, DistributedDataParallel) else network

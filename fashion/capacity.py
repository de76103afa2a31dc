"""What the running Ray has to give: its machines, and those that it may still start.

A cluster that grows as jobs ask has few machines, or none, when a job begins, and Ray does not tell a job how far it can
grow. So the cluster's own file says it, in the environment of its head: FASHION_MACHINES=32x16,8x16+1 is 32 machines with
16 CPUs and 8 with 16 CPUs and a GPU.
"""

import os
import re

from fashion.errors import InputError

DECLARED = "FASHION_MACHINES"
OWN = "FASHION_OWN_RAY"  # set in the environment of a job that started its own Ray, and so in all of its processes
_KIND = re.compile(r"(\d+)x(\d+)(?:\+(\d+))?")

Machines = list[tuple[float, float]]  # CPUs and GPUs of each


def machines() -> Machines:
    """Those of the running Ray; or those declared, where they have more CPUs and GPUs. Raises InputError."""
    import ray

    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return larger([(node.get("CPU", 0.0), node.get("GPU", 0.0)) for node in alive], os.environ.get(DECLARED))


def larger(alive: Machines, declared: str | None) -> Machines:
    """The declared machines where they hold no less than the ones that are alive."""
    if not declared:
        return alive
    may_be = parse(declared)
    more = all(have <= can for have, can in zip(total(alive), total(may_be), strict=True))
    return may_be if more else alive


def total(cluster: Machines) -> tuple[float, float]:
    """CPUs and GPUs of all."""
    return sum(cpus for cpus, _ in cluster), sum(gpus for _, gpus in cluster)


def owned() -> bool:
    """Whether this process belongs to a Ray that the job started for itself."""
    return OWN in os.environ


def cores(cluster: Machines) -> int:
    """Of the smallest of the machines that compute: those with GPUs where there are any. A Ray that the job has started for
    itself counts more CPUs than there are; then of this machine."""
    if owned():
        return os.cpu_count() or 1
    with_gpus = any(gpus for _, gpus in cluster)
    return int(
        min((cpus for cpus, gpus in cluster if cpus >= 1 and (gpus or not with_gpus)), default=os.cpu_count() or 1)
    )


def computing(cluster: Machines) -> int:
    """How many machines have CPUs, at least one."""
    return max(1, sum(cpus > 0 for cpus, _ in cluster))


def parse(declared: str) -> Machines:
    """COUNTxCPUS or COUNTxCPUS+GPUS, with commas between them. Raises InputError."""
    parsed = []
    for part in declared.split(","):
        kind = _KIND.fullmatch(part.strip())
        if not kind:
            raise InputError(
                f"{DECLARED}: found {part.strip()!r}, expected COUNTxCPUS or COUNTxCPUS+GPUS such as 8x16+1, with "
                "commas between kinds of machines"
            )
        count, cpus, gpus = (int(number or 0) for number in kind.groups())
        parsed += [(float(cpus), float(gpus))] * count
    return parsed

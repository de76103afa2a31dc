"""How many machines, hours and dollars a catalogue takes, job by job, and what runs out first.

python cluster/sizing.py [--rates cluster/rates.yaml] [--images 1e6 1e8 1e10]

The formulas are those of cluster/SIZING.md. Nothing here starts anything.
"""

import argparse
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

RATES = Path(__file__).parent / "rates.yaml"
SIZES = (1e6, 1e8, 1e10)
JOBS = ("prepare", "train", "embed", "search")
HEADERS = ("job", "images", "CPU machines", "GPU machines", "hours", "USD", "first bottleneck")
MINED = ("hard batches in a training on", "hours more", "share", "most of it")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One worker of a cluster."""

    name: str
    cores: int  # physical ones
    gpus: int
    network_GB_s: float
    memory_GB: float
    price: float  # USD an hour


@dataclass(frozen=True, kw_only=True)
class Rates:
    """rates.yaml, with the origin of each figure left out."""

    cpu: Machine
    gpu: Machine
    most: dict[str, int]
    storage: dict[str, float]
    images: dict[str, float]
    core: dict[str, float]
    on_gpu: dict[str, float]
    training: dict[str, float]
    mining: dict[str, float]
    queries: float
    deadline_h: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Need:
    """What a job takes."""

    job: str
    images: float
    cpu_machines: int
    gpu_machines: int
    hours: float
    cost: float  # USD of the machines; storage and requests are not in it
    bottleneck: str  # what limits the rate
    late: bool  # not done by the deadline with what there is


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What finding the neighbours of hard batches adds to a training of so many images, on its machines."""

    images: float
    hours: float
    share: float  # of the training's hours
    most: str  # what takes most of it


def read_rates(file: Path) -> tuple[Rates, list[str]]:
    """The rates, and the names of those that are assumed."""
    rates = yaml.safe_load(file.read_text())
    assumed: list[str] = []
    machines: dict[str, Any] = {kind: Machine(**machine) for kind, machine in rates["machines"].items()}
    plain = {
        name: values(rates[name], name, assumed)
        for name in ("storage", "images", "core", "training", "mining", "queries")
    }
    rates = Rates(
        **machines,
        **plain,
        on_gpu=values(rates["gpu"], "gpu", assumed),
        most=rates["most"],
        deadline_h=rates["deadline_h"],
    )
    return rates, assumed


def values(part: Any, name: str, assumed: list[str]) -> Any:
    """The part of the file without the origin of each figure; the names of those that nobody measured join `assumed`."""
    if isinstance(part, dict) and set(part) == {"value", "from"}:
        if part["from"] == "assumed":
            assumed.append(name)
        return part["value"]
    return {key: values(value, f"{name}.{key}" if name else key, assumed) for key, value in part.items()}


def slowest(limits: dict[str, float]) -> tuple[float, str]:
    """The lowest of the rates, and its name."""
    name = min(limits, key=limits.__getitem__)
    return limits[name], name


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Images a second of a job whose machines do not wait for each other, by resource."""

    machine: Machine
    each: dict[str, float]  # of one machine
    shared: dict[str, float]  # of all machines together


def spread(job: str, work: float, limits: Limits, rates: Rates) -> Need:
    """Need of `work` images of a job whose machines do not wait for each other."""
    machine = limits.machine
    rate, own = slowest(limits.each)
    common, ours = slowest(limits.shared)
    kind = "gpu" if machine.gpus else "cpu"
    wanted = math.ceil(work / (rate * 3600 * rates.deadline_h[job]))
    useful = max(1, math.ceil(common / rate))  # more machines than that wait for what they share
    machines = min(wanted, useful, rates.most[kind])
    total = min(machines * rate, common)
    limit = ours if total < machines * rate else own
    if machines == rates.most[kind] < min(wanted, useful):
        limit = f"{own}: {machine.name}s to be had"
    return finish(job, work, total, limit, rates, **{kind: machines})


def finish(job: str, work: float, rate: float, limit: str, rates: Rates, *, cpu: int = 0, gpu: int = 0) -> Need:
    hours = work / rate / 3600
    cost = hours * (cpu * rates.cpu.price + gpu * rates.gpu.price)
    return Need(
        job=job, images=work, cpu_machines=cpu, gpu_machines=gpu, hours=hours, cost=cost, bottleneck=limit,
        late=hours > rates.deadline_h[job] * 1.001,
    )  # fmt: skip


def prepare_limits(r: Rates) -> Limits:
    """Each picture is a small object: a HEAD and a GET."""
    each = {
        "CPU": r.cpu.cores * r.core["pack"],
        "network": r.cpu.network_GB_s * 1e3 / (r.images["source_MB"] + r.images["packed_MB"]),
    }
    shared = {
        "objects a second": r.storage["objects_s_prefix"] * r.storage["prefixes"] / 2,
        "storage": r.storage["GB_s"] * 1e3 / (r.images["source_MB"] + r.images["packed_MB"]),
    }
    return Limits(machine=r.cpu, each=each, shared=shared)


def step_s(machines: int, batch: float, r: Rates) -> float:
    """Seconds of a training step on `batch` images over all workers: its part of them, and the all-reduce of 4-byte
    gradients, of which each machine sends and receives 2 (W - 1) / W times their size."""
    exchange = 8e-3 * r.training["parameters_M"] * (machines - 1) / machines / r.gpu.network_GB_s
    return batch / (machines * r.gpu.gpus) / r.on_gpu["train"] + exchange


def train(n: float, r: Rates) -> Need:
    """GPUs in step, one batch after the other; CPU machines decode what the GPUs' own cores cannot."""
    t, machine = r.training, r.gpu
    work = n * t["epochs"]
    most = min(r.most["gpu"], int(t["global_batch"] // t["least_batch"]) // machine.gpus)

    def rate(machines: int) -> float:
        return t["global_batch"] / step_s(machines, t["global_batch"], r)

    wanted = next((m for m in range(1, most + 1) if rate(m) * 3600 * r.deadline_h["train"] >= work), most)
    gpus = rate(wanted)
    decoded = {"own": wanted * machine.cores * r.core["decode"], "each": r.cpu.cores * r.core["decode"]}
    helpers = max(0, math.ceil((gpus - decoded["own"]) / decoded["each"]))
    cpu = min(helpers, r.most["cpu"])
    full = wanted * machine.gpus * r.on_gpu["train"]
    limits = {
        "GPU": gpus if gpus > 0.8 * full else math.inf,
        "exchange of gradients": gpus,
        "CPU that decodes": decoded["own"] + cpu * decoded["each"],
        "storage": r.storage["GB_s"] * 1e3 / r.images["packed_MB"],
    }
    total, limit = slowest(limits)
    if wanted == most and total * 3600 * r.deadline_h["train"] < work and limit == "GPU":
        limit = f"GPU: {machine.name}s to be had" if most == r.most["gpu"] else "size of the global batch"
    return finish("train", work, total, limit, r, cpu=cpu, gpu=wanted)


def finding(n: float, r: Rates) -> Finding:
    """Every `every` epochs the workers that train embed two photos of every item, and compare each item with all others."""
    m, trained = r.mining, train(n, r)
    gpus, decoding = trained.gpu_machines * r.gpu.gpus, trained.gpu_machines * r.gpu.cores * r.core["decode"]
    items = n / m["images"]
    rate, limit = slowest({"embedding: GPU": gpus * r.on_gpu["embed"], "embedding: CPU that decodes": decoding})
    times = r.training["epochs"] // m["every"]
    seconds = {limit: 2 * items / rate, "comparing": items**2 / (gpus * r.on_gpu["item_pairs_M"] * 1e6)}
    hours = times * sum(seconds.values()) / 3600
    return Finding(images=n, hours=hours, share=hours / trained.hours, most=max(seconds, key=seconds.__getitem__))


def embed_limits(r: Rates) -> Limits:
    each = {
        "GPU": r.gpu.gpus * r.on_gpu["embed"],
        "CPU that decodes": r.gpu.cores * r.core["decode"],
        "network": r.gpu.network_GB_s * 1e3 / r.images["packed_MB"],
    }
    shared = {
        "objects a second": r.storage["objects_s_prefix"] * r.storage["prefixes"] * r.images["shard"],
        "storage": r.storage["GB_s"] * 1e3 / r.images["packed_MB"],
    }
    return Limits(machine=r.gpu, each=each, shared=shared)


def search_limits(r: Rates) -> Limits:
    """Every query against every vector, exactly; each gallery shard is read once."""
    vector_MB = 4e-6 * r.images["dimension"]
    each = {
        "CPU": r.cpu.cores * r.core["scores_M"] * 1e6 / r.queries,
        "network": r.cpu.network_GB_s * 1e3 / vector_MB,
    }
    shared = {"storage": r.storage["GB_s"] * 1e3 / vector_MB}
    return Limits(machine=r.cpu, each=each, shared=shared)


LIMITS = {"prepare": prepare_limits, "embed": embed_limits, "search": search_limits}


def size(n: float, rates: Rates) -> list[Need]:
    """What each job takes for a catalogue of `n` images."""
    return [train(n, rates) if name == "train" else spread(name, n, LIMITS[name](rates), rates) for name in JOBS]


def table(needs: list[tuple[float, Need]]) -> str:
    """Markdown, a row a job and size."""
    return markdown(
        HEADERS,
        (
            (
                need.job, f"{n / 1e6:,.0f} M", f"{need.cpu_machines:,}", f"{need.gpu_machines:,}",
                _hours(need.hours) + (" (late)" if need.late else ""), f"{need.cost:,.0f}", need.bottleneck,
            )
            for n, need in needs
        ),
    )  # fmt: skip


def mined_table(found: list[Finding]) -> str:
    """Markdown, a row a size."""
    rows = ((f"{one.images / 1e6:,.0f} M images", _hours(one.hours), f"{one.share:,.1%}", one.most) for one in found)
    return markdown(MINED, rows)


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _hours(hours: float) -> str:
    return f"{hours:,.1f}" if hours < 1000 else f"{hours:,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", type=Path, default=RATES, help="YAML of rates")
    parser.add_argument("--images", type=float, nargs="+", default=SIZES, help="sizes of the catalogue")
    given = parser.parse_args()
    rates, assumed = read_rates(given.rates)
    print(table([(n, need) for n in given.images for need in size(n, rates)]))
    print(f"\n{mined_table([finding(n, rates) for n in given.images])}")
    if assumed:
        print(f"\nNot measured, but assumed: {', '.join(assumed)}.")


if __name__ == "__main__":
    main()

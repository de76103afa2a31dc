"""Whether a second look pays: the first k of a search put in a new order by a small model that is shown both pictures.

    python tests/benchmarks/second_opinion.py --table FOLDER --runs RUN [RUN ...] [--models matching ...] [--k 20]

The table is one that jobs/prepare.py made; the runs, of jobs/train.py, are one recipe's, a seed each. Their networks stay as
they are and give of each picture its embedding, the head's embedding of each place of the last map, and the map before, of
twice the resolution. The models (pair_models.py) learn on the first stage's lists of train's queries, a match against what
ranks high with it; the pictures are plain in one copy and varied as in training in the others, for the network knows them.

The new score is the cosine plus a share of the model's. The share is chosen by mAP on the val split, its gallery with
train's added; then test is ranked, exactly, with and without. Printed for each model: the test's recall of each run, the
gain in recall@1 with a 95 % interval (items drawn, runs averaged), a query's cost on one core, and what is kept a picture.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from fashion.data.table import ItemTable
from fashion.networks.model import EmbeddingNetwork
from fashion.pipelines.networks import best_network, embedder_of
from fashion.retrieval.gate.statistics import bootstrap, interval
from fashion.retrieval.metrics import Measures, recall_at
from fashion.retrieval.settings import EmbedSettings
from fashion.storage import Store
from tests.benchmarks.first_stage import Lists, Pictures, lists, look
from tests.benchmarks.pair_models import Attention, Matching, PairModel, SamePlace

BATCH, NEGATIVES, RATE = 16, 7, 1e-3
VAL, TEST = 0, 1
LISTED = 100  # of a training query's list
SHARES = (0.0, 0.003, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 1.0, 100.0)
MODELS: dict[str, tuple[type[PairModel], bool]] = {  # and whether it learns
    "same place, nothing learnt": (SamePlace, False),
    "matching, nothing learnt": (Matching, False),
    "matching": (Matching, True),
    "attention": (Attention, True),
}


def fit(design: type[PairModel], pictures: Pictures, known: list[Lists], k: int, steps: int, seed: int) -> PairModel:
    """A model that tells a match from what is not among the first k. Without steps, as it begins."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = design(pictures.z_VND.shape[2], [x.shape[2:] for x in pictures.maps])
        if not steps:
            return model.eval()
        optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
        for step in range(steps):
            of = known[step % len(known)]
            usable = of.match.any(1).nonzero()[:, 0]
            some = usable[torch.randperm(len(usable))[:BATCH]]
            match, order = of.match[some], of.order[some]
            chance = torch.rand(match.shape)
            near = torch.arange(match.shape[1]) < k + match.sum(1, keepdim=True)
            picked = [(chance * match).topk(1).indices, (chance * (near & ~match)).topk(min(NEGATIVES, k)).indices]
            others = order.gather(1, torch.cat(picked, 1))
            scores = model(pictures.kept(model, of.copy, of.queries[some]), pictures.kept(model, of.copy, others))
            optimizer.zero_grad()
            F.cross_entropy(scores, torch.zeros(len(some), dtype=torch.int64)).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def opinions(model: PairModel, pictures: Pictures, of: Lists, k: int) -> torch.Tensor:
    """(Q, k) of the first k."""
    parts = zip(of.queries.split(32), of.order[:, :k].split(32), strict=True)
    with torch.inference_mode():
        return torch.cat([model(pictures.kept(model, 0, q), pictures.kept(model, 0, others)) for q, others in parts])


def cost(model: PairModel, pictures: Pictures, of: Lists, k: int) -> tuple[float, float]:
    """Milliseconds of a core a query, from what is kept in float16 of it and of k others, and KB a picture."""
    with torch.inference_mode():
        kept = [x.half() for x in pictures.kept(model, 0, of.order[0, :k])]
        times = []
        for _ in range(50):
            began = time.process_time()
            model([x[:1].float() for x in kept], [x[None].float() for x in kept])
            times.append(time.process_time() - began)
    return 1000 * float(np.median(times)), sum(x[0].nbytes for x in kept) / 1000


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A run's lists, and what each model says of them."""

    items: np.ndarray  # (Q,) of the test's queries
    lists: tuple[Lists, Lists]  # val and test
    opinions: dict[str, list[torch.Tensor]]  # on both
    costs: dict[str, tuple[float, ...]]


def judge(run: str, table: ItemTable, options: argparse.Namespace) -> Judged:
    checkpoint = best_network(Store(run))
    network = checkpoint.network()[0].eval()
    if not isinstance(network, EmbeddingNetwork) or len(network.branches) > 1:
        sys.exit(f"{run}: a FashionNet, or a branch for each domain; this script takes plain shared networks")
    pictures = look(network, embedder_of(checkpoint, EmbedSettings()), table, options.copies, options.seed)
    known = [lists(pictures, "train", copy=copy, listed=LISTED) for copy in range(options.copies)]
    val, test = lists(pictures, "val", "train"), lists(pictures, "test")
    said, costs = {}, {}
    for name in options.models:
        design, learns = MODELS[name]
        began = time.process_time()
        model = fit(design, pictures, known, options.k, options.steps if learns else 0, options.seed)
        seconds = time.process_time() - began
        said[name] = [opinions(model, pictures, of, options.k) for of in (val, test)]
        costs[name] = (*cost(model, pictures, test, options.k), seconds)
        print(f"{run}: {name} done", flush=True)
    return Judged(items=pictures.items[test.queries.numpy()], lists=(val, test), opinions=said, costs=costs)


def report(runs: list[Judged], options: argparse.Namespace) -> None:
    plain = [[run.lists[n].measured() for run in runs] for n in (VAL, TEST)]
    print(f"\nfirst stage: {_line(*plain)}")
    for name in options.models:
        after = {
            share: [[run.lists[n].measured(run.opinions[name][n], share) for run in runs] for n in (VAL, TEST)]
            for share in SHARES
        }
        share = max(SHARES, key=lambda share: _mean_ap(after[share][VAL]))  # of equal ones the smallest
        pairs = zip(after[share][TEST], plain[TEST], strict=True)
        gain_Q = np.mean([(a.first == 1) * 1.0 - (b.first == 1) for a, b in pairs], 0)
        low, high = interval(bootstrap(gain_Q[:, None], runs[0].items, draws=10_000, seed=options.seed)[:, 0])
        ms, kb, seconds = np.median([run.costs[name] for run in runs], 0)
        print(
            f"{name}, share {share:g}: {_line(*after[share])}; gain in recall@1 {100 * gain_Q.mean():+.1f} "
            f"({100 * low:+.1f} to {100 * high:+.1f}); {ms:.1f} ms a query, {kb:.1f} KB a picture, "
            f"{seconds:.0f} s of training"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", required=True)
    parser.add_argument("--runs", nargs="+", required=True)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--copies", type=int, default=2, help="of each training picture, the plain one with them")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = ItemTable(Store(options.table))
    report([judge(run, table, options) for run in options.runs], options)


def _mean_ap(runs: list[Measures]) -> float:
    return float(np.mean([one.average_precision.mean() for one in runs]))


def _line(val: list[Measures], test: list[Measures]) -> str:
    recalls = [recall_at(one.first, (1, 5)) for one in test]
    each = ", ".join(f"{100 * recall[1]:.1f}" for recall in recalls)
    return (
        f"val mAP {100 * _mean_ap(val):.1f}, test recall@1 {100 * np.mean([r[1] for r in recalls]):.1f} ({each}), "
        f"recall@5 {100 * np.mean([r[5] for r in recalls]):.1f}, mAP {100 * _mean_ap(test):.1f}"
    )


if __name__ == "__main__":
    main()

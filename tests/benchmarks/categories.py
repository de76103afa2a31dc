"""Category of a photo: a FashionNet trained by the jobs, beside torchvision's plain ResNet classifier of the same budget.

python tests/benchmarks/categories.py --source DEEPFASHION_FOLDER [--epochs 40] [--seeds 3]

The folder is the category-and-attribute benchmark as published. Both sides have the same backbone from random weights, the
same size of picture, the same optimiser and schedule, and see as many training pictures in as many steps. Ours is
jobs/prepare.py, train.py (embedding, category and attributes at once; dense layers of 512) and evaluate.py as a user runs
them, its seconds with Ray's start; theirs reads the same files by itself, augments with torchvision's transforms and learns
the category alone. Each network has one thread.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image
from torch import nn
from torchvision import models
from torchvision.transforms import v2

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.commands import run_job, train_and_evaluate

ITEMS, VIEWS = 32, 2
KS = (1, 3, 5)


def ours(wanted: argparse.Namespace, seed: int, folder: Path) -> tuple[dict[int, float], float]:
    """Accuracy by k on the test pictures, and seconds of training."""
    network = ["--network.name", wanted.network, "--network.design", "fashionnet", "--network.hidden", "512"]
    budget = ["--network.size", str(wanted.size), "--epochs", str(wanted.epochs), "--batch.items", str(ITEMS)]
    budget += ["--batch.views", str(VIEWS), "--seed", str(seed), "--resources.threads", "1"]
    budget += ["--validation.every", str(wanted.epochs)]
    measures, seconds = train_and_evaluate(str(folder / "table"), folder / f"run-{seed}", *network, *budget)
    return {k: measures["labels"]["category"]["top"][str(k)] for k in KS}, seconds


def theirs(wanted: argparse.Namespace, seed: int) -> tuple[dict[int, float], float]:
    """As `ours`, of the plain classifier."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    side = wanted.size
    (x_N, y_N), (test_N, truth_N) = (pictures(Path(wanted.source), part, side) for part in ("train", "test"))
    classes = int(torch.cat([y_N, truth_N]).max()) + 1
    network = models.get_model(wanted.network, num_classes=classes)
    vary = v2.Compose([
        v2.RandomResizedCrop(side, scale=(0.36, 1.0), ratio=(0.87, 1.15), antialias=True),
        v2.RandomHorizontalFlip(), v2.RandomRotation(15), v2.ColorJitter(0.3, 0.3, 0.3),
        v2.ToDtype(torch.float32, scale=True), v2.RandomErasing(0.25, scale=(0.02, 0.15)),
    ])  # fmt: skip
    normalise = v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    still = v2.ToDtype(torch.float32, scale=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-4)
    each = -(-len(x_N) // ITEMS)
    total = wanted.epochs * each
    schedule = torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [
            torch.optim.lr_scheduler.LinearLR(optimizer, 1 / each, 1.0, each),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, total - each)),
        ],
        [each],
    )
    began = time.perf_counter()
    for _ in range(wanted.epochs):
        for picked in torch.cat([torch.randperm(len(x_N)) for _ in range(VIEWS)]).chunk(each):
            batch = normalise(torch.stack([vary(x_N[i]) for i in picked]))
            loss = nn.functional.cross_entropy(network(batch), y_N[picked])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    seconds = time.perf_counter() - began
    network.eval()
    with torch.no_grad():
        order = torch.cat([network(normalise(still(part))) for part in test_N.split(64)]).argsort(1, descending=True)
    return {k: (order[:, :k] == truth_N[:, None]).any(1).double().mean().item() for k in KS}, seconds


def pictures(folder: Path, part: str, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8 (N, 3, side, side) and categories (N,) from 0, of the benchmark's files."""
    anno = next(path for path in (folder / "Anno_coarse", folder / "Anno") if path.is_dir())
    category = dict(rows(anno / "list_category_img.txt"))
    names = [name for name, split in rows(folder / "Eval/list_eval_partition.txt") if split == part]
    root = next(path for path in (folder / "Img", folder) if (path / names[0]).is_file())
    change = v2.Compose([v2.PILToTensor(), v2.Resize((side, side), antialias=True)])
    x_N = torch.stack([change(Image.open(root / name).convert("RGB")) for name in names])
    return x_N, torch.tensor([int(category[name]) - 1 for name in names])


def rows(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()[2:]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", required=True, help="folder of the category-and-attribute benchmark")
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    wanted = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    sides = {f"fashionnet on {wanted.network}": [], f"torchvision {wanted.network}": []}
    with tempfile.TemporaryDirectory() as folder:
        table = str(Path(folder) / "table")
        run_job("prepare", "--benchmark", "category-attribute", "--source", wanted.source, "--out", table)
        for seed in range(wanted.seeds):
            for (title, found), result in zip(
                sides.items(), (ours(wanted, seed, Path(folder)), theirs(wanted, seed)), strict=True
            ):
                found.append(result)
                print(f"seed {seed}  {line(title, [result])}", flush=True)
    print(f"\nmean of {wanted.seeds} seeds, {wanted.epochs} epochs of {VIEWS} views at {wanted.size} pixels")
    for title, found in sides.items():
        print(line(title, found))


def line(title: str, found: list[tuple[dict[int, float], float]]) -> str:
    top = "  ".join(f"top-{k} {100 * statistics.mean(t[k] for t, _ in found):5.1f} %" for k in KS)
    return f"{title:<26} {top}  {statistics.mean(s for _, s in found):5.0f} s"


if __name__ == "__main__":
    main()

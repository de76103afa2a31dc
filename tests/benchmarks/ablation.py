"""What each part of the recipe is worth: runs of jobs/train.py as it comes, and with one part left out or changed.

    python tests/benchmarks/ablation.py --data TABLE [--epochs 7] [--seeds 1 2 3] [--parts "all stages tuned" ...]

The table is one that jobs/prepare.py made. Recall is that of jobs/evaluate.py, on the test split: mean of the seeds, and the
half-width of its 95 % interval by Student's t. Seconds are those of the whole command. Runs stay in --out: one that is there
already is not repeated.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.commands import recall_once

SHOWN = ("1", "5", "20")
RECIPE = "the recipe"
PARTS: dict[str, list[str]] = {
    RECIPE: [],
    "whole pictures instead of boxes": ["--batch.crop", "whole"],
    "all stages tuned": ["--optimizer.freeze_stages", "0"],
    "trained at the 160 pixels that it looks at": ["--batch.size", "160"],
    "half the rate": ["--optimizer.learning_rate", "1e-3"],
    "no margin": ["--loss.margin", "0"],
    "margin 0.1 and T 0.07": ["--loss.margin", "0.1", "--loss.temperature", "0.07"],
    "negatives of both domains": ["--loss.domains", "any"],
    "rotation, tint and erasing": [
        *("--augmentation.rotation", "15", "--augmentation.tint", "0.1", "--augmentation.erase", "0.5"),
    ],
    "averaged weights": ["--optimizer.average", "0.97"],
    "between start and end": ["--interpolate", "true"],
    "low-rank additions": ["--optimizer.lora", "16"],
    "all stages tuned, deep ones slower by 0.7 each": [
        *("--optimizer.freeze_stages", "0", "--optimizer.depth_decay", "0.7"),
    ],
    "only the head for two epochs": ["--optimizer.freeze_epochs", "2"],
    "drop path 0.1": ["--network.drop_path", "0.1"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--all", nargs="*", default=[], metavar="SETTING", help="of all runs, such as network.size=64")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    print("| what | recall@1 | recall@5 | recall@20 | seconds |\n|---|---|---|---|---|", flush=True)
    for part in dict.fromkeys([RECIPE, *options.parts]):
        found = [run(options, part, seed) for seed in options.seeds]
        recalls = np.array([[100 * one["recall"][k] for k in SHOWN] for one in found])
        seconds = np.median([one["seconds"] for one in found])
        first = f"{recalls[:, 0].mean():.1f}{_half_width(recalls[:, 0])}"
        print(
            f"| {part} | {first} | {recalls[:, 1].mean():.1f} | {recalls[:, 2].mean():.1f} | {seconds:.0f} |",
            flush=True,
        )


def run(options: argparse.Namespace, part: str, seed: int) -> dict:
    """Train and evaluate once; recall and seconds."""
    changes = [*(f"--{setting}" for setting in options.all), *PARTS[part], "--epochs", str(options.epochs)]
    folder = options.out / f"{part.replace(' ', '-')}-{seed}"
    return recall_once(options.data, folder, "--seed", str(seed), *changes)


def _half_width(values: np.ndarray) -> str:
    """Of the mean's 95 % interval."""
    if len(values) < 2:
        return ""
    return f" ± {stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5:.1f}"


if __name__ == "__main__":
    main()

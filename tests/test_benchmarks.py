"""Benchmark scripts run, at their smallest sizes: their figures mean nothing here, but that they are printed does."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from fashion.demo.catalogue import write_demo
from fashion.storage import Store
from tests.benchmarks import all as of_readme
from tests.catalogues import jpeg, make_run, make_table, photos
from tests.data.literal_trees import write_tree

ROOT = Path(__file__).resolve().parent.parent
SMALLEST = {
    "ablation.py": [
        *("--data", "TABLE", "--out", "OUT_RUNS", "--epochs", "1", "--seeds", "1", "--parts", "the recipe"),
        *("--all", "network.name=embnet", "network.size=32", "batch.items=16"),
    ],
    "categories.py": ["--source", "CATEGORIES", "--size", "32", "--epochs", "1", "--seeds", "1"],
    "embed.py": ["--images", "700", "--size", "16", "--rounds", "1"],
    "families.py": ["--out", "OUT_FAMILIES", "--items", "80", "--seeds"],
    "feed.py": ["--images", "1", "--side", "150", "--size", "16", "--epochs", "4", "--rounds", "2"],
    "feed_actors.py": ["--seconds", "2", "--most", "2"],
    "losses.py": ["--batches", "32", "--views", "4", "--seconds", "0.01"],
    "metrics.py": ["--queries", "40", "--gallery", "400", "--items", "40", "--rounds", "1", "--turns", "1"],
    "nodes.py": ["--nodes", "1", "1", "--wait", "0.01"],
    "plan_memory.py": ["--items", "20000", "--shard", "10000"],
    "prepare_length.py": ["--rows", "80", "--times", "2", "--plan", "--folder", "OUT_FOLDER"],
    "rates.py": ["--images", "30", "--size", "32", "--side", "16"],
    "peer.py": ["--source", "CATALOGUE", "--peer", "mark", "--steps", "2", "--items", "4"],
    "simulated.py": ["--tasks", "4", "--seconds", "0.05"],
    "search.py": [
        "--queries",
        "30",
        "--gallery",
        "900",
        "--dimension",
        "16",
        "--shards",
        "3",
        "--k",
        "5",
        "--rounds",
        "1",
    ],
    "second_opinion.py": ["--table", "TABLE", "--runs", "RUN", "RUN", "--steps", "2"],
    "which_loss.py": [
        *("--table", "TABLE", "--network", "embnet", "--width", "0.125", "--size", "32", "--epochs", "1"),
        *("--losses", "tuplet", "--out", "OUT"),
    ],
    "whole_run.py": [
        *("--source", "CATALOGUE", "--items", "4", "--epochs", "2", "--rounds", "1", "--feed_memory", "64"),
    ],
}
PRINTED = {
    "ablation.py": [r"\| the recipe \| \d+\.\d \| \d+\.\d \| \d+\.\d \| \d+ \|"],
    "categories.py": [r"fashionnet on resnet18 +top-1 +\d", r"torchvision resnet18 +top-1 +\d"],
    "embed.py": [r"pool / bare \d+\.\d\d"],
    "families.py": [r"80 items in families of 8; hard batches: every=2"],
    "feed.py": [
        r"\d+ pictures an epoch of 150 pixels",
        r"stream / DataLoader, torchvision +\d+\.\d\d",
        "pause between",
    ],
    "feed_actors.py": [rf"{name} reader: \d+ rows, waited \d+% of the time; CPUs: " for name in ("slow", "quick")],
    "losses.py": [r"\| all \| 32 \| 4 \|", r"\| semi-hard \| 32 \| 4 \|"],
    "metrics.py": [r"AccuracyCalculator / ours +\d", r"recall@1 \d\.\d+, precision at 1"],
    "nodes.py": [r"prepare, pictures/s +\d.*x", r"search, gallery parts/s +\d.*x"],
    "plan_memory.py": [r"20,000 items: peak [\d.]+ MB, end [\d.]+ MB, packed"],
    "simulated.py": [r"4 tasks of 0.05 s on 2 nodes: [\d.]+ s, simulated [\d.]+ s, [+-]"],
    "prepare_length.py": [r"160 rows and 1 %: peak MB: all \d"],
    "rates.py": [r"core\.pack: \d", r"core\.scores_M: \d"],
    "peer.py": [r'"peer": "mark".*"recall": \{"1": \d'],
    "search.py": [
        r"shards as Ray tasks: \d",
        r"faiss / ours +\d",
        r"of 150 places hold another id",
        r"peak memory .* \d",
    ],
    "second_opinion.py": [
        r"first stage: val mAP [\d.]+, test recall@1",
        *(
            rf"{model}.*, share .*; gain in recall@1 [+-].* KB a picture"
            for model in ("same place", "matching", "attention")
        ),
    ],
    "which_loss.py": [r"tuplet"],
    "whole_run.py": [r"ours, feed memory 64 MiB: \d", r"CPU s: .*RayTrainWorker", r"after start-up: \d\.\d\d"],
}


def category_files() -> dict[str, str | bytes]:
    """The category-and-attribute benchmark with 48 pictures of plain colours."""
    names = [f"img/Plain/img_{n:08}.jpg" for n in range(1, 49)]
    splits = ("train", "train", "test", "train", "val", "train")
    listed = {
        "Eval/list_eval_partition.txt": [f"{name} {splits[n % 6]}" for n, name in enumerate(names)],
        "Anno_coarse/list_category_cloth.txt": [f"Kind{n} 1" for n in range(6)],
        "Anno_coarse/list_category_img.txt": [f"{name} {n % 4 + 1}" for n, name in enumerate(names)],
        "Anno_coarse/list_attr_cloth.txt": ["plain 1", "bright 2"],
        "Anno_coarse/list_attr_img.txt": [f"{name} 1 {(-1) ** n}" for n, name in enumerate(names)],
        "Anno_coarse/list_bbox.txt": [f"{name} 1 1 30 30" for name in names],
    }
    colours = {name: (60 * (n % 4), 5 * n, 128) for n, name in enumerate(names)}
    texts = {path: "\n".join([str(len(lines)), "header", *lines, ""]) for path, lines in listed.items()}
    return texts | {f"Img/{name}": jpeg(Image.new("RGB", (40, 40), colour)) for name, colour in colours.items()}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """What stands for what a script is given: a catalogue in DeepFashion's files, and its item table."""
    root = tmp_path_factory.mktemp("benchmarks")
    write_demo(root / "catalogue", items=20, workers=1)
    make_table(Store(root / "table"), photos(192, splits=("train", "train", "train", "test", "val", "train")))
    make_run(root / "run")
    write_tree(root / "categories", category_files())
    return {
        "CATALOGUE": root / "catalogue",
        "CATEGORIES": root / "categories",
        "TABLE": root / "table",
        "RUN": root / "run",
        "OUT": root / "runs.jsonl",
        "OUT_FOLDER": root / "lists",
        "OUT_FAMILIES": root / "families",
        "OUT_RUNS": root / "runs",
    }


@pytest.mark.parametrize("script", SMALLEST)
def test_a_benchmark_runs_and_prints_its_figures(script, places):
    run = subprocess.run(
        [sys.executable, ROOT / "tests/benchmarks" / script, *(places.get(part, part) for part in SMALLEST[script])],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
    for line in PRINTED[script]:
        assert re.search(line, run.stdout), run.stdout
    for row in (row for one in of_readme.SCRIPTS if one.name == script.removesuffix(".py") for row in one.rows):
        if "1024" not in row.found and "1,?024" not in row.found:  # that size is not run here
            assert float(of_readme.ratio_of(row, run.stdout).split()[0]) > 0

"""Imports run one way: jobs -> fashion.pipelines -> cluster -> the rest of fashion, which knows nothing of ours outside
itself; and inside it from what is used to what uses."""

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BASE = (
    "addresses",
    "capacity",
    "causes",
    "claim",
    "domain",
    "errors",
    "identity",
    "json_values",
    "processes",
    "provenance",
    "sealed",
    "seeds",
    "setting_ranges",
    "setting_types",
    "storage",
    "text",
    "text_table",
    "unpickling",
    "vocabulary",
)  # modules

# What each package may import of ours.
ALLOWED = {
    "jobs": {"jobs", "cluster", "fashion"},
    "cluster": {"cluster", "fashion"},
    "fashion": {"fashion"},
}
# Pipelines start or join Ray, which only they do.
ALLOWED_TO_PIPELINES = {"fashion", "cluster"}
# The same inside fashion, beside itself and BASE. Data, networks and losses know nothing of each other, and nothing of the
# library knows the demo.
INSIDE = {
    "ray_seam": set(),
    "data": {"ray_seam"},
    "demo": set(),
    "networks": set(),
    "losses": set(),
    "retrieval": {"data", "networks", "ray_seam"},
    "training": {"data", "networks", "losses", "retrieval", "ray_seam"},
    "tuning": {"data", "networks", "losses", "retrieval", "training", "ray_seam"},
    "pipelines": {"data", "demo", "networks", "losses", "retrieval", "training", "tuning"},
}
# Imports against the rule: (file, module) -> why it stays. None today; an entry that is not needed fails too.
EXCEPTIONS: dict[tuple[str, str], str] = {}


def imports(source: str) -> set[str]:
    """The modules that a file imports at any depth; `from a import b` counts as a and as a.b, for b may be a module."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "a relative import"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours() -> dict[str, set[str]]:
    """File -> the modules of this repository that it imports."""
    top = {*ALLOWED, "tests"}
    return {
        file.relative_to(ROOT).as_posix(): {name for name in imports(file.read_text()) if name.split(".")[0] in top}
        for package in ALLOWED
        for file in sorted((ROOT / package).rglob("*.py"))
    }


def offences(files: dict[str, set[str]]) -> set[tuple[str, str]]:
    found = set()
    for file, names in files.items():
        package, *inner = file.split("/")
        for name in names:
            to, *parts = name.split(".")
            pipeline = file.startswith("fashion/pipelines/")
            allowed = ALLOWED_TO_PIPELINES if pipeline else ALLOWED[package]
            if to not in allowed or (package == "cluster" and parts[:1] == ["pipelines"]):
                found.add((file, name))
            elif package == to == "fashion" and parts and len(inner) > 1:
                if parts[0] not in INSIDE[inner[0]] | {inner[0], *BASE}:
                    found.add((file, name))
            elif package == to == "fashion" and parts and inner != ["__init__.py"] and parts[0] not in BASE:
                found.add((file, name))  # a module that all use knows none of the packages
    return found


def test_imports_run_one_way():
    files = ours()
    assert sum(map(len, files.values())) > 500  # there is something to judge
    assert offences(files) == set(EXCEPTIONS)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("fashion/storage.py", "cluster.storage"),
        ("fashion/storage.py", "fashion.data.table"),
        ("fashion/losses/metric_loss.py", "fashion.networks.model"),
        ("fashion/data/table.py", "fashion.losses"),
        ("fashion/training/job.py", "fashion.demo.catalogue"),
        ("fashion/networks/model.py", "fashion.training.settings"),
        ("fashion/retrieval/rank.py", "fashion.training.step"),
        ("fashion/training/loop.py", "fashion.tuning.space"),
        ("cluster/start.py", "jobs.cli"),
        ("cluster/start.py", "fashion.pipelines.train"),
        ("fashion/tuning/sweep.py", "fashion.pipelines.train"),
        ("fashion/tuning/sweep.py", "cluster.start"),
        ("fashion/pipelines/train.py", "jobs.signals"),
        ("jobs/train.py", "tests.catalogues"),
    ],
)
def test_an_import_against_the_direction_is_found(file, name):
    assert offences({file: {name}}) == {(file, name)}


def test_every_package_and_module_has_its_place():
    inside = {path.name for path in (ROOT / "fashion").iterdir() if (path / "__init__.py").exists()}
    assert inside == set(INSIDE)
    modules = {path.stem for path in (ROOT / "fashion").glob("*.py")} - {"__init__"}
    assert modules == set(BASE)


def test_packages_inside_have_no_circle():
    edges = defaultdict(set)
    for file, names in ours().items():
        parts = file.split("/")
        if parts[0] == "fashion" and len(parts) > 2:
            edges[parts[1]] |= {name.split(".")[1] for name in names if name.count(".")} - {parts[1], *BASE}
    left = dict(edges)
    while left:
        free = {package for package, uses in left.items() if not uses & set(left)}
        assert free, f"in a circle: {sorted(left)}"
        left = {package: uses for package, uses in left.items() if package not in free}


# Rooms of fashion/data -> those that they know nothing of; "" is what lies beside the rooms.
APART = {
    "formats": {"prepare"},
    "pictures": {"formats", "prepare"},
    "prepare": set(),
    "": {"formats", "pictures", "prepare"},
}


def test_what_makes_a_table_and_what_reads_it_are_apart():
    rooms = set()
    for file, names in ours().items():
        if file.startswith("fashion/data/"):
            room = file.split("/")[2] if file.count("/") > 2 else ""
            rooms.add(room)
            met = {name.split(".")[2] for name in names if name.startswith("fashion.data.")}
            assert not met & APART[room], file
    assert rooms == set(APART)


def test_training_loads_neither_search_indexes_nor_tables_nor_plots():
    code = (
        "import sys, fashion.training.loop\n"
        "print([name for name in ('faiss', 'matplotlib', 'pandas', 'ray', 'jinja2', 'boto3') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")

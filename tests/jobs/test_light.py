"""Settings are read and checked, and what is about to happen is said, before anything heavy is imported or Ray starts."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fashion.storage import Store
from tests.catalogues import make_run, make_table, photos

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "torchvision", "timm", "ray", "pandas", "faiss", "matplotlib", "boto3", "jinja2")
# A job as from the command line, up to where it would start Ray; prints its lines, each after the heavy modules by then.
CODE = f"""
import sys
from importlib import import_module

class Watched:
    def __init__(self, stream):
        self.stream = stream
    def write(self, text):
        if text.strip():
            held = [name for name in {HEAVY} if name in sys.modules]
            self.stream.write("".join(",".join(held) + "|" + line + chr(10) for line in text.splitlines() if line))
    def flush(self):
        self.stream.flush()
    def isatty(self):
        return False

sys.stdout, sys.stderr = Watched(sys.stdout), Watched(sys.stderr)
import cluster.start

def start(**options):
    sys.exit(99)

cluster.start.ray_cluster = start
job = import_module("jobs." + sys.argv.pop(1))
settings = next(value for name, value in vars(job).items() if name.endswith("Settings") )
job.main(settings, job.job)
"""


def lines(*arguments) -> tuple[int, list[tuple[str, str]]]:
    """Exit status, and each line of the job after the heavy modules that were loaded when it was printed."""
    command = [sys.executable, "-c", CODE, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert "Traceback" not in done.stderr, done.stderr
    said = (done.stdout + done.stderr).splitlines()
    return done.returncode, [tuple(line.split("|", 1)) for line in said]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    root = tmp_path_factory.mktemp("shop")
    make_run(root / "run")
    table = make_table(Store(root / "table"), photos(200, splits=("train", "val", "test")))
    table.store.write_value("manifest.json", replace(table.manifest, domains=["consumer", "shop"]))
    (root / "files").mkdir()
    (root / "files/photos.csv").write_text("image,item,domain\na.jpg,1,shop\nb.jpg,1,consumer\n")
    (root / "space.yaml").write_text("space:\n  loss.margin: {choice: [0.1, 0.2]}\n")
    return root


JOBS = {
    "train": (["--data", "table", "--run", "new"], "train timm:"),
    "prepare": (["--benchmark", "manifest", "--source", "files", "--out", "made"], "prepare the item table: "),
    "evaluate": (["--data", "table", "--run", "run"], "evaluate epoch "),
    "embed": (["--data", "table", "--run", "run", "--out", "catalogue"], "embed 600 images of "),
    "sweep": (["--data", "table", "--run", "sweep", "--config", "space.yaml"], "sweep: trials on the "),
    "reevaluate": (
        ["--data", "table", "--run", "run", "--baseline", "base", "--accept", "true"],
        "evaluate epoch ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("job", JOBS)
def test_what_is_about_to_happen_is_said_before_anything_heavy_is_imported(job, shop):
    flags, said = JOBS[job]
    places = {"table", "run", "new", "files", "made", "catalogue", "sweep", "space.yaml", "base"}
    status, found = lines(job, *(shop / flag if flag in places else flag for flag in flags))
    assert status == 99, found  # it came to where Ray would start
    heavy, first = found[0]
    assert (heavy, first[: len(said)]) == ("", said)


@pytest.mark.parametrize(
    ("job", "flags", "said"),
    [
        ("train", ["--network.name", "resnet19"], "network.name: 'resnet19' is not known"),
        ("train", ["--network.name", "resnet50", "--network.pretrained", "V9"], "network.pretrained: 'V9'"),
        ("train", ["--data", "nowhere", "--run", "new"], "no finished item table"),
        ("evaluate", ["--data", "nowhere", "--run", "run"], "no finished item table"),
        ("embed", ["--data", "nowhere", "--run", "run", "--out", "x"], "no finished item table"),
        ("sweep", ["--data", "nowhere", "--run", "new", "--space", "{}"], "no finished item table"),
        ("search", ["--catalogue", "nowhere", "--run", "run", "--image=[a.jpg]"], "no _manifest.json there"),
        ("prepare", ["--source", "x"], "out: missing"),
        ("reevaluate", ["--run", "x"], "data: missing"),
    ],
)
def test_what_settings_and_storage_tell_is_told_before_anything_heavy_is_imported(job, flags, said, tmp_path):
    status, found = lines(job, *flags)
    assert status == 2 and [heavy for heavy, _ in found] == [""]
    assert found[0][1].startswith("error: ") and said in found[0][1]


def test_help_needs_nothing_heavy():
    status, found = lines("train", "--help")
    assert status == 0 and {heavy for heavy, _ in found} == {""}

"""docs/errors.md: every command in it is run here, without Ray, and prints the line that stands below it."""

import re
import shlex
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

from fashion.data.prepare.run import prepare
from fashion.data.settings import TableSettings
from fashion.storage import Store
from jobs import signals
from jobs.cli import main
from tests.catalogues import embed_here, embedder, jpeg, make_run, make_table, photos, picture

PAGE = Path(__file__).resolve().parents[2] / "docs/errors.md"
HOME = "/home/me"  # where the page's commands are run
ENTRY = re.compile(r"^    \$ python jobs/(\w+)\.py (.*)\n    ((?:error|failed): .*)$", re.MULTILINE)
FINGERPRINT = re.compile(r"\b[0-9a-f]{16}\b")  # of untrained networks, which depend on torch's version
STATUS = {"error": 2, "failed": 1}
ENTRIES = ENTRY.findall(PAGE.read_text())


def csv(store: Store, text: str) -> None:
    store.write("photos.csv", text.encode())


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """What the page's commands find: `shop`, pictures with a CSV, and what was made from such."""
    root = tmp_path_factory.mktemp("home")
    shop, torn = Store(root / "shop"), Store(root / "torn")
    rows = ["image,item,domain"]
    for item in range(6):
        for domain in ("shop", "consumer"):
            for store in (shop, torn):
                store.write(
                    f"{domain}{item}.jpg", jpeg(picture(10 * item + len(domain)))[: None if store is shop else 99]
                )
            rows.append(f"{domain}{item}.jpg,{item},{domain}")
    csv(shop, "\n".join(rows))
    csv(torn, "\n".join(rows))
    csv(Store(root / "export"), "photo_url,sku,domain\na.jpg,1,shop\n")
    csv(Store(root / "mixed"), "image,item,domain\na.jpg,1,shop\nb.jpg,1,street\nc.jpg,2,outlet\n")
    (root / "notes").mkdir()
    (root / "notes/read.txt").write_text("no picture")
    (root / "old.yaml").write_text("epochs: 7\nlerning_rate: 0.1\n")
    Image.new("RGB", (60, 80)).save(root / "photo.jpg")
    table = make_table(Store(root / "table"), photos(200, splits=("train", "val", "test")))
    table.store.write_value("manifest.json", replace(table.manifest, domains=["consumer", "shop"]))
    for name, seed in (("run", 0), ("other", 1)):
        (root / name).mkdir()
        make_run(root / name, seed=seed)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("fashion.data.prepare.run.run_tasks", here)
        silent = {"warn": lambda text: None, "progress": lambda *counts: None}
        prepare(shop, Store(root / "ready"), TableSettings(benchmark="manifest"), **silent)
    tested = make_table(Store(root / "tested"), photos(4))
    embed_here(tested, embedder(Store(root / "run"), batch=8), Store(root / "catalogue"))
    return root


def here(function, work, *, task_cpus):
    """Ray's tasks, in this process."""
    return map(function, work)


@contextmanager
def no_ray(**options):
    raise AssertionError("Ray would have been started")
    yield


@pytest.fixture
def printed(home, monkeypatch, capsys, s3):
    """Runs a command of the page; gives its status and what it printed on stderr, as at `HOME`."""
    monkeypatch.chdir(home)
    for name in ("end_on_signals", "hold"):  # signals of the tests' own process
        monkeypatch.setattr(signals, name, lambda *_: None)

    def run(name: str, arguments: str) -> tuple[int, str]:
        module = import_module(f"jobs.{name}")
        pipeline = import_module(f"fashion.pipelines.{name}")
        if hasattr(pipeline, "ray_cluster"):
            monkeypatch.setattr(pipeline, "ray_cluster", nullcontext if name == "prepare" else no_ray)
            monkeypatch.setattr("fashion.data.prepare.run.run_tasks", here)
        settings = next(value for key, value in vars(module).items() if key.endswith("Settings"))
        with pytest.raises(SystemExit) as ended:
            given = shlex.split(arguments)  # search's script takes several photos after one flag
            main(settings, module.job, module.with_lists(given) if name == "search" else given)
        said = capsys.readouterr().err.replace(str(home), HOME)
        return ended.value.code, FINGERPRINT.sub("0123456789abcdef", said)

    return run


def test_the_page_has_the_likeliest_twenty():
    text = PAGE.read_text()
    assert len(ENTRIES) == text.count("    $ python ") == len(re.findall(r"^### ", text, re.MULTILINE)) == 20


@pytest.mark.parametrize(("job", "arguments", "line"), ENTRIES, ids=[f"{job} {a}"[:60] for job, a, _ in ENTRIES])
def test_the_line_is_the_one_that_is_printed(job, arguments, line, printed):
    status, said = printed(job, arguments)
    lines = [text for text in said.splitlines() if text.startswith(tuple(STATUS))]
    assert (lines, status) == ([line], STATUS[line.split(":")[0]])
    assert "Traceback" not in said

"""The command: what is told before Ray starts, what --check says and leaves alone, and what needs no Ray at all."""

from contextlib import nullcontext

import pytest
from catalogues import jpeg, picture

from fashion.claim import sole_writer
from fashion.data.table import ItemTable
from fashion.networks.model import build_network
from fashion.networks.settings import NetworkSettings
from fashion.pipelines import prepare
from fashion.storage import Store
from fashion.training.validate import Validation
from jobs import prepare as script
from jobs.cli import main


@pytest.fixture
def source(tmp_path):
    """A shop with forty items of two photos, a photo that is broken and one that is two items'."""
    store = Store(tmp_path / "source")
    rows = ["image,item,domain,split"]
    for i in range(40):
        for number, domain in enumerate(("shop", "consumer")):
            store.write(f"{domain}/{i}.jpg", jpeg(picture(10 * i + number)))
            rows.append(f"{domain}/{i}.jpg,{i},{domain},{'test' if i > 35 else ''}")
    store.write("broken.jpg", jpeg(picture(1))[:300])
    store.write("again.jpg", store.read("shop/39.jpg"))
    rows += ["broken.jpg,1,shop,", "again.jpg,2,shop,"]
    store.write("shop.csv", "\n".join(rows).encode())
    return store


@pytest.fixture
def ray_starts(monkeypatch):
    """How often Ray would have been started; its tasks run here."""
    starts = []
    monkeypatch.setattr(prepare, "ray_cluster", lambda: starts.append(1) or nullcontext())
    here = lambda function, work, *, task_cpus: map(function, work)  # noqa: E731
    monkeypatch.setattr("fashion.data.prepare.run.run_tasks", here)
    monkeypatch.setattr("fashion.data.prepare.check.run_streamed", here)
    return starts


def run(source, *arguments, out=None) -> int:
    where = ["--source", source.uri, *(["--out", out.uri] if out else []), "--benchmark", "manifest"]
    with pytest.raises(SystemExit) as ended:
        main(prepare.PrepareSettings, script.job, [*where, *arguments])
    return ended.value.code


def listing(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_check_says_what_prepare_would_find_and_writes_nothing(source, ray_starts, tmp_path, capsys):
    before = listing(tmp_path)
    assert run(source, "--check", "true", "--holdout", "0.2") == 0
    told = capsys.readouterr().out
    assert listing(tmp_path) == before
    for line in (
        "note: no val images: 80 % of the train items stay train, 20 % val",
        "1 photos stand under several items (2 images, 1 of them in two splits)",
        "again.jpg of item 2 in train",
        f"{source.uri}/broken.jpg: ",
        "nothing was written; prepare would make this table",
    ):
        assert line in told
    assert run(source, "--holdout", "0.2", out=Store(tmp_path / "table")) == 0
    prepared = capsys.readouterr().out
    counts = [line.split(" MB")[0] for line in told.splitlines() if "items," in line and "photos stand" not in line]
    assert [line.rpartition(",")[0] for line in counts] == [
        line.rpartition(" MB")[0].rpartition(",")[0] for line in prepared.splitlines() if " MB" in line
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--bad_fraction", "0"), "1 of 82 pictures cannot be used, more than bad_fraction 0.0: prepare would fail"),
        (("--duplicates", "refuse"), "prepare would refuse them"),
    ],
)
def test_a_check_ends_with_2_where_prepare_would_refuse(source, ray_starts, capsys, arguments, said):
    assert run(source, "--check", "true", *arguments) == 2
    assert said in capsys.readouterr().err


def test_mistakes_of_the_manifest_are_told_before_ray_starts(source, ray_starts, tmp_path, capsys):
    text = source.read("shop.csv")
    single = b"\n".join([b"image,item,domain", *(b"shop/%d.jpg,%d,shop" % (i, i) for i in range(40))])
    for wrong, said in (
        (text.replace(b"shop/7.jpg,7,shop,", b"shop/7.jpg,7,shop,test"), "item '7' lies in the splits test and train"),
        (single, "could not be validated"),
    ):
        source.write("shop.csv", wrong)
        for arguments in (("--check", "true", "--holdout", "0.4"), ("--holdout", "0.4")):
            assert run(source, *arguments, out=Store(tmp_path / "table")) == 2
            assert said in capsys.readouterr().err
    assert not ray_starts


def test_a_rerun_with_nothing_to_pack_starts_no_ray(source, ray_starts, tmp_path, capsys):
    out = Store(tmp_path / "table")
    source.write("broken.jpg", jpeg(picture(999)))
    assert run(source, out=out) == 0 and len(ray_starts) == 1
    first = capsys.readouterr().out
    assert run(source, out=out) == 0 and len(ray_starts) == 1
    assert capsys.readouterr().out.splitlines()[-1] == first.splitlines()[-1]
    source.write("shop.csv", b"\n".join(source.read("shop.csv").split(b"\n")[:-2]))
    assert run(source, out=out) == 0 and len(ray_starts) == 2
    assert "annotations changed: 0 images added, 2 removed, 0 changed; " in capsys.readouterr().out


@pytest.mark.parametrize("domain", ["shop", "consumer"])
def test_a_list_of_one_domain_without_splits_and_roles_can_be_validated_and_tested(
    source, ray_starts, tmp_path, capsys, domain
):
    rows = [f"{kind}/{i}.jpg,{i},{domain}" for i in range(36) for kind in ("shop", "consumer")]
    source.write("shop.csv", "\n".join(["image,item,domain", *rows]).encode())
    out = Store(tmp_path / "table")
    assert run(source, "--holdout", "0.3", out=out) == 0
    said = capsys.readouterr().out
    assert "no split column: 40 % of the train items stay train, 30 % val, 30 % test" in said
    assert f"val and test: {domain} photos alone, without a role" in said
    network = build_network(NetworkSettings(name="embnet", size=32, width=0.25, dimension=16), seed=0)
    for split in ("val", "test"):
        validation = Validation(ItemTable(out), items=100, size=32, crop="whole", threads=2, split=split)
        assert 0 < validation.measure(network, autocast=False)["recall"]["20"] <= 1


def test_a_second_job_on_the_same_table_is_refused_in_one_line(source, ray_starts, tmp_path, capsys):
    out = Store(tmp_path / "table")
    with sole_writer(out):
        assert run(source, out=out) == 2
        assert capsys.readouterr().err.startswith(f"error: {out.uri}: another job writes there: process ")
        assert not ItemTable(out).store.exists("manifest.json") and not ray_starts
    assert run(source, out=out) == 0
    assert ItemTable(out).manifest.splits["test"]["items"] == 4

"""A folder that a job cannot keep its results in is refused in one line, before anything is done."""

import pyarrow.fs as pafs
import pytest

from cluster import shared
from cluster.shared import check_shared
from cluster.storage import JOB, check_run, check_storage
from fashion.errors import InputError


def test_a_relative_folder_to_write_to_is_refused_in_a_job_on_a_cluster(monkeypatch):
    check_storage("out", "runs/first", writes=True)
    monkeypatch.setenv(JOB, "{}")
    for uri in ("runs/first", "./runs", "."):
        with pytest.raises(
            InputError, match=rf"^out: {uri} is relative, .*temporary.*give s3://bucket/prefix, or the abs"
        ):
            check_storage("out", uri, writes=True)
    check_storage("data", "shipped/table")  # read, not written: the working folder is on every machine
    for uri in ("/mnt/shared/first", "~/first", "file:///mnt/shared/first"):
        check_storage("out", uri, writes=True)


def test_a_training_run_needs_a_folder_in_the_bucket(s3):
    s3.create_bucket(Bucket="whole")
    check_run("run", "s3://whole/first")
    check_storage("out", "s3://whole")
    with pytest.raises(InputError, match=r"^run: s3://whole: is the root of a bucket .*such as s3://whole/first"):
        check_run("run", "s3://whole")


def test_a_bucket_that_is_not_there(s3):
    with pytest.raises(InputError, match=r"^out: bucket 'nowhere': there is no such bucket; create it"):
        check_storage("out", "s3://nowhere/x y#1", writes=True)


def test_a_folder_that_another_machine_does_not_see_is_refused(tmp_path, monkeypatch):
    """Machines of one disk cannot show this: the answers are injected. The marker is there while they are asked, and gone
    afterwards."""
    nodes = [{"NodeID": name, "NodeManagerHostname": name} for name in ("blue", "green")]
    place, asked = tmp_path / "é #1", []

    def without(path, nodes):
        assert place.joinpath(path).exists()
        asked.append(path)
        return answers

    monkeypatch.setattr(shared, "others", lambda: nodes)
    monkeypatch.setattr(shared, "_without", without)
    answers = []
    check_shared({"out": str(place), "data": None, "run": "s3://bucket/x"})
    answers = ["green"]
    with pytest.raises(
        InputError, match=r"^out: .*é #1 of .* is not there on green \(1 of 2 other machines\); give s3://"
    ):
        check_shared({"out": str(place)})
    assert len(asked) == 2 and not list(place.iterdir())


def test_one_machine_has_nobody_to_ask(tmp_path, monkeypatch):
    monkeypatch.setattr(shared, "others", list)
    check_shared({"out": str(tmp_path / "not made")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("print('Directory')", None),
        ("print('NotFound')", "there is no such bucket; create it"),
        ("import os; os.abort()", "cannot be reached .no answer.; check AZURE_TENANT_ID"),
        ("raise OSError('Error: no token')", "cannot be reached .*no token"),
    ],
)
def test_azure_is_asked_in_a_process_of_its_own(monkeypatch, answer, said):
    """Its client ends the process where no credentials are found. No network here: the answers are injected."""
    monkeypatch.setattr("cluster.storage.AZURE", answer)
    if said is None:
        return check_storage("out", "abfs://table@shop/é #1", writes=True)
    with pytest.raises(InputError, match=rf"^out: bucket 'table@shop'.*{said}"):
        check_storage("out", "abfs://table@shop/é #1", writes=True)


def test_google_is_asked_for_the_bucket(monkeypatch):
    class Google:
        def __init__(self, **settings):
            pass

        def get_file_info(self, bucket):
            if bucket == "away":
                raise OSError("UNAVAILABLE\n" + "no token " * 100)
            return pafs.FileInfo(bucket, pafs.FileType.NotFound if bucket == "nowhere" else pafs.FileType.Directory)

    monkeypatch.setattr("pyarrow.fs.GcsFileSystem", Google)
    check_storage("out", "gs://bucket/é #1")
    with pytest.raises(InputError, match=r"^out: bucket 'nowhere': there is no such bucket; create it"):
        check_storage("out", "gs://nowhere")
    with pytest.raises(
        InputError, match=r"^out: bucket 'away' cannot be reached .UNAVAILABLE no.*GOOGLE_APPLICATION"
    ) as found:
        check_storage("out", "gs://away/x")
    assert "\n" not in str(found.value) and len(str(found.value)) < 500

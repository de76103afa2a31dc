"""One real cluster of two nodes on this machine for the tests that send jobs to it: it takes a quarter of a minute to
start. The folder is a package so that the cluster ends with them: else it would last as long as all tests."""

import pytest

from fashion.data.table import ItemTable
from fashion.demo.catalogue import write_demo
from fashion.ray_seam.memory import TRIES
from fashion.storage import Store
from tests.cluster.loopback import Loopback

CANARY = {"AWS_ACCESS_KEY_ID": "CANARYID", "AWS_SECRET_ACCESS_KEY": "CANARYSECRET", "AWS_SESSION_TOKEN": "CANARYTOKEN"}


@pytest.fixture(scope="package")
def cluster(s3, tmp_path_factory):
    """With a small catalogue in the bucket."""
    catalogue = tmp_path_factory.mktemp("loopback")
    write_demo(catalogue, items=50, seed=3, workers=1)
    s3.create_bucket(Bucket="loopback")
    for file in catalogue.rglob("*"):
        if file.is_file():
            s3.upload_file(str(file), "loopback", f"source/{file.relative_to(catalogue)}")
    running = Loopback()
    running.env |= CANARY | {TRIES: "1"}
    with running:
        yield running


@pytest.fixture(scope="package")
def table(cluster):
    done = cluster.submit(
        "prepare", "python", "jobs/prepare.py", "--source", "s3://loopback/source", "--out", "s3://loopback/table"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return ItemTable(Store("s3://loopback/table"))

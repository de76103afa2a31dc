"""One Ray and one S3 endpoint for the whole test run: each takes seconds to start."""

import os

os.environ |= {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "OMP_NUM_THREADS": "1",
}
os.environ.pop("RAY_ADDRESS", None)

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.faults.proxy import Proxy


def pytest_collection_modifyitems(items):
    """`-m "not ray"` leaves out what waits for Ray."""
    for item in items:
        if "ray_running" in item.fixturenames:
            item.add_marker("ray")


@pytest.fixture(scope="session")
def s3_proxy():
    """The S3 endpoint over real HTTP that the whole process and its children use; it fails where a test asks it to."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    with Proxy(*server.get_host_and_port()) as proxy:
        os.environ["AWS_ENDPOINT_URL"] = proxy.uri
        yield proxy
        del os.environ["AWS_ENDPOINT_URL"]
    server.stop()


@pytest.fixture(scope="session")
def s3(s3_proxy):
    """An S3 client of that endpoint."""
    return boto3.client("s3")


@pytest.fixture(scope="session")
def ray_running(s3):
    """The Ray that jobs would start, started after the endpoint so that its workers know it."""
    from cluster.start import ray_cluster
    from jobs.raylet import no_longer

    with ray_cluster(cpus=4) as ray:
        yield ray
        no_longer()  # a job that a test ran in this process watches over this Ray too

"""The shop that tests of prepare prepare again, in a folder and in a bucket of its own."""

import pytest

from fashion.storage import Store
from tests.data.shop import Shop, hash_of


@pytest.fixture(params=["local", "s3"])
def shop(request, tmp_path, monkeypatch):
    if request.param == "local":
        return Shop(Store(tmp_path), monkeypatch)
    bucket = f"shop-{hash_of(request.node.nodeid)}"
    request.getfixturevalue("s3").create_bucket(Bucket=bucket)
    return Shop(Store(f"s3://{bucket}/folder"), monkeypatch)

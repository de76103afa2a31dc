"""Files are whole or absent, names stay inside, and nothing shows a credential."""

import pickle

import pytest

from fashion.errors import InputError
from fashion.storage import Store


@pytest.fixture(params=["local", "s3"])
def store(request, tmp_path):
    if request.param == "local":
        return Store(tmp_path)
    client = request.getfixturevalue("s3")
    client.create_bucket(Bucket="storage")
    return Store("s3://storage/prefix")


def test_write_read_list_delete(store):
    store.write("a/b.txt", b"one")
    store.write("a/b.txt", b"two")
    store.write_json("c.json", {"k": [1]})
    assert store.read("a/b.txt") == b"two" and store.read_json("c.json") == {"k": [1]}
    assert store.names(recursive=True) == ["a/b.txt", "c.json"] and store.names() == ["c.json"]
    assert store.exists("c.json") and not store.exists("a") and (store / "a").exists("b.txt")
    assert pickle.loads(pickle.dumps(store)).read("a/b.txt") == b"two"
    store.delete_folder("a")
    store.delete_folder("a")
    assert store.names(recursive=True) == ["c.json"] and store.names("nowhere") == []
    with pytest.raises(FileNotFoundError):
        store.read("a/b.txt")


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a\\b", "a\0b"])
def test_a_name_cannot_leave_the_store(store, name):
    for act in (store.read, store.exists, lambda n: store.write(n, b"")):
        with pytest.raises(InputError, match="must stay inside"):
            act(name)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.write("x", b"old")

    def fail(*_):
        raise OSError("disk is full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk is full"):
        store.write("x", b"new")
    assert store.read("x") == b"old" and [p.name for p in tmp_path.iterdir()] == ["x"]


def test_credentials_in_an_address_are_refused_and_not_repeated():
    with pytest.raises(InputError) as found:
        Store("s3://KEY:SECRET@bucket/x")
    assert "SECRET" not in str(found.value) and "KEY:" not in str(found.value)
    with pytest.raises(InputError, match="expected a local folder or s3"):
        Store("gs://bucket/x")

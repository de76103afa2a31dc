"""Files are whole or absent, names stay inside, and nothing shows a credential."""

import os
import pickle
import unicodedata
import uuid

import pyarrow.fs as pafs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fashion.errors import InputError
from fashion.storage import Store


@pytest.fixture(params=["local", "s3"])
def store(request, tmp_path):
    if request.param == "local":
        return Store(tmp_path)
    client = request.getfixturevalue("s3")
    client.create_bucket(Bucket="storage")
    return Store(f"s3://storage/{uuid.uuid4().hex}")


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


@pytest.mark.parametrize(
    "name",
    ["../x", "/x", "a/../../x", "a\\b", "a\0b", "", "a//b", "a/./b", "./a", "a/", "a\rb", "a\nb", "\ud800", "\uffff"],
)
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


# What people and URLs disagree on, and accents both composed and decomposed.
ODD = "#?%&+ =@:;,!'()*~[]{}|^`\"<>$._-0aZé日本\u0301\u00a0😀"
PARTS = st.text(st.sampled_from(ODD) | st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12).filter(
    lambda part: part not in (".", "..") and not set(part) & set("/\\\ufffe\uffff")
)
KEYS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)


def _apart(keys: list[str]) -> bool:
    """No key is a folder of another: storage that has folders cannot hold both."""
    return not any(other.startswith(f"{key}/") for key in keys for other in keys)


@given(keys=st.lists(KEYS, min_size=1, max_size=4, unique=True).filter(_apart))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_key_comes_back_byte_for_byte_and_no_two_share_a_file(store, request, keys):
    """As a name in a folder, and as the folder's own address."""
    for key in keys:
        store.write(key, key.encode())
        Store(f"{store.uri}/in {key}").write("x", b"in " + key.encode())
    try:
        assert store.names(recursive=True) == sorted([*keys, *(f"in {key}/x" for key in keys)])
        for key in keys:
            folder = pickle.loads(pickle.dumps(store / f"in {key}"))
            assert store.exists(key) and store.read(key) == key.encode()
            assert folder.names() == ["x"] and folder.read("x") == b"in " + key.encode()
        if store.bucket:
            prefix = store.path.partition("/")[2] + "/"
            found = request.getfixturevalue("s3").list_objects_v2(Bucket=store.bucket, Prefix=prefix)["Contents"]
            held = {entry["Key"].removeprefix(prefix) for entry in found if not entry["Key"].endswith("/")}
            assert held == {*keys, *(f"in {key}/x" for key in keys)}
    finally:
        for top in {name.split("/")[0] for name in store.names(recursive=True)}:
            store.delete(top) if store.exists(top) else store.delete_folder(top)


@pytest.mark.parametrize("root", ["/srv/a folder", "s3://bucket", "gs://bucket", "abfs://container@account"])
@pytest.mark.parametrize(
    "key", ["run#2", "a%20b", "a b", "a?b=c", "In-shop Clothes Retrieval Benchmark/é日本 #1%20", "a:b@c"]
)
def test_keys_of_an_address_are_literal(root, key):
    store = Store(f"{root}/{key}/")
    assert store.uri == f"{root}/{key}" and store.path.endswith(f"/{key}") and store.at("x") == f"{store.path}/x"
    assert pickle.loads(pickle.dumps(store)).uri == store.uri
    folder, name = store.parent()
    assert f"{folder}/{name}" == store.path


def test_composed_and_decomposed_names_are_different_keys():
    composed, decomposed = (unicodedata.normalize(form, "s3://bucket/é") for form in ("NFC", "NFD"))
    assert Store(composed).path != Store(decomposed).path


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("s3://bucket/a//b", "empty parts"),
        ("s3://bucket//", "empty parts"),
        ("s3://bucket/a/../b", "inside its folder"),
        ("s3://bucket/a\nb", "cannot be stored"),
        ("s3:///b", "no name of a bucket"),
        ("s3://bucket?x/y", "no name of a bucket"),
        ("s3:/bucket/x", "one slash after the colon"),
        ("file://folder", "expected file:///an/absolute/path"),
        ("ftp://host/x", "expected a local folder, s3://"),
        ("abfs://container/x", "AZURE_STORAGE_ACCOUNT"),
        (os.fsdecode(b"/tmp/\xff"), "not UTF-8"),
    ],
)
def test_what_no_address_can_be_is_refused_in_one_line(address, said, monkeypatch):
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT", raising=False)
    with pytest.raises(InputError, match=said) as found:
        Store(address)
    assert "\n" not in str(found.value)


def test_local_addresses_are_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert Store("~/x").path == str(tmp_path / "home/x") and Store("~x y").path == str(tmp_path / "~x y")
    assert Store("file:///a%20b").path == "/a%20b" and Store("a#b?c").path == str(tmp_path / "a#b?c")


@pytest.mark.parametrize("root", ["s3://bucket", "gs://bucket", "/"])
def test_a_root_has_no_folder_to_lie_in(root):
    assert Store(root).uri == root
    with pytest.raises(InputError, match=r"is the root of a bucket or of the disk; expected a folder in it"):
        Store(root).parent()


def test_no_key_of_the_environment_is_pickled(s3, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET-OF-THE-ENVIRONMENT")
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "SECRET-OF-THE-ENVIRONMENT")
    for address in ("s3://storage/x", "gs://bucket/x", "abfs://container@account/x"):
        store = Store(address)
        for value in (store, store.fs):  # the filesystem is what Ray Train and Tune are given
            assert b"SECRET-OF" not in pickle.dumps(value)


def test_endpoint_and_region_come_from_the_environment(monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    store = Store("s3://bucket/x")
    said = pafs.S3FileSystem.__reduce__(store.fs)[1][0]
    assert (said["scheme"], said["endpoint_override"], store.fs.region) == ("http", "localhost:1", "eu-west-3")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://minio.shop:9000/")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    store = Store("s3://bucket/x")
    said = pafs.S3FileSystem.__reduce__(store.fs)[1][0]
    assert (said["scheme"], said["endpoint_override"], store.fs.region) == ("https", "minio.shop:9000", "eu-west-1")


def test_a_build_without_a_filesystem_says_so(monkeypatch):
    monkeypatch.delattr(pafs, "GcsFileSystem")
    with pytest.raises(InputError, match=r"gs://...: this build of pyarrow .* has no GcsFileSystem; install"):
        Store("gs://bucket/x")


def test_credentials_in_an_address_are_refused_and_not_repeated():
    for address in ("s3://KEY:SECRET@bucket/x", "gs://SECRET@bucket/x", "abfs://KEY:SECRET@bucket/x"):
        with pytest.raises(InputError) as found:
            Store(address)
        assert "SECRET" not in str(found.value) and "KEY:" not in str(found.value)

"""What may stand in a manifest for an image, and which picture that is."""

import os
from types import SimpleNamespace

import pytest
from literal_trees import read_rows, write_tree

from fashion.data.pictures.folder import Pictures
from fashion.data.pictures.places import locate
from fashion.errors import InputError
from fashion.storage import Store

LOCAL = Store("/data/shop")
BUCKET = SimpleNamespace(uri="s3://bucket/shop", local=False)  # a Store of a bucket asks for its region


@pytest.mark.parametrize(
    ("text", "source", "place"),
    [
        ("a/b.jpg", LOCAL, ("a/b.jpg", None)),
        ("a\\b c.jpg", LOCAL, ("a/b c.jpg", None)),
        ("/data/shop/a/b.jpg", LOCAL, ("a/b.jpg", None)),
        ("file:///data/shop/a/b.jpg", LOCAL, ("a/b.jpg", None)),
        ("/data/shop/x/../a%20b.jpg", LOCAL, ("a%20b.jpg", None)),
        ("s3://bucket/shop/a/b.jpg", BUCKET, ("a/b.jpg", None)),
        ("s3://bucket/shop/a/b.jpg", LOCAL, ("s3://bucket/shop/a/b.jpg", None)),
        ("s3://bucket/shopping/b#1?.jpg", BUCKET, ("s3://bucket/shopping/b#1?.jpg", None)),
        ("https://cdn.shop/a b.jpg?width=400", LOCAL, ("https://cdn.shop/a b.jpg?width=400", None)),
        ("https://cdn.shop/image?key=a.jpg&author=b", LOCAL, ("https://cdn.shop/image?key=a.jpg&author=b", None)),
        (
            "https://cdn.shop/a.jpg?v=2&X-Amz-Signature=abc&X-Amz-Credential=AKIA&sig=s#top",
            LOCAL,
            (
                "https://cdn.shop/a.jpg?v=2",
                "https://cdn.shop/a.jpg?v=2&X-Amz-Signature=abc&X-Amz-Credential=AKIA&sig=s#top",
            ),
        ),
    ],
)
def test_a_place_is_a_path_in_the_source_where_it_can_be(text, source, place):
    assert locate(text, source) == place


@pytest.mark.parametrize(
    ("text", "source", "message"),
    [
        ("/data/shopping/b.jpg", LOCAL, "an absolute path that does not lie below the source"),
        ("/data/shop/../secret.jpg", LOCAL, "an absolute path that does not lie below the source"),
        ("/data/shop/b.jpg", BUCKET, "an absolute path that does not lie below the source"),
        ("\\\\server\\share\\b.jpg", LOCAL, "an absolute path that does not lie below the source"),
        ("file://etc/passwd", LOCAL, ""),
        ("https://user:hunter2@cdn.shop/a.jpg", LOCAL, "has a user or no host in its address"),
        ("s3://AKIA:hunter2@bucket/a.jpg", LOCAL, "has a user or keys in its address"),
        ("https://u:hunter2@cdn℀.shop/a.jpg", LOCAL, "is no address"),
        ("https:///a.jpg", LOCAL, "has a user or no host in its address"),
        ("ftp://cdn.shop/a.jpg", LOCAL, "is an address with ftp://; expected a path, s3://, gs://, abfs://, http"),
    ],
)
def test_a_place_that_cannot_be_read_is_refused_without_its_secrets(text, source, message):
    if not message:  # a path like any other
        assert locate(text, source) == ("etc/passwd", None)
        return
    with pytest.raises(ValueError, match=message) as caught:
        locate(text, source)
    assert "hunter2" not in str(caught.value)


def test_a_manifest_names_images_by_path_and_address_and_tells_all_bad_ones(tmp_path):
    outside = "https://u:hunter2@cdn.shop/a.jpg"
    lines = [f"{tmp_path}/a.jpg", "https://cdn.shop/b.jpg?sig=hunter2", "/elsewhere/c.jpg", outside, "d.jpg"]
    source = write_tree(tmp_path, {"m.csv": "image,item,domain\n" + "\n".join(f"{line},1,shop" for line in lines)})
    told = []
    rows, _ = read_rows("manifest", source, reject=lambda *fault: told.append(fault))
    assert {image: row["address"] for image, row in rows.items()} == {
        "a.jpg": None, "https://cdn.shop/b.jpg": "https://cdn.shop/b.jpg?sig=hunter2", "d.jpg": None,
    }  # fmt: skip
    assert [place for place, *_ in told] == ["m.csv, line 4", "m.csv, line 5"] and "hunter2" not in str(told)


def test_links_that_lead_out_are_followed_only_where_the_setting_says_so(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").write_bytes(b"photo")
    source = write_tree(tmp_path / "data", {"m.csv": ""})
    os.symlink(tmp_path / "photos", tmp_path / "data/shop")
    with pytest.raises(
        InputError, match=r"a link leads out of .*; expected the picture itself there, or --follow_links"
    ):
        Pictures(source).fetch("shop/a.jpg")
    follows = Pictures(source, follow_links=True)
    assert follows.fetch("shop/a.jpg") == b"photo"
    with pytest.raises(InputError, match="inside its folder"):  # what is written out is not a link
        follows.fetch("../photos/a.jpg")

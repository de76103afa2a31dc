import pytest
from literal_trees import read_rows, write_tree

from fashion.errors import InputError

# The real files spell it so. One item with two shop photos, pairs across folders, a gap in the ids.
ONE = "img/TOPS/T_Shirt/id_00000001/comsumer_01.jpg"
TWO = "img/CLOTHING/Coat/id_00000001/comsumer_02.jpg"
RED = "img/TOPS/T_Shirt/id_00000001/shop_01.jpg"
BLUE = "img/TOPS/T_Shirt/id_00000001/shop_02.jpg"
DRESSED = "img/DRESSES/Dress/id_00033886/comsumer_01.jpg"
DRESS = "img/DRESSES/Dress/id_00033886/shop_01.jpg"
UNPAIRED = "img/TOPS/T_Shirt/id_00000001/shop_03.jpg"

FILES = {
    "Eval/list_eval_partition.txt": f"""4
image_pair_name_1 image_pair_name_2 item_id evaluation_status
{ONE}          {RED}          id_00000001 test
{ONE}          {BLUE}         id_00000001 test
{TWO}          {BLUE}         id_00000001 test
{DRESSED}      {DRESS}        id_00033886 train
""",
    "Anno/list_bbox_consumer2shop.txt": f"""7
image_name clothes_type source_type x_1 y_1 x_2 y_2
{RED} 1 1 050 060 200 220
{BLUE} 1 1 051 060 200 220
{ONE} 1 2 052 060 200 220
{TWO} 1 2 053 060 200 220
{DRESSED} 3 2 054 060 200 220
{DRESS} 3 1 055 060 200 220
{UNPAIRED} 1 1 056 060 200 220
""",
    "Anno/list_landmarks_consumer2shop.txt": f"""6
image_name clothes_type variation_type landmark_visibility_1 landmark_location_x_1 landmark_location_y_1
{RED} 1 1 0 001 002 0 003 004 1 005 006 1 007 008 2 000 000 0 011 012
{BLUE} 1 1 0 001 002 0 003 004 1 005 006 1 007 008 2 000 000 0 011 012
{ONE} 1 1 0 001 002 0 003 004 1 005 006 1 007 008 2 000 000 0 011 012
{TWO} 1 1 0 001 002 0 003 004 1 005 006 1 007 008 2 000 000 0 011 012
{DRESSED} 3 2 0 1 2 0 3 4 0 5 6 0 7 8 0 9 10 0 11 12 0 13 14 0 15 16
{DRESS} 3 2 0 1 2 0 3 4 0 5 6 0 7 8 0 9 10 0 11 12 0 13 14 0 15 16
""",
    "Anno/list_item_consumer2shop.txt": "2\nid_00000001\nid_00033886\n",
    "Anno/list_attr_cloth.txt": "\ufeff3\r\nname type\r\n纯色 Solid color 7\r\n圆领 Round Neck 2\r\n长袖 Long 3\r\n",
    "Anno/list_attr_items.txt": "2\nitem_id attribute_labels\nid_00000001 1 -1 1\nid_00033886 0 -1 -1\n",
}


def test_each_image_of_a_pair_is_one_row_and_a_consumer_image_keeps_all_its_shop_images(tmp_path):
    rows, warnings = read_rows("consumer-to-shop", write_tree(tmp_path, FILES))
    assert {image: (r["domain"], r["role"], r["split"], r["item"], r["pairs"]) for image, r in rows.items()} == {
        ONE: ("consumer", "query", "test", "id_00000001", [RED, BLUE]),
        RED: ("shop", "gallery", "test", "id_00000001", None),
        BLUE: ("shop", "gallery", "test", "id_00000001", None),
        TWO: ("consumer", "query", "test", "id_00000001", [BLUE]),
        DRESSED: ("consumer", "query", "train", "id_00033886", [DRESS]),
        DRESS: ("shop", "gallery", "train", "id_00033886", None),
    }
    (warning,) = warnings  # the shop photo that is in no pair
    assert warning.startswith("Anno/list_bbox_consumer2shop.txt: 1 rows are of images that no")


def test_items_are_grouped_by_their_column_and_categories_by_the_folder(tmp_path):
    rows, _ = read_rows("consumer-to-shop", write_tree(tmp_path, FILES))
    assert rows[TWO]["category"] == "CLOTHING/Coat" and rows[BLUE]["category"] == "TOPS/T_Shirt"
    assert rows[TWO]["item"] == rows[BLUE]["item"]


def test_boxes_landmarks_and_the_items_attributes_are_joined(tmp_path):
    rows, _ = read_rows("consumer-to-shop", write_tree(tmp_path, FILES))
    assert [rows[image]["box"][0] for image in (RED, BLUE, ONE, TWO, DRESSED, DRESS)] == [50, 51, 52, 53, 54, 55]
    assert rows[ONE]["landmarks"] == [0, 1, 2, 0, 3, 4, 1, 5, 6, 1, 7, 8, -1, 0, 0, -1, 0, 0, 2, 0, 0, 0, 11, 12]
    assert rows[DRESS]["landmarks"][12:15] == [0, 9, 10] and rows[DRESS]["clothes_type"] == 3
    assert all(rows[image]["attributes"] == ["Solid color", "Long"] for image in (ONE, TWO, RED, BLUE))
    assert rows[DRESS]["attributes"] == []  # annotated to have none, which is not the same as not annotated


def test_a_repeated_pair_adds_nothing(tmp_path):
    pairs = FILES["Eval/list_eval_partition.txt"] + f"{ONE} {RED} id_00000001 test\n"
    rows, warnings = read_rows(
        "consumer-to-shop", write_tree(tmp_path, {**FILES, "Eval/list_eval_partition.txt": pairs})
    )
    assert rows[ONE]["pairs"] == [RED, BLUE] and len(rows) == 6
    assert any("says 4 rows, found 5" in w for w in warnings)


def test_images_that_contradict_an_earlier_pair_or_the_source_type_are_counted(tmp_path):
    pairs = FILES["Eval/list_eval_partition.txt"]
    pairs += f"{RED} {DRESS} id_00000001 test\n"  # a shop photo in column 1, a dress of another item and split
    boxes = FILES["Anno/list_bbox_consumer2shop.txt"].replace(f"{TWO} 1 2", f"{TWO} 1 1")
    source = write_tree(
        tmp_path, {**FILES, "Eval/list_eval_partition.txt": pairs, "Anno/list_bbox_consumer2shop.txt": boxes}
    )
    rows, warnings = read_rows("consumer-to-shop", source, several=True)
    ((red,), (first, other)) = (rows[RED], rows[DRESS])
    assert red["domain"] == "shop" and red["pairs"] is None
    assert (first["item"], first["split"], other["item"], other["split"]) == (
        "id_00033886", "train", "id_00000001", "test",
    )  # fmt: skip
    assert first["box"] == other["box"] == [55, 60, 200, 220]  # the one box that the file has is of both
    assert any(
        f"1 times an image of an item has another column or status than before; the first is used: {RED}" in w
        for w in warnings
    )
    rows = {image: row for image, (row, *_) in rows.items()}
    assert any("source_type of 1 images" in w for w in warnings) and rows[TWO]["domain"] == "consumer"


def test_only_pairs_and_boxes_are_required(tmp_path):
    needed = ("Eval/list_eval_partition.txt", "Anno/list_bbox_consumer2shop.txt")
    source = write_tree(tmp_path / "bare", {name: FILES[name] for name in needed})
    rows, warnings = read_rows("consumer-to-shop", source)
    assert len(rows) == 6 and rows[ONE]["landmarks"] is None and rows[ONE]["attributes"] is None
    missing = {w.split(":")[0] for w in warnings if "not found" in w}
    assert missing == {
        "Anno/list_landmarks_consumer2shop.txt", "Anno/list_item_consumer2shop.txt", "Anno/list_attr_cloth.txt",
    }  # fmt: skip
    for name in needed:
        rest = write_tree(tmp_path / name.replace("/", "-"), {k: v for k, v in FILES.items() if k != name})
        with pytest.raises(InputError, match=rf"^{name}: not found in .*Consumer-to-shop layout.*$"):
            read_rows("consumer-to-shop", rest)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f"{ONE} id_00000001 test", "found 3 columns, expected image_pair_name_1 image_pair_name_2 item_id evalu"),
        (f"{ONE} {RED} id_00000001 query", "found status 'query', expected one of train, val, test"),
    ],
)
def test_a_malformed_pair_is_named_with_its_line(tmp_path, row, message):
    pairs = FILES["Eval/list_eval_partition.txt"] + row
    source = write_tree(tmp_path, {**FILES, "Eval/list_eval_partition.txt": pairs})
    with pytest.raises(InputError, match=f"^Eval/list_eval_partition.txt, line 7: {message}"):
        read_rows("consumer-to-shop", source)


@pytest.mark.parametrize("name", ["catalogue.csv", "Catalogue.TSV", "c.csv.gz", "c.parquet"])
def test_a_table_of_ones_own_is_recognised(tmp_path, name):
    with pytest.raises(InputError, match=rf"^Eval/list_eval_partition.txt: .*; found {name}; did you mean --be"):
        read_rows("consumer-to-shop", write_tree(tmp_path, {name: "image,item,domain\n"}))
    with pytest.raises(InputError, match=r"; check the source folder$"):
        read_rows("consumer-to-shop", write_tree(tmp_path / "else", {"Eval/old.csv": ""}))


def test_an_attribute_missing_from_the_list_is_refused(tmp_path):
    name = "Anno/list_attr_cloth.txt"
    source = write_tree(tmp_path, {**FILES, name: FILES[name].replace("圆领 Round Neck 2\r\n", "")})
    with pytest.raises(InputError, match=rf"^{name}: line 1 says 3 rows, found 2; other files call them by"):
        read_rows("consumer-to-shop", source)

import json

import pytest
from literal_trees import read_rows, write_tree

from fashion.data.formats.benchmarks import read_attribute_types
from fashion.errors import InputError

DRESS = "img/WOMEN/Dresses/id_00000002/02_1_front.jpg"
BACK = "img/WOMEN/Dresses/id_00000002/02_3_back.jpg"
SKIRT = "img/WOMEN/Skirts/id_00000002/03_1_front.jpg"  # the same item in another folder
ALONE = "img/MEN/Tees_Tanks/id_00000007/01_6_flat.jpg"
QUERY = "img/MEN/Pants/id_00000009/01_1_front.jpg"
GALLERY = "img/MEN/Pants/id_00000009/01_2_side.jpg"

FILES = {
    "Eval/list_eval_partition.txt": f"""6
image_name item_id evaluation_status
{DRESS}                           id_00000002 train
{BACK}                            id_00000002 train
{SKIRT}                           id_00000002 train
{ALONE}                           id_00000007 train
{QUERY}                           id_00000009 query
{GALLERY}                         id_00000009 gallery
""",
    "Anno/list_bbox_inshop.txt": f"""6
image_name  clothes_type  pose_type  x_1  y_1  x_2  y_2
{GALLERY}  2  2  010  020  200  250
{DRESS}  3  1  065  045  233  252
{BACK}  3  3  060  040  230  250
{SKIRT}  2  1  000  000  000  000
{ALONE}  1  6  005  006  250  251
{QUERY}  2  1  300  300  999  999
""",
    "Anno/list_landmarks_inshop.txt": f"""1
image_name clothes_type variation_type landmark_visibility_1 landmark_location_x_1 landmark_location_y_1
{QUERY}  2  1  0 101 102  1 103 104  2 000 000  0 107 108
""",
    "Anno/list_item_inshop.txt": "3\nid_00000002\nid_00000007\nid_00000009\n",
    "Anno/list_description_inshop.json": json.dumps(
        [
            {"item": "id_00000002", "color": "Navy", "description": ["A pleated dress.", "Woven."]},
            {"item": "id_00000002", "color": "Red", "description": "A pleated dress."},
            {"item": "id_00000007", "color": "White", "description": []},
        ]
    ),
}


def test_statuses_become_splits_and_roles_and_every_column_is_joined_by_the_images_name(tmp_path):
    rows, warnings = read_rows("in-shop", write_tree(tmp_path, FILES))
    assert list(rows) == [DRESS, BACK, SKIRT, ALONE, QUERY, GALLERY]  # the order of the evaluation list
    assert {image: (r["split"], r["role"], r["item"]) for image, r in rows.items()} == {
        DRESS: ("train", None, "id_00000002"),
        BACK: ("train", None, "id_00000002"),
        SKIRT: ("train", None, "id_00000002"),
        ALONE: ("train", None, "id_00000007"),
        QUERY: ("test", "query", "id_00000009"),
        GALLERY: ("test", "gallery", "id_00000009"),
    }
    assert rows[DRESS] == {
        "item": "id_00000002",
        "image": DRESS,
        "domain": "shop",
        "split": "train",
        "role": None,
        "box": [65, 45, 233, 252],
        "category": "WOMEN/Dresses",
        "clothes_type": 3,
        "pose": 1,
        "attributes": None,
        "landmarks": None,
        "pairs": None,
        "description": "Navy A pleated dress. Woven. Red",
        "address": None,
    }
    assert rows[GALLERY]["box"] == [10, 20, 200, 250] and rows[GALLERY]["description"] is None
    assert rows[ALONE]["description"] == "White"
    (warning,) = warnings  # five of the six images have no landmarks
    assert "list_landmarks_inshop.txt" in warning and "5 of the 6" in warning


def test_the_category_belongs_to_the_images_folder_and_the_item_to_its_column(tmp_path):
    rows, _ = read_rows("in-shop", write_tree(tmp_path, FILES))
    assert rows[SKIRT]["category"] == "WOMEN/Skirts" and rows[DRESS]["category"] == "WOMEN/Dresses"
    assert rows[SKIRT]["item"] == rows[DRESS]["item"]


def test_lower_body_landmarks_lie_in_the_last_slots(tmp_path):
    rows, _ = read_rows("in-shop", write_tree(tmp_path, FILES))
    unused = [-1, 0, 0] * 4
    assert rows[QUERY]["landmarks"] == [*unused, 0, 101, 102, 1, 103, 104, 2, 0, 0, 0, 107, 108]


def test_boxes_that_are_degenerate_or_outside_stay_as_annotated(tmp_path):
    rows, _ = read_rows("in-shop", write_tree(tmp_path, FILES))
    assert rows[SKIRT]["box"] == [0, 0, 0, 0] and rows[QUERY]["box"] == [300, 300, 999, 999]


def test_unmatched_and_repeated_rows_are_counted(tmp_path):
    boxes = FILES["Anno/list_bbox_inshop.txt"].replace(BACK, "img/WOMEN/Dresses/id_00000099/none.jpg")
    boxes += f"{DRESS}  3  1  001  001  002  002\n"
    items = "3\nid_00000002\nid_00000007\nid_00000005\n"
    source = write_tree(tmp_path, {**FILES, "Anno/list_bbox_inshop.txt": boxes, "Anno/list_item_inshop.txt": items})
    rows, warnings = read_rows("in-shop", source)
    assert rows[BACK]["box"] is None and rows[BACK]["clothes_type"] is None
    assert rows[DRESS]["box"] == [65, 45, 233, 252]
    told = "\n".join(w for w in warnings if "bbox" in w)
    for part in ("says 6 rows, found 7", "1 rows are of images that no", "1 rows repeat", "no row for 1 of the 6"):
        assert part in told
    (told,) = [w for w in warnings if "list_item" in w]
    assert "1 items have no image" in told and "1 items that are not listed" in told


def test_optional_files_may_be_missing(tmp_path):
    needed = ("Eval/list_eval_partition.txt", "Anno/list_bbox_inshop.txt")
    rows, warnings = read_rows("in-shop", write_tree(tmp_path, {name: FILES[name] for name in needed}))
    assert len(rows) == 6
    assert sorted(w.split(":")[0] for w in warnings) == sorted(set(FILES) - set(needed))


@pytest.mark.parametrize("missing", ["Eval/list_eval_partition.txt", "Anno/list_bbox_inshop.txt"])
def test_a_required_file_that_is_missing_is_named_with_the_layout(tmp_path, missing):
    source = write_tree(tmp_path, {name: text for name, text in FILES.items() if name != missing})
    with pytest.raises(InputError) as caught:
        read_rows("in-shop", source)
    message = str(caught.value)
    assert message.startswith(f"{missing}: not found in {tmp_path}; expected DeepFashion's In-shop layout")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f"{DRESS} id_00000002", "line 3: found 2 columns, expected image_name item_id evaluation_status"),
        (f"{DRESS} id_00000002 val", "line 3: found status 'val', expected one of train, query, gallery"),
    ],
)
def test_a_malformed_row_is_named_with_its_line(tmp_path, row, message):
    source = write_tree(tmp_path, {**FILES, "Eval/list_eval_partition.txt": f"1\nimage_name item_id status\n{row}\n"})
    with pytest.raises(InputError) as caught:
        read_rows("in-shop", source)
    assert str(caught.value) == f"Eval/list_eval_partition.txt, {message}"


@pytest.mark.parametrize("broken", ["[{]", '{"item": 1}', '[{"color": "Red"}]', '[{"item": "a", "description": [3]}]'])
def test_broken_descriptions_are_one_line(tmp_path, broken):
    source = write_tree(tmp_path, {**FILES, "Anno/list_description_inshop.json": broken})
    with pytest.raises(InputError, match=r"^Anno/list_description_inshop.json: found .*$"):
        read_rows("in-shop", source)


# As published since 2017: names without types that may hold blanks, items in rows, colours by image.
ATTRIBUTES = {
    "Anno/attributes/list_attr_cloth.txt": "4\nattribute_name\nlightweight\nheather grey\nblack\n3/4 sleeve\n",
    "Anno/attributes/list_attr_items.txt": """2
item_id  attribute_labels
id_00000002      1 -1  0  1
id_00000009     -1  0 -1 -1
""",
    "Anno/attributes/list_color_cloth.txt": f"""5
image_name                                   color
{DRESS}                  Black
{BACK}                   Heather Grey
{SKIRT}                  Light denim/white
{ALONE}                  Black
{QUERY}                  Navy
""",
}


@pytest.mark.parametrize("folder", ["Anno/attributes", "Anno"])
def test_attributes_of_the_item_and_the_colour_of_the_image_are_read_where_they_are(tmp_path, folder):
    files = FILES | {name.replace("Anno/attributes", folder): text for name, text in ATTRIBUTES.items()}
    source = write_tree(tmp_path, files)
    rows, warnings = read_rows("in-shop", source)
    assert {image: row["attributes"] for image, row in rows.items()} == {
        DRESS: ["lightweight", "3/4 sleeve", "color: Black"],
        BACK: ["lightweight", "3/4 sleeve", "color: Heather Grey"],
        SKIRT: ["lightweight", "3/4 sleeve", "color: Light denim/white"],
        ALONE: None,
        QUERY: ["color: Navy"],
        GALLERY: [],
    }
    assert any("list_attr_items.txt: no row for the items of 1 images" in warning for warning in warnings)
    assert read_attribute_types("in-shop", source) == {
        "lightweight": "attribute", "heather grey": "attribute", "black": "attribute", "3/4 sleeve": "attribute",
        "color: Black": "color", "color: Heather Grey": "color", "color: Light denim/white": "color", "color: Navy": "color",
    }  # fmt: skip


def test_without_the_lists_of_attributes_there_are_none_and_without_the_colours_only_these(tmp_path):
    assert read_attribute_types("in-shop", write_tree(tmp_path / "none", FILES)) == {}
    source = write_tree(tmp_path, FILES | {name: text for name, text in ATTRIBUTES.items() if "color" not in name})
    rows, warnings = read_rows("in-shop", source)
    assert rows[DRESS]["attributes"] == ["lightweight", "3/4 sleeve"]
    assert any("list_color_cloth.txt: not found; no colours are read" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "list_attr_cloth.txt",
            "black\n",
            "",
            "list_attr_cloth.txt: line 1 says 4 rows, found 3; other files call them by",
        ),
        (
            "list_attr_cloth.txt",
            "4\nattribute_name\n",
            "5\nattribute_name\nred\n",
            "list_attr_items.txt, line 3: found 4 labels, expected 5",
        ),
        ("list_color_cloth.txt", "Navy", "", "list_color_cloth.txt, line 7: found 1 column, expected image_name color"),
    ],
)
def test_lists_that_do_not_fit_together_are_refused(tmp_path, file, old, new, message):
    name = f"Anno/attributes/{file}"
    source = write_tree(tmp_path, FILES | ATTRIBUTES | {name: ATTRIBUTES[name].replace(old, new)})
    with pytest.raises(InputError) as caught:
        read_rows("in-shop", source)
    assert str(caught.value).startswith(f"Anno/attributes/{message}")

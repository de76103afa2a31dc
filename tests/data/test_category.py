import pytest
from literal_trees import read_rows, write_tree

from fashion.data.formats import images as join
from fashion.errors import InputError

A = "img/Sheer_Pleated-Front_Blouse/img_00000001.jpg"
B = "img/Sheer_Pleated-Front_Blouse/img_00000002.jpg"
C = "img/Denim_Cutoffs/img_00000001.jpg"

COARSE = {
    "Eval/list_eval_partition.txt": f"3\nimage_name  evaluation_status\n{A}   train\n{B}   val \n{C}   test\n",
    "Anno_coarse/list_category_cloth.txt": "3\ncategory_name category_type\nAnorak     1\nBlouse     1\nCutoffs    2\n",
    "Anno_coarse/list_category_img.txt": f"3\nimage_name  category_label\n{A}    2\n{B}    2\n{C}    3\n",
    "Anno_coarse/list_attr_cloth.txt": "3\nattribute_name   attribute_type\na-line   3\nacid wash  1\nchic  5\n",
    # In another order than the evaluation list.
    "Anno_coarse/list_attr_img.txt": f"3\nimage_name  attribute_labels\n{C}   -1  1  1\n{A}  1 -1  0\n{B} -1 -1 0\n",
    "Anno_coarse/list_bbox.txt": f"3\nimage_name x_1 y_1 x_2 y_2\n{A}  072  079  232  273\n{B} 1 2 3 4\n{C} 0 0 0 0\n",
    # No variation_type column here, whatever the benchmark's readme says.
    "Anno_coarse/list_landmarks.txt": f"""3
image_name clothes_type landmark_visibility_1 landmark_location_x_1 landmark_location_y_1
{A} 1 0 146 102 0 173 095 0 094 242 0 205 255 0 136 229 0 177 232
{B} 1 0 146 102 0 173 095 0 094 242 0 205 255 0 136 229 1 178 233
{C} 2 0 010 011 0 012 013 2 000 000 1 016 017
""",
}

FINE = {
    "Anno_fine/train.txt": f"{A}\n",
    "Anno_fine/val.txt": f"{B}\n",
    "Anno_fine/test.txt": f"{C}",
    "Anno_fine/list_attr_cloth.txt": "2\nattribute_name attribute_type\nlong sleeve  2\nfloral 1\n",
    "Anno_fine/list_category_cloth.txt": COARSE["Anno_coarse/list_category_cloth.txt"],
    **{f"Anno_fine/{split}_attr.txt": "1 0 \n" for split in ("train", "val")},
    "Anno_fine/test_attr.txt": "1 1\n",
    "Anno_fine/train_cate.txt": "2\n",
    "Anno_fine/val_cate.txt": "2\n",
    "Anno_fine/test_cate.txt": "3\n",
    **{f"Anno_fine/{split}_bbox.txt": "072 079 232 273\n" for split in ("train", "val", "test")},
    **{
        f"Anno_fine/{split}_landmarks.txt": "10 11 12 13 0 0 0 0 14 15 16 17 18 19 20 0\n"
        for split in ("train", "val", "test")
    },
}


def test_every_file_is_joined_by_the_images_name(tmp_path):
    rows, warnings = read_rows("category-attribute", write_tree(tmp_path, COARSE))
    assert warnings == []
    assert {image: (r["split"], r["role"], r["item"], r["category"]) for image, r in rows.items()} == {
        A: ("train", "gallery", A, "Blouse"),  # labels count from 1
        B: ("val", "query", B, "Blouse"),
        C: ("test", "query", C, "Cutoffs"),
    }
    assert [rows[image]["attributes"] for image in (A, B, C)] == [["a-line"], [], ["acid wash", "chic"]]
    assert rows[A]["box"] == [72, 79, 232, 273] and rows[A]["domain"] == "shop"
    assert rows[A]["landmarks"][:6] == [0, 146, 102, 0, 173, 95] and rows[A]["landmarks"][-3:] == [0, 177, 232]
    assert rows[C]["landmarks"] == [-1, 0, 0] * 4 + [0, 10, 11, 0, 12, 13, 2, 0, 0, 1, 16, 17]
    assert [rows[image]["clothes_type"] for image in (A, B, C)] == [1, 1, 2]


def test_the_folder_of_older_releases_is_read_and_the_clothes_type_then_comes_from_the_category(tmp_path):
    old = {name.replace("Anno_coarse", "Anno"): text for name, text in COARSE.items() if "landmarks" not in name}
    rows, warnings = read_rows("category-attribute", write_tree(tmp_path, old))
    assert [rows[image]["clothes_type"] for image in (A, B, C)] == [1, 1, 2]
    assert rows[C]["attributes"] == ["acid wash", "chic"]
    assert [w.split(":")[0] for w in warnings] == ["Anno/list_landmarks.txt"]


def test_batches_of_any_size_hold_the_same_rows(tmp_path, monkeypatch):
    source = write_tree(tmp_path, {k: v for k, v in COARSE.items() if "landmarks" not in k})
    whole, _ = read_rows("category-attribute", source)
    monkeypatch.setattr(join, "BATCH_ROWS", 2)
    parts, _ = read_rows("category-attribute", source)
    assert parts == whole and len(whole) == 3


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "list_category_img.txt",
            f"1\nh\n{A} 0\n",
            "line 3: found category label 0, expected a category label from 1 to 3",
        ),
        (
            "list_category_img.txt",
            f"1\nh\n{A} 4\n",
            "line 3: found category label 4, expected a category label from 1 to 3",
        ),
        ("list_category_img.txt", f"1\nh\n{A}\n", "line 3: found 1 columns, expected image_name category_label"),
        ("list_attr_img.txt", f"2\nh\n{A} 1 1 1\n{B} 1 1\n", "line 4: found 2 labels, expected 3"),
        ("list_attr_img.txt", f"1\nh\n{A} 1 2 1\n", "line 3: found a label that is not 1, -1 or 0"),
        ("list_attr_img.txt", f"1\nh\n{A} 1 1\n", "line 3: found 2 labels, expected 3"),
        ("list_attr_cloth.txt", "1\nh\nlonely\n", "line 3: found 'lonely', expected a name and a type"),
    ],
)
def test_a_malformed_row_is_named_with_its_line(tmp_path, file, text, message):
    source = write_tree(tmp_path, {**COARSE, f"Anno_coarse/{file}": text})
    with pytest.raises(InputError) as caught:
        read_rows("category-attribute", source)
    assert str(caught.value) == f"Anno_coarse/{file}, {message}"


@pytest.mark.parametrize("file", ["list_category_cloth.txt", "list_attr_cloth.txt"])
@pytest.mark.parametrize("fine", [False, True])
def test_a_list_with_a_row_missing_in_the_middle_is_refused_as_each_later_one_would_be_taken_for_another(
    tmp_path, file, fine
):
    files, name = (FINE, f"Anno_fine/{file}") if fine else (COARSE, f"Anno_coarse/{file}")
    lines = files[name].splitlines()
    rows = len(lines) - 2
    source = write_tree(tmp_path, {**files, name: "\n".join([*lines[:2], *lines[3:]])})
    with pytest.raises(
        InputError, match=rf"^{name}: line 1 says {rows} rows, found {rows - 1}; other files call them by"
    ):
        read_rows("category-attribute", source, fine=fine)


def test_missing_files_are_named_with_the_layout(tmp_path):
    for name in COARSE:
        source = write_tree(tmp_path / name.replace("/", "-"), {k: v for k, v in COARSE.items() if k != name})
        if "landmarks" not in name:
            with pytest.raises(InputError, match=r"^\S+: not found in .*Category and Attribute layout.*$") as caught:
                read_rows("category-attribute", source)
            assert name in str(caught.value)


def test_the_fine_annotation_is_aligned_by_row(tmp_path):
    rows, warnings = read_rows("category-attribute", write_tree(tmp_path, FINE), fine=True)
    assert warnings == []
    assert {image: (r["split"], r["attributes"], r["category"], r["clothes_type"]) for image, r in rows.items()} == {
        A: ("train", ["long sleeve"], "Blouse", 1),
        B: ("val", ["long sleeve"], "Blouse", 1),
        C: ("test", ["long sleeve", "floral"], "Cutoffs", 2),
    }
    assert rows[C]["box"] == [72, 79, 232, 273]
    assert rows[A]["landmarks"] == (
        [0, 10, 11, 0, 12, 13, -1, 0, 0, -1, 0, 0, 0, 14, 15, 0, 16, 17, 0, 18, 19, 0, 20, 0]
    )


def test_the_fine_annotation_takes_the_coarse_categories_and_does_without_optional_files(tmp_path):
    optional = ("_cate", "_bbox", "_landmarks", "category_cloth")
    needed = {name: text for name, text in FINE.items() if not any(part in name for part in optional)}
    rows, warnings = read_rows("category-attribute", write_tree(tmp_path / "bare", needed), fine=True)
    assert rows[A]["category"] is None and rows[A]["box"] is None and rows[A]["attributes"] == ["long sleeve"]
    assert sum("list_category_cloth" in w for w in warnings) == 1 and sum("_bbox" in w for w in warnings) == 3
    coarse = {k.replace("fine/list_category", "coarse/list_category"): v for k, v in FINE.items()}
    rows, _ = read_rows("category-attribute", write_tree(tmp_path / "coarse", coarse), fine=True)
    assert rows[C]["category"] == "Cutoffs"


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("train_attr.txt", "1 0\n1 0\n", "Anno_fine/train_attr.txt: found 2 rows, expected 1, one for each image"),
        ("val_bbox.txt", "", "Anno_fine/val_bbox.txt: found 0 rows, expected 1, one for each image"),
        ("val_bbox.txt", "1 2 3\n", "Anno_fine/val_bbox.txt, line 1: found 3 numbers, expected x_1 y_1 x_2 y_2"),
        ("test_attr.txt", "1 0 1\n", "Anno_fine/test_attr.txt, line 1: found 3 labels, expected 2"),
        ("test_cate.txt", "9\n", "Anno_fine/test_cate.txt, line 1: found category label 9, expected a category label"),
        ("test_landmarks.txt", "9 9\n", "Anno_fine/test_landmarks.txt, line 1: found 2 numbers, expected 8 x"),
        ("val.txt", f"{A}\n", f"Anno_fine/val.txt: {A} comes twice"),
    ],
)
def test_fine_files_that_do_not_fit_together_are_refused(tmp_path, file, text, message):
    source = write_tree(tmp_path, {**FINE, f"Anno_fine/{file}": text})
    with pytest.raises(InputError) as caught:
        read_rows("category-attribute", source, fine=True)
    assert str(caught.value).startswith(message)

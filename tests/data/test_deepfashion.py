import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from literal_trees import write_tree

from fashion.data.boxes import scale_box, usable_box
from fashion.data.formats.deepfashion import (
    box_rows,
    folder_category,
    label_rows,
    landmark_rows,
    names_and_types,
    positives,
)
from fashion.data.formats.text_table import counted_rows, lines
from fashion.domain import LANDMARKS, SLOTS
from fashion.errors import InputError


def table(tmp_path, content):
    return write_tree(tmp_path, {"Anno/list.txt": content}), "Anno/list.txt"


def test_rows_are_split_on_runs_of_white_space_under_bom_crlf_and_a_missing_last_newline(tmp_path):
    content = b"\xef\xbb\xbf3  \r\nimage_name  evaluation_status\r\nimg/a.jpg                \t train  \r\n\r\n"
    content += b"  img/b.jpg val\r\nimg/c.jpg   test"
    warnings = []
    rows = list(counted_rows(*table(tmp_path, content), warnings.append))
    assert rows == [(3, ["img/a.jpg", "train"]), (5, ["img/b.jpg", "val"]), (6, ["img/c.jpg", "test"])]
    assert warnings == []


@pytest.mark.parametrize("count", ["1", "007"])
def test_a_count_that_differs_is_a_warning_with_both_numbers_and_an_error_where_places_are_names(tmp_path, count):
    warnings = []
    with pytest.raises(InputError, match=rf"^Anno/list.txt: line 1 says {int(count)} rows, found 2; other files call"):
        names_and_types(*table(tmp_path, f"{count}\nname type\na 1\nb 2\n"), pytest.fail)
    rows = list(counted_rows(*table(tmp_path, f"{count}\nname\na\nb\n"), warnings.append))
    assert [row for _, row in rows] == [["a"], ["b"]]
    (warning,) = warnings
    assert "Anno/list.txt" in warning and f" {int(count)} " in warning and " 2;" in warning


def test_item_lists_have_no_line_of_column_names(tmp_path):
    source, name = table(tmp_path, "2\nid_00000001\nid_00000002\n")
    assert [row for _, row in counted_rows(source, name, pytest.fail, header=False)] == [
        ["id_00000001"],
        ["id_00000002"],
    ]


@pytest.mark.parametrize("content", ["image_name item_id\na b\n", "", "-3\nname\n"])
def test_a_file_without_a_count_is_refused(tmp_path, content):
    with pytest.raises(InputError, match=r"Anno/list.txt, line 1: .* expected the number of rows"):
        list(counted_rows(*table(tmp_path, content), pytest.fail))


def test_lines_are_the_same_wherever_the_chunks_end(tmp_path, monkeypatch):
    source, name = table(tmp_path, b"\xef\xbb\xbf3\r\nname\r\nimg/\xc3\xa9.jpg  1\r\n\r\nlast")
    whole = list(lines(source, name))
    assert whole == [(1, b"3"), (2, b"name"), (3, b"img/\xc3\xa9.jpg  1"), (5, b"last")]
    for size in range(1, 30):
        monkeypatch.setattr("fashion.data.formats.text_table._CHUNK", size)
        assert list(lines(source, name)) == whole


def test_text_that_is_not_utf8_and_endless_lines_are_refused_with_their_line(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="line 3: found bytes that are not UTF-8"):
        list(counted_rows(*table(tmp_path, b"1\nname\n\xff\xfe.jpg\n"), pytest.fail))
    monkeypatch.setattr("fashion.data.formats.text_table._LONGEST", 1000)
    monkeypatch.setattr("fashion.data.formats.text_table._CHUNK", 100)
    with pytest.raises(InputError, match="line 2: found a line of more than 1000 bytes"):
        list(lines(*table(tmp_path, b"1\n" + b"\0" * 5000)))


def test_boxes_are_zero_padded_decimal_numbers_and_kept_as_annotated(tmp_path):
    content = "3\nimage_name clothes_type pose_type x_1 y_1 x_2 y_2\nimg/a.jpg  3 1   072 079 232 273\n"
    content += "img/b.jpg 1 6 000 000 000 000 \nimg/c.jpg 2 4 200 008 -03 999\n"
    rows = dict(box_rows(*table(tmp_path, content), pytest.fail, ("clothes_type", "pose")))
    assert rows == {
        "img/a.jpg": {"clothes_type": 3, "pose": 1, "box": (72, 79, 232, 273)},
        "img/b.jpg": {"clothes_type": 1, "pose": 6, "box": (0, 0, 0, 0)},
        "img/c.jpg": {"clothes_type": 2, "pose": 4, "box": (200, 8, -3, 999)},
    }


@pytest.mark.parametrize(
    ("row", "found"),
    [("img/a.jpg 1 2 3", "4 columns"), ("img/a.jpg 1 2 x3 4", "'x3'"), ("img/a.jpg 1 2 3 99999999999", "99999999999")],
)
def test_a_malformed_box_names_file_line_what_was_found_and_expected(tmp_path, row, found):
    source, name = table(tmp_path, f"2\nimage_name x_1 y_1 x_2 y_2\nimg/0.jpg 1 2 3 4\n{row}\n")
    with pytest.raises(InputError) as caught:
        list(box_rows(source, name, pytest.fail, ()))
    assert str(caught.value) == f"Anno/list.txt, line 4: found {found}, expected image_name x_1 y_1 x_2 y_2"


# Each clothes type's landmarks in the published order, spelled out.
ORDER = {
    1: ["left collar", "right collar", "left sleeve", "right sleeve", "left hem", "right hem"],
    2: ["left waist", "right waist", "left hem", "right hem"],
    3: [*LANDMARKS],
}


@pytest.mark.parametrize("variation", ["", "5 "])
@pytest.mark.parametrize("kind", [1, 2, 3])
def test_landmark_rows_fill_the_slots_of_their_clothes_type(tmp_path, kind, variation):
    triples = [(i % 3, 10 + i, 100 + i) for i in range(len(ORDER[kind]))]
    row = f"img/a.jpg {kind} {variation}" + " ".join(f"{v} {x:03d} {y:03d} " for v, x, y in triples)
    # The header always lists all eight.
    header = "image_name clothes_type variation_type " + " ".join(f"landmark_visibility_{i}" for i in range(1, 9))
    ((image, values),) = landmark_rows(*table(tmp_path, f"1\n{header}\n{row}\n"), pytest.fail)
    slots = np.reshape(values["landmarks"], (8, 3))
    expected = dict(zip(ORDER[kind], triples, strict=True))
    assert (image, values["clothes_type"]) == ("img/a.jpg", kind)
    for name, slot in zip(LANDMARKS, slots, strict=True):
        assert tuple(slot) == expected.get(name, (-1, 0, 0)), name


@pytest.mark.parametrize(
    "row", ["img/a.jpg 2 0 1 2 0 3 4", "img/a.jpg 4 " + "0 1 2 " * 4, "img/a.jpg", "img/a.jpg 1 0 1"]
)
def test_landmark_rows_of_another_length_are_refused(tmp_path, row):
    with pytest.raises(
        InputError, match=r"Anno/list.txt, line 3: found clothes type .* expected image_name clothes_type"
    ):
        list(landmark_rows(*table(tmp_path, f"1\nheader\n{row}\n"), pytest.fail))


def test_every_slot_is_used_by_full_body_and_the_others_keep_its_order():
    assert SLOTS[3] == tuple(range(8))
    assert all(list(slots) == sorted(set(slots)) for slots in SLOTS.values())


def test_names_may_hold_blanks_and_the_english_one_is_taken_where_a_chinese_one_stands_before(tmp_path):
    content = "\ufeff4\r\nname type\r\na-line    3\r\nacid wash denim  2\r\n圆领 T恤  Round Neck  1\r\n纯色 7"
    found = names_and_types(*table(tmp_path, content), pytest.fail)
    assert found == [("a-line", "3"), ("acid wash denim", "2"), ("Round Neck", "1"), ("纯色", "7")]


def test_labels_of_minus_one_and_zero_both_count_as_absent(tmp_path):
    source, name = table(tmp_path, "2\nimage_name labels\nimg/a.jpg     -1  1 0\t 1 \nimg/b.jpg\t0 -1 -1 0\n")
    rows = list(label_rows(source, name, pytest.fail, ["red", "long sleeve", "dot", "lace"]))
    assert rows == [("img/a.jpg", ["long sleeve", "lace"]), ("img/b.jpg", [])]


@given(st.lists(st.sampled_from(["1", "-1", "0"]), max_size=60), st.sampled_from([" ", "  ", "\t", " \r\n "]))
def test_positives_are_those_of_parsing_each_number(labels, blank):
    expected = [i for i, label in enumerate(labels) if int(label) == 1]
    assert positives(blank.join(labels).encode(), len(labels)) == expected


@given(st.lists(st.sampled_from(["1", "-1", "0", "10", "01", "-10", "--1", "1-1", "2", "-", "x"]), max_size=8))
def test_positives_refuses_whatever_is_not_one_label_a_token(labels):
    if all(label in ("1", "-1", "0") for label in labels):
        return
    for count in {len(labels), len("".join(labels).replace("-1", "0"))}:
        with pytest.raises(InputError):
            positives(" ".join(labels).encode(), count)


def test_a_row_with_a_label_too_few_is_refused_with_both_numbers(tmp_path):
    source, name = table(tmp_path, "1\nimage_name labels\nimg/a.jpg 1 -1\n")
    with pytest.raises(InputError, match=r"^Anno/list.txt, line 3: found 2 labels, expected 3$"):
        list(label_rows(source, name, pytest.fail, ["a", "b", "c"]))


def test_the_category_is_the_two_folders_under_img():
    assert folder_category("img/WOMEN/Dresses/id_00000002/02_1_front.jpg") == "WOMEN/Dresses"
    assert folder_category("img/TOPS/T_Shirt/id_00000001/comsumer_01.jpg") == "TOPS/T_Shirt"
    assert folder_category("img/loose.jpg") is None


@pytest.mark.parametrize(
    ("box", "usable"),
    [
        ((72, 79, 232, 173), (72, 79, 232, 173)),
        ((232, 173, 72, 79), (72, 79, 232, 173)),  # corners swapped
        ((-20, 10, 400, 250), (0, 10, 300, 200)),  # out of the picture on three sides
        ((0, 0, 0, 0), None),
        ((50, 60, 50, 180), None),  # no area
        ((310, 10, 400, 100), None),  # wholly outside
        ((296, 10, 400, 100), None),  # a sliver of 4 pixels is left
        ((0, 0, 300, 200), (0, 0, 300, 200)),
    ],
)
def test_a_box_is_clamped_to_the_picture_and_given_up_when_nothing_is_left(box, usable):
    assert usable_box(box, 300, 200) == usable


def test_a_box_scales_with_the_high_resolution_picture():
    assert scale_box((10, 20, 100, 200), (256, 256), (750, 1101)) == (29, 86, 293, 860)

import math
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fashion.retrieval import figures, map_layout

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


@pytest.mark.parametrize("shape", [(60, 7), (12, 90)], ids=["more images than dimensions", "fewer"])
def test_pca_keeps_the_two_largest_variances_on_uncorrelated_axes(shape):
    rng = np.random.default_rng(3)
    embeddings = rng.normal(size=shape) * rng.uniform(0.1, 3, size=shape[1]) + 5
    coordinates = map_layout.pca_2d(embeddings.astype(np.float32))
    largest = np.linalg.eigvalsh(np.cov(embeddings, rowvar=False))[::-1][:2]
    np.testing.assert_allclose(np.cov(coordinates, rowvar=False), np.diag(largest), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(coordinates.mean(axis=0), 0, atol=1e-9)


def test_pca_axes_point_where_their_largest_component_is_positive():
    cross = np.array([[-3.0, 0, 0], [3, 0, 0], [0, 0, 1], [0, 0, -1]])
    np.testing.assert_allclose(map_layout.pca_2d(cross), [[-3, 0], [3, 0], [0, 1], [0, -1]], atol=1e-12)


def test_pca_places_an_image_the_same_whatever_the_order():
    rng = np.random.default_rng(5)
    embeddings, order = rng.normal(size=(40, 9)), rng.permutation(40)
    np.testing.assert_allclose(map_layout.pca_2d(embeddings[order]), map_layout.pca_2d(embeddings)[order], atol=1e-9)


@pytest.mark.parametrize("shape", [(0, 8), (1, 8), (5, 1), (4, 0)])
def test_pca_of_too_little_has_zeros_for_the_axes_that_do_not_exist(shape):
    embeddings = np.arange(np.prod(shape), dtype=float).reshape(shape)
    coordinates = map_layout.pca_2d(embeddings)
    assert coordinates.shape == (shape[0], 2)
    np.testing.assert_array_equal(coordinates[:, 1], 0)


def test_pca_refuses_what_is_not_a_matrix():
    with pytest.raises(ValueError, match=r"shape \(3,\): expected \(N, D\)"):
        map_layout.pca_2d(np.zeros(3))


def test_fill_unit_square_reaches_the_margins_and_centres_a_flat_axis():
    placed = map_layout.fill_unit_square([(10, 7), (20, 7), (12.5, 7)], margin=0.1)
    np.testing.assert_allclose(placed, [(0.1, 0.5), (0.9, 0.5), (0.3, 0.5)])
    assert map_layout.fill_unit_square(np.zeros((0, 2))).shape == (0, 2)


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), max_size=30))
def test_thumbnails_do_not_overlap_and_none_is_left_out_for_nothing(points):
    def overlap(a, b):
        return abs(a[0] - b[0]) < 2 and abs(a[1] - b[1]) < 3

    fits = map_layout.thumbnails_that_fit(np.array(points).reshape(-1, 2), 2, 3)
    for i, point in enumerate(points):
        assert fits[i] == (not any(fits[j] and overlap(point, points[j]) for j in range(i)))


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.25, 0.5, 0.75, 1]),
        (0.31, 2.4, [0, 1, 2, 3]),
        (0, 3e-4, [0, 1e-4, 2e-4, 3e-4]),
        (402, 455, [400, 420, 440, 460]),
        (2, 2, [1, 1.5, 2, 2.5, 3]),
        (0, 0, [-0.5, -0.25, 0, 0.25, 0.5]),
        (0.1 + 0.2, 0.3, [0.1, 0.2, 0.3, 0.4, 0.5]),
    ],
)
def test_nice_ticks(low, high, ticks):
    assert figures.nice_ticks(low, high) == ticks


@given(NUMBERS, NUMBERS)
def test_nice_ticks_hold_the_range_in_few_round_steps(a, b):
    low, high = sorted((a, b))
    ticks = figures.nice_ticks(low, high)
    step = (ticks[-1] - ticks[0]) / (len(ticks) - 1)
    slack = 1e-6 * step
    assert ticks[0] - slack <= low and high <= ticks[-1] + slack
    assert 2 <= len(ticks) <= 7
    mantissa = step / 10.0 ** math.floor(math.log10(step * (1 + 1e-9)))
    assert min(abs(mantissa - round_number) for round_number in (1, 2, 2.5, 5)) < 1e-4


@given(st.lists(st.floats(0, 100), max_size=6))
def test_spread_keeps_order_gap_and_bounds(positions):
    moved = figures.spread(positions, 16, 0, 100)
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    ascending = [moved[i] for i in order]
    assert all(b - a >= 16 - 1e-9 for a, b in pairwise(ascending))
    assert all(-1e-9 <= position <= 100 + 1e-9 for position in moved)


def test_spread_leaves_alone_what_is_far_enough_apart():
    assert figures.spread([80, 10, 40], 16, 0, 100) == [80, 10, 40]


def path_points(path: str) -> list[tuple[float, float]]:
    return [tuple(map(float, pair.split())) for pair in re.split("[ML]", path)[1:]]


def test_line_plot_is_the_data_on_its_axes():
    curve = [(1, 0.1), (10, 0.35), (100, 0.8)]
    plot = figures.line_plot(
        {"ours": curve}, title="t", x_label="k", y_format=str, x_ticks=[1, 10, 100], y_ticks=[0, 0.5, 1], log_x=True
    )
    across, up = plot.right - plot.left, plot.bottom - plot.top
    for (x, y), (drawn_x, drawn_y), mark in zip(
        curve, path_points(plot.lines[0].path), plot.lines[0].marks, strict=True
    ):
        assert (drawn_x - plot.left) / across == pytest.approx(math.log10(x) / 2, abs=1e-3)
        assert (plot.bottom - drawn_y) / up == pytest.approx(y, abs=1e-3)
        assert mark == (drawn_x, drawn_y, f"ours, k {x}: {y}")
    assert [(round((x - plot.left) / across, 3), text) for x, text in plot.x_ticks] == [
        (0, "1"),
        (0.5, "10"),
        (1, "100"),
    ]
    assert [(round((plot.bottom - y) / up, 3), text) for y, text in plot.y_ticks] == [(0, "0"), (0.5, "0.5"), (1, "1")]


def test_line_plot_leaves_out_what_cannot_be_drawn():
    nan = float("nan")
    curves = {"a": [(1, 2.0), (2, nan), (3, 4.0), (4, None)], "b": [(1, float("inf"))]}
    plot = figures.line_plot(curves, title="t", x_label="epoch", y_format="{:g}".format)
    assert [line.name for line in plot.lines] == ["a"]
    assert [text for _, _, text in plot.lines[0].marks] == ["a, epoch 1: 2", "a, epoch 3: 4"]
    assert plot.text == "t. a: 2 at epoch 1, 4 at epoch 3."
    with pytest.raises(ValueError, match="no curve"):
        figures.line_plot({"b": curves["b"]}, title="t", x_label="epoch", y_format=str)


def test_line_plot_of_one_point_is_in_the_middle():
    plot = figures.line_plot({"a": [(1, 2.0)]}, title="t", x_label="epoch", y_format=str)
    assert path_points(plot.lines[0].path) == [((plot.left + plot.right) / 2, (plot.top + plot.bottom) / 2)]


def test_tick_labels_that_would_touch_are_dropped_but_not_the_last():
    ks = [1, 10, 20, 30, 40, 50]
    plot = figures.line_plot(
        {"a": [(k, 0.5) for k in ks]}, title="t", x_label="k", y_format=str, x_ticks=ks, log_x=True
    )
    assert [text for _, text in plot.x_ticks] == ["1", "10", "20", "30", "50"]

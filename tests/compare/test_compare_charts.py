import re
from xml.etree import ElementTree

import numpy as np
import pytest
from cell_files import write_comparison_folder

from nearbit.compare.charts import length_charts
from nearbit.compare.findings import find
from nearbit.report.charts import COLORS, DASHES, SHAPES, Axis, Line, chart, legend, nice_ticks
from nearbit.report.maps import LARGEST, matrix_picture

UNIT = Axis(label="up", ticks={0.0: "0", 1.0: "1"})


def drawn(*lines, x=UNIT, y=UNIT):
    return ElementTree.fromstring(chart("title", lines, x, y))


def points_of(element):
    return [tuple(map(float, pair.split(","))) for pair in element.get("points").split()]


@pytest.mark.parametrize(
    ("low", "high"), [(0.61, 0.83), (0.0, 1.0), (0.5, 0.5), (0.9991, 0.9996), (-0.01, 0.3), (0.03, 250.0), (0.6, 0.7)]
)
def test_ticks_are_even_few_and_around_the_values(low, high):
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert 2 <= len(ticks) <= 8
    np.testing.assert_allclose(np.diff(ticks), ticks[1] - ticks[0])


def test_ends_of_the_axes_are_the_corners_of_the_chart():
    root = drawn(Line(name="a", style=0, points=[(0, 0), (1, 1), (0.5, 0.5)]))
    (line,) = root.findall("polyline")
    (left, bottom), (right, top), middle = points_of(line)
    assert (left, bottom, right, top) == (58, 214, 330, 30)
    assert middle == ((left + right) / 2, (bottom + top) / 2)


def test_a_band_is_a_deviation_above_and_below_each_point():
    root = drawn(Line(name="a", style=0, points=[(0, 0.5), (1, 0.5)], deviations=[0.5, 0.25]))
    corners = points_of(root.find("polygon"))
    assert corners == [(58, 30), (330, 76), (330, 168), (58, 214)]
    assert drawn(Line(name="a", style=0, points=[(0, 0.5)], deviations=[0.0])).find("polygon") is None


def test_every_point_or_those_asked_for_have_a_mark_with_their_value():
    line = Line(name="a <b>", style=1, points=[(0, 0.25), (1, 0.5)])
    titles = [element.text for element in drawn(line).iter("title")]
    assert titles == ["a <b>: up 0, up 0.2500", "a <b>: up 1, up 0.5000"]
    some = Line(name="a", style=1, points=[(0, 0.25), (1, 0.5)], marked=[1])
    assert [element.text for element in drawn(some).iter("title")] == ["a: up 1, up 0.5000"]


def test_styles_look_different_from_each_other_in_shape_not_in_colour_alone():
    shapes = set()
    for style in range(len(SHAPES)):
        (item,) = ElementTree.fromstring(legend({"a": style})).findall("li")
        mark = item.find("svg")[1]
        shapes.add((mark.tag, mark.get("d")))
    assert len(shapes) == len(SHAPES)
    looks = {re.sub(">[^<]*</li>", "", legend({"a": style})) for style in range(COLORS * len(DASHES))}
    assert len(looks) == COLORS * len(DASHES)


def test_a_line_has_a_gap_where_a_length_was_not_measured(tmp_path):
    skip = [f"crh-linear-16-seed{seed}" for seed in range(2)]
    findings = find(
        write_comparison_folder(tmp_path, bits=(12, 16, 20), seeds=(0, 1), methods=["crh", "csq"], skip=skip)
    )
    lines = re.findall(r'<polyline points="([^"]*)"', length_charts(findings))
    assert [len(line.split()) for line in lines] == [1, 1, 3]


def test_a_matrix_is_dark_where_it_is_low_and_light_where_it_is_high():
    image = np.asarray(matrix_picture([[0.0, 4.0], [2.0, -1.0]], low=0, high=4))
    assert image.shape == (2, 2, 3)
    assert image[0, 0].tolist() == image[1, 1].tolist() == [68, 1, 84]
    assert image[0, 1].tolist() == [253, 231, 37]
    assert image[1, 0].tolist() == [38, 144, 137]


@pytest.mark.parametrize("size", [1, LARGEST, LARGEST + 1, 3 * LARGEST - 1])
def test_large_matrices_are_averaged_to_a_small_picture(size):
    image = matrix_picture(np.full((size, size), 5.0), low=0, high=5)
    assert image.size[0] == image.size[1] <= LARGEST
    assert (np.asarray(image) == [253, 231, 37]).all()


def test_brightness_grows_with_the_value():
    values = np.asarray(matrix_picture(np.linspace(0, 1, 50)[None], low=0, high=1), np.float64)[0]
    assert (np.diff(values @ [0.2126, 0.7152, 0.0722]) > 0).all()

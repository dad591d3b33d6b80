"""The demo: every model, its indexes, figures, readings of them, and a page that needs nothing else."""

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import click
import numpy as np
import pytest

from nearbit.cli.main import cli, run
from nearbit.codes import hamming_distances, pack
from nearbit.datasets import load_dataset
from nearbit.demo import STORIES, Story, run_demo, stories
from nearbit.demo.networks import TimeLeft
from nearbit.demo.searches import SHOWN_QUERIES
from nearbit.demo.stories import gray_values
from nearbit.index import open_index
from nearbit.model import load_model
from nearbit.report.demo_page import AT_ONCE, WITH_LABELS
from nearbit.report.demo_parts import Centers, Chapter, FloatFigure, PageCell
from nearbit.report.demo_readings import reading_of_centers, readings
from nearbit.report.dots import dot_chart
from nearbit.report.svg import bit_strip, distance_map, line_chart, similarity_map

BITS = 8


def small(story: Story) -> Story:
    """Return a chapter that is trained for one epoch on tiny images, and without a committee of classifiers."""
    few = story.name == "digits-few"
    options = replace(story.options, image_size=None if few else 8, epochs=1, validate_every=1)
    lighter = {"shown": "shc", "seconds": {"csq": 1, "shc": 3}} if few else {}
    return replace(story, options=options, **lighter)  # type: ignore[arg-type]


@dataclass
class Made:
    """A demo that was made by the command line: its folder, and what was printed on both streams."""

    folder: Path
    out: str
    err: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("made") / "it's a demo"
    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stories, "STORIES", tuple(map(small, STORIES)))
        with redirect_stdout(out), redirect_stderr(err):
            assert run(["demo", "-o", str(folder), "--bits", str(BITS)]) == 0
        yield Made(folder, out.getvalue(), err.getvalue())


def test_demo_goes_the_whole_road_and_says_where_it_is(made: Made) -> None:
    about = json.loads((made.folder / "results.json").read_text(encoding="utf-8"))
    assert [(row["dataset"], row["method"], row["n_bits"]) for row in about["rows"]] == [
        ("digits-few", "csq", 16), ("digits-few", "shc", 16),
        ("digits", "crh", BITS), ("digits", "csq", BITS), ("shapes", "crh", 32),
    ]  # fmt: skip
    assert all(0 < row["asymmetric_map"] < 1 for row in about["rows"])
    assert [(row["dataset"], row["name"], row["width"]) for row in about["floats"]] == [
        ("digits-few", "float cosine", 64), ("digits-few", "linear probe", 10),
    ]  # fmt: skip
    told = re.findall(r"^(network .*?): about .* (?:left|on an idle core)$", made.err, re.MULTILINE)
    assert told == [
        f"network {place} of 5 ({row['dataset']}, {row['method']}, {row['n_bits']} bits)"
        for place, row in enumerate(about["rows"], start=1)
    ]
    with open_index(made.folder / "digits.index") as index:
        assert len(index) == about["rows"][2]["n_database"]
    text = (made.folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=\"(?!data:)", text), "the page needs something from elsewhere"
    assert text.count("<b>query</b>") == 3 * SHOWN_QUERIES


def test_demo_uses_its_models_again(made: Made) -> None:
    before = json.loads((made.folder / "results.json").read_text(encoding="utf-8"))
    written = {path: path.stat().st_mtime_ns for path in made.folder.rglob("weights.safetensors")}
    again = run_demo(made.folder, bits=(BITS,), tell=lambda line: pytest.fail(f"trained again: {line}"))
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert again["rows"] == before["rows"]
    assert json.loads((made.folder / "results.json").read_text(encoding="utf-8")) == again


def test_correlation_of_centers_is_that_of_their_distances_with_the_similarity(made: Made) -> None:
    semantic, fixed = json.loads((made.folder / "results.json").read_text(encoding="utf-8"))["centers"]
    model = load_model(made.folder / "digits-few-shc-16.model")
    assert model.similarity is not None
    packed = pack(model.centers.centers)
    pairs = np.triu_indices(10, k=1)
    distances = hamming_distances(packed, packed, 16)[pairs]
    expected = -np.corrcoef(distances, model.similarity[pairs])[0, 1]
    assert semantic["correlation"] == pytest.approx(expected)
    assert semantic["min_distance"] == distances.min()
    assert fixed == {"dataset": "digits-few", "method": "csq", "n_bits": 16, "correlation": None, "min_distance": 8}
    assert "All centers are equally far apart" in (made.folder / "report.html").read_text(encoding="utf-8")


def test_last_lines_can_be_pasted(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    search, serve, *others = [line for line in made.out.splitlines() if line.startswith("nearbit ")]
    assert run(shlex.split(search)[1:]) == 0
    assert capsys.readouterr().out.startswith("item 1:")
    assert shlex.split(serve) == ["nearbit", "serve", str(made.folder / "digits.index")]
    assert others == [*AT_ONCE, *WITH_LABELS]
    page = (made.folder / "report.html").read_text(encoding="utf-8")
    assert "\n".join(AT_ONCE) in page
    assert "\n".join(WITH_LABELS) in page


@pytest.mark.parametrize("line", [*AT_ONCE, *WITH_LABELS])
def test_commands_for_own_images_are_those_of_the_readme(line: str) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"^\$ {re.escape(line)}( +#.*)?$", readme, re.MULTILINE), "README has other first commands"
    words = shlex.split(line)
    assert cli.get_command(click.Context(cli), words[1]) is not None


def test_features_of_the_first_chapter_are_the_pixels() -> None:
    images = load_dataset("digits")
    features = gray_values(images)
    row = 7
    pixels = list(images.source.read(row).convert("L").tobytes())
    assert features.source.features[row].tolist() == pixels
    assert (features.labels == images.labels).all()
    assert features.keys == images.keys


def test_time_that_is_left_follows_what_the_first_trainings_took() -> None:
    now = [100.0]
    left = TimeLeft([2, 4, 10], clock=lambda: now[0])
    assert (left.number, left.seconds(), left.words()) == (1, 16, "about 16 s on an idle core")
    now[0] += 6
    left.one_done()
    assert (left.number, left.seconds(), left.words()) == (2, 42, "about 42 s left")
    now[0] += 6
    left.one_done()
    assert left.seconds() == 20


def cell(method: str, found: float, asymmetric: float | None = None) -> PageCell:
    return PageCell(
        method=method, n_bits=16, tie_aware_map=found, asymmetric_map=asymmetric, map_database_order=found,
        distinct_codes=9, n_database=99, seconds=1.0,
    )  # fmt: skip


def read(*cells: PageCell, floats: tuple[FloatFigure, ...] = ()) -> str:
    chapter = Chapter(
        name="some", title="", words="", over_seeds="", dataset=None, cells=cells, floats=floats, centers=(),
        shown=None, chance=0.1, found=(),
    )  # type: ignore[arg-type]  # fmt: skip
    return " ".join(readings(chapter))


def test_readings_say_what_the_figures_show_and_no_more() -> None:
    assert "too easy to tell methods apart" in read(cell("a", 0.99), cell("b", 0.999))
    assert "0.010 apart, which one seed cannot tell from noise" in read(cell("a", 0.80), cell("b", 0.81))
    apart = read(cell("a", 0.80), cell("b", 0.70), cell("c", 0.79))
    assert (
        apart == "Highest is a (0.800), lowest b (0.700): 0.100 apart. c is within 0.02 of the best: too near to rank."
    )
    floats = (FloatFigure("float cosine", 64, 0.65), FloatFigure("linear probe", 10, 0.75))
    beside = read(cell("a", 0.80), cell("b", 0.70), floats=floats)
    assert "2 of 2 methods rank above the float cosine (0.650); 1 of 2 methods rank above the linear probe" in beside
    assert "A code has 16 bits, the 64 floats of a row 2,048." in beside
    assert read(cell("a", 0.5)) == ""
    assert "changes the figure by -0.100" in read(cell("a", 0.5, 0.4))
    assert "gains for 1 of 2 networks: by -0.010 to +0.020" in read(cell("a", 0.50, 0.52), cell("b", 0.60, 0.59))


def test_reading_of_centers_says_how_they_follow_the_similarity() -> None:
    square = np.zeros((2, 2))
    known = Centers("shc", 16, square.astype(np.int32), square, 0.894, 6)
    assert reading_of_centers(known) == "Correlation with the similarity +0.89; no two nearer than 6 bits."


def test_chart_keeps_its_labels_apart() -> None:
    chart = line_chart({"one": {16: 0.9, 32: 0.95}, "two": {16: 0.9, 32: 0.95}}, x_label="bits", y_label="mAP")
    heights = [float(y) for y, name in re.findall(r'<text x="340" y="([\d.]+)"[^>]*>(\w+)<', chart)]
    assert abs(heights[0] - heights[1]) >= 12


def test_dots_lie_on_one_scale_with_the_levels() -> None:
    drawn = dot_chart({"<a>": {"signs": 0.5, "outputs": 0.7}}, {"cosine": 0.6}, x_label="mAP")
    assert "&lt;a&gt;, signs: 0.5000" in drawn
    assert "<a>" not in drawn
    after, before = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', drawn)]
    (level,) = re.findall(r'<line x1="([\d.]+)"[^>]*dasharray', drawn)
    assert float(level) == pytest.approx((before + after) / 2, abs=0.11)
    assert before < after


def test_distance_map_escapes_names_and_names_distances() -> None:
    drawn = distance_map(np.array([[0, 7], [7, 0]], np.int32), ["<a>", "b"], n_bits=16)
    assert "&lt;a&gt; and b: 7 bits" in drawn
    assert "<a>" not in drawn


def test_a_similarity_is_as_dark_as_the_distance_that_it_means() -> None:
    similarity = np.array([[1, -0.25], [-0.25, 1]])
    distances = np.array([[0, 10], [10, 0]], np.int32)  # of 16 bits: the product is 1 - 2 * 10 / 16 = -.25
    shades = [
        re.findall(r'fill-opacity="([\d.]+)"', drawn)
        for drawn in (similarity_map(similarity, "ab"), distance_map(distances, "ab", n_bits=16))
    ]
    assert shades[0] == shades[1]


def test_strip_marks_the_bits_that_differ() -> None:
    signs = np.array([1, -1, 1], np.int8)
    assert "var(--miss)" not in bit_strip(signs, signs)
    assert 'd="M1 0h1v1h-1z" fill="var(--miss)"' in bit_strip(signs, np.array([1, 1, 1], np.int8))

"""The demo: every model, an index, figures and a page that needs nothing else."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nearbit.demo
from nearbit.demo import STORIES, run_demo
from nearbit.index import open_index
from nearbit.report.svg import bit_strip, distance_map, line_chart


def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the demo train for one epoch on tiny images."""
    stories = [
        replace(story, options=replace(story.options, image_size=8, epochs=1, validate_every=1)) for story in STORIES
    ]
    monkeypatch.setattr(nearbit.demo, "STORIES", tuple(stories))


def test_demo_goes_the_whole_road_and_uses_its_models_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hasty(monkeypatch)
    about = run_demo(tmp_path / "demo", bits=(8,))
    assert [(row["dataset"], row["method"], row["n_bits"]) for row in about["rows"]] == [
        ("digits", "crh", 8), ("digits", "csq", 8), ("shapes", "crh", 32), ("shapes", "csq", 32),
    ]  # fmt: skip
    assert json.loads((tmp_path / "demo" / "results.json").read_text()) == about
    with open_index(tmp_path / "demo" / "digits.index") as index:
        assert len(index) == about["rows"][0]["n_database"]
    text = (tmp_path / "demo" / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=\"(?!data:)", text), "the page needs something from elsewhere"
    assert text.count("<b>query</b>") == 2 * nearbit.demo.SHOWN_QUERIES
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("weights.safetensors")}
    again = run_demo(tmp_path / "demo", bits=(8,))
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert again["rows"] == about["rows"]


def test_chart_keeps_its_labels_apart() -> None:
    chart = line_chart({"one": {16: 0.9, 32: 0.95}, "two": {16: 0.9, 32: 0.95}}, x_label="bits", y_label="mAP")
    heights = [float(y) for y, name in re.findall(r'<text x="340" y="([\d.]+)"[^>]*>(\w+)<', chart)]
    assert abs(heights[0] - heights[1]) >= 12


def test_distance_map_escapes_names_and_names_distances() -> None:
    drawn = distance_map(np.array([[0, 7], [7, 0]], np.int32), ["<a>", "b"], n_bits=16)
    assert "&lt;a&gt; and b: 7 bits" in drawn
    assert "<a>" not in drawn


def test_strip_marks_the_bits_that_differ() -> None:
    signs = np.array([1, -1, 1], np.int8)
    assert "var(--miss)" not in bit_strip(signs, signs)
    assert 'd="M1 0h1v1h-1z" fill="var(--miss)"' in bit_strip(signs, np.array([1, 1, 1], np.int8))

"""The table of formats: a new one is a file and an entry; and the reading options, which stand once."""

import os
import shutil
import subprocess
import sys
from dataclasses import MISSING, fields, replace
from importlib import import_module
from inspect import get_annotations
from pathlib import Path
from typing import get_type_hints

import click
import pytest
from awkward_images import encoded, noisy

import nearbit
from nearbit.cli.console import data_options, image_options
from nearbit.datasets import ReadingOptions, formats, load_dataset, load_images
from nearbit.datasets.formats.format import FOR_FOLDERS, Format
from nearbit.datasets.listing import ListedImage, Listing
from nearbit.errors import DataError, InputError
from nearbit.reading import ReadingKeywords

ROOT = Path(__file__).parent.parent.parent
OF_PYTHON = {"cache", "progress", "max_pixels"}
"""Fields that are no options of their own on the command line: what others share, or is not said there."""


def list_pairs(file: Path, options: ReadingOptions) -> Listing:
    """List the images of a file with "label path" a line."""
    root = options.images or file.parent
    pairs = (line.split(" ", 1) for line in file.read_text(encoding="utf-8").splitlines())
    items = tuple(ListedImage(path, (label,)) for label, path in pairs)
    return Listing(file.stem, root, items, read_as=f"the pairs of {file.name}")


PAIRS = Format(name="pairs", read=list_pairs, endings=(".pairs",), refuses=FOR_FOLDERS)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "set"
    root.mkdir()
    for seed, name in enumerate(("a.png", "b.png")):
        (root / name).write_bytes(encoded(noisy(seed, 8)))
    (root / "labels.pairs").write_text("wren a.png\nowl b.png\n", encoding="utf-8")
    return root


@pytest.fixture
def with_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "FORMATS", (PAIRS, *formats.FORMATS))


@pytest.mark.usefixtures("with_pairs")
def test_a_format_is_an_entry_of_the_table(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    dataset = load_dataset(root / "labels.pairs", cache=cache)
    assert (dataset.keys, dataset.classes) == (("a.png", "b.png"), ("owl", "wren"))
    assert dataset.label_names(0) == ("wren",)
    assert dataset.read_as == "the pairs of labels.pairs"
    assert load_dataset(root, cache=cache).fingerprint == dataset.fingerprint  # the folder that holds it
    assert load_images(root, cache=cache).classes == dataset.classes
    (root / "split.csv").write_text("path,split\na.png,train\nb.png,test\n")
    assert load_dataset(root, cache=cache).given_parts == ("train", "query")


@pytest.mark.usefixtures("with_pairs")
def test_the_rules_for_all_formats_hold_for_a_new_one(root: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"class_level='leaf' is for folders of images; leave it out for .*labels.pairs"
    ):
        load_dataset(root, class_level="leaf")
    with pytest.raises(InputError, match=r"label_level='both' is for cifar100; .*labels.pairs is none: leave it out"):
        load_dataset(root, label_level="both")
    (tmp_path / "x.xyz").write_bytes(b"x")
    with pytest.raises(
        DataError, match=r"or a labels file ending in \.pairs, \.csv, \.tsv, \.jsonl, \.json, \.tar, \.parquet, \.txt$"
    ):
        load_dataset(tmp_path / "x.xyz")
    (root / "annotations.json").write_text("{}")
    with pytest.raises(DataError, match=r"holds annotations.json and labels.pairs; name the one to read"):
        load_dataset(root)


def test_without_the_entry_the_file_is_none(root: Path) -> None:
    with pytest.raises(
        DataError, match=r"or a labels file ending in \.csv, \.tsv, \.jsonl, \.json, \.tar, \.parquet, \.txt$"
    ):
        load_dataset(root / "labels.pairs")


def test_a_format_goes_into_the_package_as_a_file_and_an_entry(root: Path, tmp_path: Path) -> None:
    """In a copy of the package, as CONTRIBUTING says it."""
    package = tmp_path / "src" / "nearbit"
    shutil.copytree(Path(nearbit.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "datasets" / "formats" / "pairs.py").write_text(
        '''"""Pairs of a label and a path, a line each."""

from nearbit.datasets.formats.format import FOR_FOLDERS, Format
from nearbit.datasets.listing import ListedImage, Listing


def list_pairs(file, options):
    pairs = (line.split(" ", 1) for line in file.read_text(encoding="utf-8").splitlines())
    return Listing(file.stem, file.parent, tuple(ListedImage(path, (label,)) for label, path in pairs))


PAIRS = Format(name="pairs", read=list_pairs, endings=(".pairs",), refuses=FOR_FOLDERS)
''',
        encoding="utf-8",
    )
    table = package / "datasets" / "formats" / "__init__.py"
    text = table.read_text(encoding="utf-8")
    assert text.count("LISTS, *_PUBLISHED, FOLDER)") == text.count("from nearbit.datasets.formats.shapes") == 1
    text = text.replace("*_PUBLISHED, FOLDER)", "*_PUBLISHED, PAIRS, FOLDER)")
    added = "from nearbit.datasets.formats.pairs import PAIRS\nfrom nearbit.datasets.formats.shapes"
    table.write_text(text.replace("from nearbit.datasets.formats.shapes", added), encoding="utf-8")
    code = f"import nearbit; print(nearbit.load_dataset({str(root)!r}).classes)"
    environment = os.environ | {"PYTHONPATH": str(package.parent), "NEARBIT_CACHE": str(tmp_path / "cache")}
    came = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert came.stdout.strip() == "('owl', 'wren')"


@pytest.mark.parametrize("one", formats.FORMATS, ids=lambda one: one.name)
def test_every_entry_is_recognised_by_something_and_refuses_options_that_there_are(one: Format) -> None:
    assert one.endings or one.find is not None
    assert all(ending == ending.lower() and ending.startswith(".") for ending in one.endings)
    assert set(one.takes) <= {"label_level"}
    assert set(one.refuses) <= {field.name for field in fields(ReadingOptions)}


def test_the_last_entry_takes_any_folder_and_no_other_does(tmp_path: Path) -> None:
    takers = [one for one in formats.FORMATS if one.find is not None and one.find(tmp_path) is not None]
    assert takers == [formats.FORMATS[-1]]


def test_no_two_formats_have_one_ending_and_the_page_names_each() -> None:
    endings = formats.file_endings()
    assert len(set(endings)) == len(endings)
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    for ending in endings:
        assert f"`{ending}`" in page
    for name in formats.KNOWN:
        assert f"`{name}`" in page


def test_the_keywords_of_type_checkers_are_the_reading_options() -> None:
    assert get_type_hints(ReadingKeywords) == get_type_hints(ReadingOptions)
    assert list(get_annotations(ReadingKeywords)) == [field.name for field in fields(ReadingOptions)]


def test_every_reading_option_is_described_and_has_a_default() -> None:
    for field in fields(ReadingOptions):
        assert f"        {field.name}: " in (ReadingOptions.__doc__ or "")
        assert field.default is not MISSING
        assert bool(field.metadata.get("help")) == (field.name not in OF_PYTHON)


def options_of(decorate: object) -> dict[str, click.Option]:
    """Return the options that a decorator adds, by name."""
    command = click.command("try")(decorate(lambda: None))  # type: ignore[operator]
    return {str(one.name): one for one in command.params if isinstance(one, click.Option)}


def test_the_command_line_takes_its_options_from_the_fields() -> None:
    made = options_of(data_options)
    for field in fields(ReadingOptions):
        if field.name not in OF_PYTHON:
            assert made[field.name].help == field.metadata["help"]
            assert made[field.name].default == field.default
    assert set(made) - {"cache", "max_pixels"} == {field.name for field in fields(ReadingOptions)} - OF_PYTHON
    assert set(made) - set(options_of(image_options)) == {"split_file"}


@pytest.mark.parametrize("name", ["data", "train", "split", "evaluate", "compare", "export"])
def test_every_command_that_reads_a_data_set_has_them(name: str) -> None:
    command = import_module(f"nearbit.cli.commands.{name}").command
    assert set(options_of(data_options)) <= {str(one.name) for one in command.params}


def test_options_are_taken_as_a_value_or_as_keywords_and_the_keywords_go_first(root: Path, tmp_path: Path) -> None:
    (root / "far.csv").write_text("file;kind\na.png;owl\n")
    options = ReadingOptions(path_column="file", label_column="kind", cache=tmp_path / "cache")
    assert load_dataset(root / "far.csv", options).classes == ("owl",)
    assert load_images(root / "far.csv", options).classes == ("owl",)
    wrong = replace(options, label_column="none")
    assert load_dataset(root / "far.csv", wrong, label_column="kind").classes == ("owl",)
    assert load_dataset(root / "far.csv", **vars(options)).classes == ("owl",)


def test_wrong_options_are_refused(root: Path) -> None:
    with pytest.raises(InputError, match="class_level must be 'first', 'leaf' or the number of a folder"):
        ReadingOptions(class_level=0)
    with pytest.raises(InputError, match=r"split_file='split.csv' is for load_dataset; load_images takes all"):
        load_images(root, split_file=Path("split.csv"))
    with pytest.raises(InputError, match=r"has no option 'max_pixel'.* Did you mean 'max_pixels'"):
        load_dataset(root, max_pixel=3)  # type: ignore[call-arg]

"""Lists that ask for far more work, or for longer messages, than they show."""

import re
from pathlib import Path

import pytest

from nearbit.datasets.formats import labels_file, list_rows
from nearbit.datasets.formats.lists import list_lists
from nearbit.errors import DataError
from nearbit.reading import ReadingOptions


@pytest.fixture
def looked_for(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The paths that were looked for; none is there."""
    paths: list[Path] = []
    monkeypatch.setattr(labels_file, "_is_there", lambda path: bool(paths.append(path)))
    return paths


@pytest.mark.parametrize("deep", [200, 20_000])
def test_a_path_of_many_folders_is_looked_for_a_few_times_and_shown_in_part(
    tmp_path: Path, looked_for: list[Path], deep: int
) -> None:
    file = tmp_path / "train.txt"
    file.write_text("a/" * deep + "0.png 1\n")
    with pytest.raises(DataError, match=r"none of its paths is below .*, the first: 'a/a/.*'; name the folder") as told:
        list_lists(file, ReadingOptions())
    assert len(str(told.value)) < 300 + len(str(tmp_path))
    assert len(looked_for) == (2 * 65 if deep == 200 else 0)  # with and without images/; too long for any system


def test_up_to_64_leading_folders_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "0.png").touch()
    file = tmp_path / "train.txt"
    file.write_text("a/" * 64 + "0.png 1\n")
    listing = list_lists(file, ReadingOptions())
    assert [item.key for item in listing.items] == ["0.png"]
    (note,) = listing.notes
    assert note == f"train.txt: the leading {'a/' * 40!r} of its paths is left out"
    file.write_text("a/" * 65 + "0.png 1\n")
    with pytest.raises(DataError, match="none of its paths is below"):
        list_lists(file, ReadingOptions())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{} 1 0\n0.png 1\n0.png 1\n", r"1 number more after 'b{80}' than in most lines"),
        ("0.png 1\n{}/../0.png 1\n", None),
        ("0.png 1\n" + "./" * 300 + "0.png 0\n", r"'(\./){40}' has other labels than"),
        ("0.png 1\n" + "./" * 300 + " 1\n", r"expected the path of an image, came '(\./){40}'"),
    ],
)
def test_long_paths_are_cut_in_messages(tmp_path: Path, text: str, message: str | None) -> None:
    (tmp_path / "0.png").touch()
    (tmp_path / ("b" * 200)).touch()
    file = tmp_path / "train.txt"
    file.write_text(text.format("b" * 200))
    if message is None:  # what was skipped is kept whole: other programs read it
        assert [problem.path for problem in list_lists(file, ReadingOptions()).problems] == ["b" * 200 + "/../0.png"]
        return
    with pytest.raises(DataError, match=message):
        list_lists(file, ReadingOptions())


def test_numbers_that_occur_many_times_are_understood_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "0.png").touch()
    file = tmp_path / "train.txt"
    file.write_text(("0.png " + "0.0 1.0 " * 40 + "\n") * 50)
    words: list[str] = []

    class Spy:
        def fullmatch(self, word: str) -> re.Match[str] | None:
            words.append(word)
            return re.fullmatch(r"[01]\.0", word)

    monkeypatch.setattr(list_rows, "_NUMBER", Spy())
    for cached in (list_rows.is_number, list_rows._plain):
        cached.cache_clear()
    (item,) = list_lists(file, ReadingOptions()).items
    assert item.names == tuple(str(column) for column in range(1, 80, 2))
    assert sorted(words) == ["0.0", "1.0"]
    for cached in (list_rows.is_number, list_rows._plain):
        assert cached.cache_info().maxsize is not None

"""Trees of classes in the forms in which they are published, and how the classes of a data set are found in them."""

from pathlib import Path

import pytest

from nearbit.datasets.formats.hierarchy import read_hierarchy
from nearbit.errors import DataError
from nearbit.metrics import grades_of_tree

OUTLINE = "thing\n\n-- animal\n---- sea animal ?\n------ crab\n------ eel\n---- owl\n-- plant\n---- oak\n"
PAIRS = "4 5\n4 6\n5 7\n5 3\n7 0\n7 1\n6 2\n"
NAMES = "0 crab\n1 eel\n2 oak\n3 owl\n4 thing\n5 animal\n6 plant\n7 sea\n"
CLASSES = ("crab", "eel", "oak", "owl")
TABLE = [[3, 2, 0, 1], [2, 3, 0, 1], [0, 0, 2, 0], [1, 1, 0, 2]]


def graded(folder: Path, classes: tuple[str, ...], text: str, /, *, name: str = "tree.txt", **beside: str) -> str:
    """Hold the grades of classes by a tree to those that it was drawn with; return how classes were found."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    for stem, names in beside.items():
        (folder / f"{stem}.txt").write_text(names)
    parents, how = read_hierarchy(folder / name).of(classes)
    assert grades_of_tree(parents, classes).table.tolist() == TABLE
    return how


@pytest.mark.parametrize("name", ["tree.txt", "hierarchy.txt"])
@pytest.mark.parametrize(
    "text",
    [OUTLINE, OUTLINE.replace("-- ", "   ").replace("--", "  "), OUTLINE.replace("-- ", "\t").replace("--", "\t")],
)
def test_an_indented_tree(tmp_path: Path, text: str, name: str) -> None:
    assert not graded(tmp_path, CLASSES, text, name=name)
    assert not graded(tmp_path, CLASSES, text, name=name, classes=NAMES)


def test_pairs_in_a_file_called_hierarchy_without_names_beside(tmp_path: Path) -> None:
    text = "animal owl\nanimal sea\nsea crab\nsea eel\nthing animal\nthing plant\nplant oak\n"
    assert not graded(tmp_path / "alone", CLASSES, text, name="hierarchy.txt")
    assert not graded(tmp_path / "names", CLASSES, text, name="hierarchy.txt", classes=NAMES)
    assert not graded(tmp_path / "numbers", ("0", "1", "2", "3"), PAIRS, name="hierarchy.txt")


@pytest.mark.parametrize("stem", ["class_names", "classes", "classes_flat"])
def test_numbers_are_names_by_a_file_beside(tmp_path: Path, stem: str) -> None:
    how = graded(tmp_path, CLASSES, PAIRS, **{stem: NAMES, "classes_of_another": "0 fox\n1 wren\n"})
    assert how == (
        f"classes are found in {tmp_path / 'tree.txt'} by the numbers that {stem}.txt gives to their names: 'crab' is "
        "the node '0'"
    )


def test_classes_that_begin_with_their_number(tmp_path: Path) -> None:
    own = ("000.Kreb", "001.Aal", "002.Eiche", "003.Eule")
    how = graded(tmp_path / "numbers", own, PAIRS, class_names=NAMES)
    assert how.endswith("by the numbers in their names: '000.Kreb' is the node '0'")
    how = graded(tmp_path / "names", own, OUTLINE, class_names=NAMES)
    assert "by the names that class_names.txt gives to the numbers in their names: '000.Kreb' is the node 'crab'" in how
    assert not graded(tmp_path / "codes", ("0", "1", "2", "3"), PAIRS)
    assert graded(tmp_path / "names", ("0", "1", "2", "3"), OUTLINE)


def test_the_birds_are_read_with_the_child_first(tmp_path: Path) -> None:
    turned = "".join(f"{child} {parent}\n" for parent, child in (line.split() for line in PAIRS.splitlines()))
    assert not graded(tmp_path, CLASSES, turned, name="hierarchy.txt", classes=NAMES)
    assert "classes.txt gives to the numbers" in graded(tmp_path, ("0", "1", "2", "3"), turned, name="hierarchy.txt")


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (("crab", "fox"), NAMES),  # one has no number
        (("crab", "thing"), NAMES),  # the root has no parent
        (("crab", "eel"), "0 crab\n0 eel\n"),  # no numbers of their own
        (("3d printer", "4 wheeler"), NAMES),
        (("05.Kreb", "06.Aal"), NAMES),  # of another numbering: 5 and 6 have children
        (("01.Kreb", "1.Aal"), NAMES),  # one number for both
    ],
)
def test_classes_that_are_not_in_the_tree_are_refused(tmp_path: Path, classes: tuple[str, ...], names: str) -> None:
    (tmp_path / "tree.txt").write_text(PAIRS)
    (tmp_path / "class_names.txt").write_text(names)
    with pytest.raises(
        DataError,
        match=r"tree\.txt: does not give the class '.*' a parent: each class needs one, under its name, or under a "
        r"number that .* beside it gives .* the file has 7 nodes, such as '5', '6', '7'",
    ):
        read_hierarchy(tmp_path / "tree.txt").of(classes)


def test_the_nearest_reading_says_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "tree.txt").write_text(PAIRS)
    (tmp_path / "class_names.txt").write_text(NAMES)
    with pytest.raises(DataError, match=r"does not give the class 'fox' a parent"):
        read_hierarchy(tmp_path / "tree.txt").of([*CLASSES, "fox"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n-- b\n-- b\n", r"line 3: expected a node of the tree, each once, .* came 'b' twice"),
        ("a\n---- b\n-- c\n", r"line 3: expected a node .* indented as the lines beside it .* came '-- c'"),
        ("-- a\nb\n", r"line 2: expected a node .* came 'b'"),
        ("a\n-- \n", r"line 2: expected a node .* came '--'"),
        ("a\nb c\n", r"line 1: expected PARENT CHILD, came 'a'; where each line is a node, indent it below its parent"),
        ("1 0\n2 0\n", r"line 2: '0' lies below '1' already, .* where the child comes first, put a comma between"),
    ],
)
def test_trees_in_no_form_are_refused_with_the_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "hierarchy.txt").write_text(text)
    with pytest.raises(DataError, match=rf"hierarchy\.txt, {message}"):
        read_hierarchy(tmp_path / "hierarchy.txt")


@pytest.mark.parametrize("beside", ["class_names.txt", "classes.txt", "class_notes.txt"])
def test_files_beside_a_tree_that_cannot_be_read_stop_nothing_and_are_said(tmp_path: Path, beside: str) -> None:
    (tmp_path / beside).write_bytes("0 Möwe\n".encode("latin-1"))
    (tmp_path / "classes_in_a_folder.txt").mkdir()
    unread = f"; not looked into: {tmp_path / beside}: must be UTF-8 text, but byte 3 (line 1) is not; save it as UTF-8"
    assert not graded(tmp_path, CLASSES, OUTLINE)
    how = graded(tmp_path, ("000.Kreb", "001.Aal", "002.Eiche", "003.Eule"), PAIRS)
    assert how.endswith(f"by the numbers in their names: '000.Kreb' is the node '0'{unread}")
    how = graded(tmp_path, CLASSES, PAIRS, class_of_numbers=NAMES)
    assert "by the numbers that class_of_numbers.txt gives to their names" in how
    with pytest.raises(DataError, match=r"does not give the class 'fox' a parent") as told:
        read_hierarchy(tmp_path / "tree.txt").of(["fox"])
    assert str(told.value).endswith(unread)


@pytest.mark.parametrize("text", ["", "\n  \n"])
@pytest.mark.parametrize("name", ["tree.txt", "tree.csv", "hierarchy.txt"])
def test_empty_trees_are_said_to_be_so(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / "classes.txt").write_text("crab\neel\n")
    with pytest.raises(
        DataError,
        match=r": is empty, or has no node below another; expected lines node,parent \(\.csv\), an indented tree or",
    ):
        read_hierarchy(tmp_path / name)


def test_trees_of_roots_are_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "tree.txt").write_text("- crab\n- eel\n")
    with pytest.raises(DataError, match="has no node below another; expected"):
        read_hierarchy(tmp_path / "tree.txt")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("tree.csv", 'dog,mammal\ncat,"mammal\nmammal,animal\n', r"tree\.csv, line 3: unexpected end of data"),
        ("tree.csv", f'dog,mammal\ncat,"{"mammal," * 30_000}\n', r"tree\.csv, line 2: field larger than field limit"),
        ("tree.csv", 'dog,"mam\nmal"\ncat,mammal\n', r"tree\.csv, line 2: .* found a name over several lines"),
        ("tree.csv", 'dog,mammal\n"a\nb",mammal,\n', r"tree\.csv, line 3: .* found a name over several lines"),
        ("tree.csv", b"dog,mammal\ncat,m\xe9\n", r"tree\.csv: must be UTF-8 text, but byte 16 is not"),
        ("tree.txt", 'dog,mammal\ncat,"mammal\n', r"tree\.txt, line 2: unexpected end of data"),
    ],
)
def test_quotes_that_are_not_closed_take_no_lines_with_them(
    tmp_path: Path, name: str, text: str | bytes, message: str
) -> None:
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message):
        read_hierarchy(file)


def test_the_line_of_a_table_is_that_of_the_file_and_sep_is_read(tmp_path: Path) -> None:
    file = tmp_path / "tree.csv"
    file.write_text("sep=;\ndog;mammal\n\ncat;mammal\n", encoding="utf-8")
    assert read_hierarchy(file).parents == {"dog": "mammal", "cat": "mammal"}
    file.write_text("dog,mammal\n\ncat,mammal\ncat,bird\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"tree\.csv, line 4: .* found a second parent of one name"):
        read_hierarchy(file)


def test_some_numbers_of_a_tree_may_count_from_another_number_and_that_is_said(tmp_path: Path) -> None:
    file = tmp_path / "tree.txt"
    file.write_text("9 1\n9 2\n8 3\n7 9\n7 8\n", encoding="utf-8")
    tree = read_hierarchy(file)
    assert tree.of(("1", "2", "3"))[1] == ""
    assert tree.of(("1", "2"))[1].startswith("classes are called by numbers, which are taken for those of ")

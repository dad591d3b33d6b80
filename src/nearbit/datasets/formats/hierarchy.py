"""Hierarchies of classes in files: what grades relevance, besides the superclasses that a data set comes with."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nearbit.datasets.formats.class_names import CLASSES, lines_of, own_numbers
from nearbit.datasets.formats.labels_file import text_of
from nearbit.datasets.formats.numbered import HIERARCHY, read_numbered_hierarchy
from nearbit.datasets.formats.table import fields_of, read_fields
from nearbit.errors import DataError, did_you_mean

GIVEN = "given"
"""Stands for the superclasses that a data set came with."""

_NAMES = "class*.txt"
"""Files beside a tree that may name its numbers: `class_names.txt`, `classes.txt`, `classes_balanced.txt`."""

_OWN_NUMBER = re.compile(r"(\d{1,9})(?=$|[\W_])", re.ASCII)
"""The number that a class is called by, alone or before its name: `7`, `001.Black_footed_Albatross`."""

_EXPECTED = "lines node,parent (.csv), an indented tree or lines PARENT CHILD (.txt)"

_INDENT = re.compile(r"[-\s]*")


@dataclass(frozen=True)
class Hierarchy:
    """A tree of classes as a file has it.

    Attributes:
        file: where it is from.
        parents: the parent of each node that has one, by names or numbers.
    """

    file: Path
    parents: Mapping[str, str]

    def of(self, classes: Sequence[str]) -> tuple[dict[str, str], str]:
        """Return the parents with the nodes of these classes called as the classes are, and how classes were found.

        A class is the node of its name; else that whose number the name has in a file beside the tree (`class*.txt`,
        lines `NUMBER NAME`); else, among the nodes without children, that of the number with which the name of the
        class begins, or of the name that such a file gives this number. One of these holds for all classes, and is said
        with an example and the files that cannot be read; of names that are there as they are only numbers are said,
        where the tree has more leaves than there are classes.

        Raises:
            DataError: none gives each class a parent.
        """
        if all(name in self.parents for name in classes):
            more = set(self.parents) - set(self.parents.values()) > set(classes)
            how = (
                f"classes are called by numbers, which are taken for those of {self.file}, and that has more: see that "
                "both count from the same"
            )
            return dict(self.parents), how if more and all(name.isdecimal() for name in classes) else ""
        nearest: dict[str, str] = {}
        tables, unread = self._names_beside()
        for how, nodes in self._readings(classes, tables):
            found = {name: node for name, node in nodes.items() if node in self.parents}
            if len(found) == len(set(classes)):
                called = {node: name for name, node in found.items()}
                parents = {called.get(node, node): called.get(above, above) for node, above in self.parents.items()}
                return parents, how and f"classes are found in {self.file} by {how}: {_first(found)}{unread}"
            nearest = max(nearest, found, key=len)
        raise DataError(f"{self._lacking(classes, nearest)}{unread}")

    def _readings(
        self, classes: Sequence[str], tables: Mapping[str, Mapping[int, str]]
    ) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield ways to find classes, in words, and the node of each class that has one so."""
        yield "", {name: name for name in classes}
        for file, table in tables.items():
            numbers = {name: str(number) for number, name in table.items()}
            nodes = {name: numbers[name] for name in classes if name in numbers}
            yield f"the numbers that {file} gives to their names", self._distinct(nodes)
        own = {name: int(found[1]) for name in classes if (found := _OWN_NUMBER.match(name))}
        yield "the numbers in their names", self._leaves({name: str(number) for name, number in own.items()})
        for file, table in tables.items():
            nodes = {name: table[number] for name, number in own.items() if number in table}
            yield f"the names that {file} gives to the numbers in their names", self._leaves(nodes)

    def _names_beside(self) -> tuple[dict[str, dict[int, str]], str]:
        """Return the names by numbers of each file that has such, and what is to be said of those not readable."""
        tables, unread = dict[str, dict[int, str]](), list[str]()
        for file in sorted(self.file.parent.glob(_NAMES)):
            if file == self.file or not file.is_file():
                continue
            try:
                names = own_numbers(lines_of(file))
            except DataError as error:
                unread.append(str(error))
                continue
            if names:
                tables[file.name] = names
        return tables, f"; not looked into: {'; '.join(unread)}" if unread else ""

    def _distinct(self, nodes: dict[str, str]) -> dict[str, str]:
        """Return nodes of classes; nothing where two have one, or where the name of a class is another node's."""
        all_nodes = {*self.parents, *self.parents.values()}
        taken = any(name in all_nodes and name != node for name, node in nodes.items())
        return {} if taken or len(set(nodes.values())) < len(nodes) else nodes

    def _leaves(self, nodes: dict[str, str]) -> dict[str, str]:
        """Return nodes of classes; nothing where one has children: then the numbers are those of another numbering."""
        return {} if set(nodes.values()) & set(self.parents.values()) else self._distinct(nodes)

    def _lacking(self, classes: Sequence[str], nearest: Mapping[str, str]) -> str:
        """Say which class has no parent, what is in the file, and what would do."""
        name = next(name for name in classes if name not in nearest)
        some = ", ".join(repr(node) for node in list(self.parents)[:3])
        return (
            f"{self.file}: does not give the class {name!r} a parent: each class needs one, under its name, or under a "
            f"number that {CLASSES} or class_names.txt beside it gives to that name (lines NUMBER NAME) or with which "
            f"the name of the class begins; the file has {len(self.parents)} nodes, such as {some}"
            f"{did_you_mean(name, sorted(self.parents))}"
        )


def _first(nodes: Mapping[str, str]) -> str:
    name, node = next(iter(nodes.items()))
    return f"{name!r} is the node {node!r}"


def read_hierarchy(file: Path) -> Hierarchy:
    """Read a tree of classes.

    Args:
        file: CSV with lines `node,parent`; or a `.txt` with an indented tree (blanks, or dashes as in `-- bird`); the
            `hierarchy.txt` of NABirds, with `classes.txt` beside it; or lines `PARENT CHILD`, as WordNet's is-a
            relation and trees out of it are published; a line with a comma in it is `node,parent` there too.

    Raises:
        DataError: the file cannot be read as such, or a node is there twice, with the line number; or no node is below
            another.
    """
    parents = _parents_in(file)
    if not parents:
        raise DataError(f"{file}: is empty, or has no node below another; expected {_EXPECTED}")
    return Hierarchy(file, parents)


def _parents_in(file: Path) -> dict[str, str]:
    if file.suffix.lower() != ".txt":
        return _of_table(file)
    lines = text_of(file).split("\n")
    if _is_indented(lines):
        return _of_outline(lines, file)
    if file.name == HIERARCHY and (file.parent / CLASSES).is_file() and _are_numbers(lines):
        return read_numbered_hierarchy(file)
    return _of_pairs(lines, file)


def _is_indented(lines: Sequence[str]) -> bool:
    """Say whether lines begin at different depths; blanks before lines of two words each are no depth."""
    lines = [line for line in lines if line.strip()]
    if any(line.startswith("-") for line in lines):
        return True
    return len({line[0].isspace() for line in lines}) > 1 and any(len(line.split()) != 2 for line in lines)


def _are_numbers(lines: Sequence[str]) -> bool:
    words = [word for line in lines for word in line.split()]
    return bool(words) and all(word.isascii() and word.isdecimal() for word in words)


def _of_outline(lines: Sequence[str], file: Path) -> dict[str, str]:
    """Return the parent of each line below another: the nearest line before it that is less indented."""
    parents: dict[str, str] = {}
    above: dict[str, int] = {}
    seen: set[str] = set()
    for number, line in enumerate(lines, start=1):
        depth = _INDENT.match(line).end()  # type: ignore[union-attr]  # it matches nothing, too
        name = line[depth:].strip()
        if not line.strip():
            continue
        left = [node for node, own in above.items() if own >= depth]
        if not name or name in seen or (left and above[left[0]] != depth):
            what = f"{name!r} twice" if name in seen else f"{line.rstrip()[:60]!r}"
            raise DataError(
                f"{file}, line {number}: expected a node of the tree, each once, indented as the lines beside it or "
                f"deeper than the one that it lies below, came {what}"
            )
        for node in left:
            del above[node]
        if above:
            parents[name] = next(reversed(above))
        above[name] = depth
        seen.add(name)
    return parents


def _of_table(file: Path) -> dict[str, str]:
    parents: dict[str, str] = {}
    for number, row in read_fields(file, lambda _: ","):
        _add_row(parents, row, f"{file}, line {number}")
    return parents


def _add_row(parents: dict[str, str], row: list[str], where: str) -> None:
    names = [name.strip() for name in row]
    if not any(names):
        return
    broken = any("\n" in name or "\r" in name for name in names)
    if len(names) != 2 or not all(names) or names[0] in parents or broken:
        what = "a second parent of one name" if names[0] in parents else f"{len(names)} fields"
        what = "a name over several lines, so a quote that is not closed before" if broken else what
        raise DataError(f"{where}: expected class,parent, each class once; found {what}")
    parents[names[0]] = names[1]


def _of_pairs(lines: Sequence[str], file: Path) -> dict[str, str]:
    parents: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if "," in line:
            where = f"{file}, line {number}"
            _add_row(parents, fields_of(line, where), where)
            continue
        words = line.split()
        if not words:
            continue
        if len(words) != 2:
            raise DataError(
                f"{file}, line {number}: expected PARENT CHILD, came {line.strip()[:60]!r}; where each line is a node, "
                "indent it below its parent (-- node)"
            )
        parent, child = words
        if child in parents:
            raise DataError(
                f"{file}, line {number}: {child!r} lies below {parents[child]!r} already, and here below {parent!r}; "
                "grades need a tree, so leave one of the two out (WordNet is none; trees out of it are published); "
                "where the child comes first, put a comma between"
            )
        parents[child] = parent
    return parents

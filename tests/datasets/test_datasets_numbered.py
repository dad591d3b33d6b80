"""CUB-200-2011 and NABirds in their official layout, and the archive of the first fetched and unpacked."""

import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from awkward_images import encoded, noisy

from nearbit.datasets import Dataset, load_dataset, make_split
from nearbit.datasets.download import SETS, Archive, fetch
from nearbit.datasets.formats.numbered import read_numbered_hierarchy
from nearbit.errors import DataError
from nearbit.metrics import grades_of_tree

IMAGES = ["001.Albatross/a-1.jpg", "001.Albatross/b_2.jpg", "002.Wren/c.jpg", "002.Wren/d.jpg"]


def birds(root: Path) -> Path:
    """Four images of two classes, as CUB keeps them."""
    for seed, name in enumerate(IMAGES):
        file = root / "images" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded(noisy(seed, 8), "JPEG"))
    (root / "images.txt").write_text("".join(f"{n} {name}\n" for n, name in enumerate(IMAGES, start=1)))
    (root / "image_class_labels.txt").write_text("1 1\n2 1\n3 2\n4 2\n")
    (root / "classes.txt").write_text("1 001.Albatross\n2 002.Wren\n")
    (root / "train_test_split.txt").write_text("1 1\n2 0\n3 1\n4 0\n")
    return root


def load(root: Path) -> Dataset:
    return load_dataset(root, cache=root.parent / "cache")


def test_the_tables_are_read(tmp_path: Path) -> None:
    root = birds(tmp_path / "CUB_200_2011")
    dataset = load(root)
    assert dataset.keys == tuple(f"images/{name}" for name in IMAGES)
    assert dataset.classes == ("001.Albatross", "002.Wren")
    assert dataset.given_parts == ("train", "query", "train", "query")
    assert dataset.parents is None
    assert load(tmp_path).fingerprint == dataset.fingerprint  # the folder around it
    with pytest.raises(DataError, match=r"cub200 is for lists of 200 classes: 5,994 train, 5,794 query"):
        make_split(dataset, protocol="cub200")
    (root / "train_test_split.txt").unlink()
    assert load(root).given_parts is None


def test_a_hierarchy_gives_parents_and_grades(tmp_path: Path) -> None:
    root = birds(tmp_path / "nabirds")
    (root / "classes.txt").write_text("0 Birds\n5 Wren\n1 Albatross\n2 Wren\n6 Unused\n")
    (root / "hierarchy.txt").write_text("1 0\n5 0\n2 5\n6 0\n")
    dataset = load(root)
    assert dataset.classes == ("Albatross", "2 Wren")  # in the order of classes.txt
    assert dict(zip(dataset.classes, dataset.parents or (), strict=True)) == {"Albatross": "Birds", "2 Wren": "5 Wren"}
    tree = read_numbered_hierarchy(root / "hierarchy.txt")
    assert tree == {"Albatross": "Birds", "5 Wren": "Birds", "2 Wren": "5 Wren", "Unused": "Birds"}
    place = {name: number for number, name in enumerate(dataset.classes)}
    table = grades_of_tree(tree, dataset.classes).table
    assert table[place["2 Wren"], place["2 Wren"]] == 2  # the Wren and its family; the root does not count
    assert table[place["2 Wren"], place["Albatross"]] == 0
    (root / "hierarchy.txt").write_text("1 9\n")
    with pytest.raises(
        DataError, match=r"hierarchy\.txt: has the class '9', which classes\.txt beside it does not name"
    ):
        read_numbered_hierarchy(root / "hierarchy.txt")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("image_class_labels.txt", "1 1\n2 1\n3 2\n", r"its images are not those of images\.txt; one of them has '4'"),
        ("image_class_labels.txt", "1 1\n2 1\n3 2\n4 7\n", r"the image '4' has the class '7', not in classes\.txt"),
        ("train_test_split.txt", "1 1\n2 0\n3 1\n4 2\n", r"expected 1 for training images and 0 .* came '2'"),
        ("images.txt", "1 a.jpg\n1 b.jpg\n", r"images\.txt, line 2: .* came '1' twice"),
        ("classes.txt", "1\n", r"classes\.txt, line 1: expected a number and what belongs to it"),
    ],
)
def test_damaged_tables_are_named(tmp_path: Path, file: str, text: str, message: str) -> None:
    root = birds(tmp_path / "birds")
    (root / file).write_text(text)
    with pytest.raises(DataError, match=message):
        load(root)


def packed(source: Path, extra: dict[str, bytes]) -> Archive:
    """Pack a folder as the official archive is, with other members; return what `fetch` needs to know."""
    file = source.parent / "CUB_200_2011.tgz"
    with tarfile.open(file, "w:gz") as tar:
        tar.add(source, "CUB_200_2011")
        for name, content in extra.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("CUB_200_2011/images/002.Wren/link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    digest = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
    (official,) = SETS["cub200"].archives
    return replace(official, url=file.as_uri(), checksum=f"md5:{digest}", n_bytes=file.stat().st_size)


def test_cub_is_fetched_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = {
        "CUB_200_2011/images/../../out.jpg": b"x",
        "CUB_200_2011/images/..hidden/x.jpg": b"x",
        "CUB_200_2011/images/001.Albatross/deep/x.jpg": b"x",
        "CUB_200_2011/attributes/a.txt": b"x",
    }
    (tmp_path / "source").mkdir()
    archive = packed(birds(tmp_path / "source" / "CUB"), hostile)
    monkeypatch.setitem(SETS, "cub200", replace(SETS["cub200"], archives=(archive,)))
    with pytest.raises(DataError, match=r"cub200 is not in the cache: allow the download .*CUB_200_2011"):
        load_dataset("cub200", cache=tmp_path / "cache")
    dataset = load_dataset("cub200", cache=tmp_path / "cache", download=True)
    assert dataset.keys == tuple(f"images/{name}" for name in IMAGES)
    files = {path.relative_to(tmp_path / "cache").as_posix() for path in (tmp_path / "cache").rglob("*.jpg")}
    assert files == {f"datasets/CUB_200_2011/images/{name}" for name in IMAGES}
    assert not list(tmp_path.rglob("out.jpg"))


def test_an_archive_without_pictures_is_refused(tmp_path: Path) -> None:
    archive = packed(birds(tmp_path / "CUB"), {})
    with pytest.raises(DataError, match=r"expected JPEGs CUB_200_2011/photos/\*/\* in it, there are none"):
        fetch(replace(archive, pictures="photos/*/*"), tmp_path / "cache")
    with pytest.raises(DataError, match=r"more than 10 bytes; that is not the archive"):
        fetch(replace(archive, n_bytes=10), tmp_path / "cache")
    assert not (tmp_path / "cache" / "CUB_200_2011").exists()

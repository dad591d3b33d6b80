"""CIFAR in its binary layout, and its archives fetched, checked and unpacked, all on this machine."""

import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nearbit.datasets import load_dataset
from nearbit.datasets.download import SETS, Archive, fetch
from nearbit.errors import DataError, InputError

FINE = ("apple", "bee", "cup")
COARSE = ("food", "insect")
COARSE_OF = (0, 1, 0)


def write_cifar100(folder: Path, n_train: int = 9, n_test: int = 3) -> np.ndarray:
    """Write a small CIFAR-100 folder; return its pixels, channels last."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    (folder / "fine_label_names.txt").write_text("\n".join(FINE) + "\n\n")
    (folder / "coarse_label_names.txt").write_text("\n".join(COARSE) + "\n")
    planes = rng.integers(0, 256, (n_train + n_test, 3, 32, 32), dtype=np.uint8)
    fine = np.arange(n_train + n_test) % 3
    rows = np.column_stack([np.take(COARSE_OF, fine), fine, planes.reshape(len(planes), -1)]).astype(np.uint8)
    rows[:n_train].tofile(folder / "train.bin")
    rows[n_train:].tofile(folder / "test.bin")
    return planes.transpose(0, 2, 3, 1)


def write_cifar10(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "batches.meta.txt").write_text("cat\ndog\n\n")
    rng = np.random.default_rng(1)
    for name in (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"):
        rows = rng.integers(0, 256, (2, 3073), dtype=np.uint8)
        rows[:, 0] = (0, 1)
        rows.tofile(folder / name)


def test_cifar100_by_its_folder_or_the_one_around_it(tmp_path: Path) -> None:
    pixels = write_cifar100(tmp_path / "cifar-100-binary")
    for source in (tmp_path / "cifar-100-binary", tmp_path):
        dataset = load_dataset(source)
        assert dataset.name == "cifar100"
        assert dataset.classes == FINE
        assert dataset.parents == ("food", "insect", "food")
        assert dataset.keys[0] == "train/00000"
        assert dataset.keys[-1] == "test/00002"
        assert dataset.given_parts == ("train",) * 9 + ("query",) * 3
        assert dataset.labels.argmax(axis=1).tolist() == [0, 1, 2] * 4
        np.testing.assert_array_equal(np.asarray(dataset.source.read(10)), pixels[10])


def test_cifar100_label_levels(tmp_path: Path) -> None:
    write_cifar100(tmp_path / "c")
    coarse = load_dataset(tmp_path / "c", label_level="coarse")
    assert (coarse.classes, coarse.parents) == (COARSE, None)
    both = load_dataset(tmp_path / "c", label_level="both")
    assert both.classes == COARSE + FINE
    assert both.parents == ("", "", "food", "insect", "food")
    assert both.label_names(1) == ("insect", "bee")
    assert not both.is_single_label
    with pytest.raises(
        DataError, match="label_level must be 'fine', and for cifar100 also 'coarse' or 'both', not 'top'"
    ):
        load_dataset(tmp_path / "c", label_level="top")


def test_cifar10(tmp_path: Path) -> None:
    write_cifar10(tmp_path / "cifar-10-batches-bin")
    dataset = load_dataset(tmp_path)
    assert (dataset.name, len(dataset), dataset.classes) == ("cifar10", 12, ("cat", "dog"))
    assert dataset.given_parts == ("train",) * 10 + ("query",) * 2
    assert dataset.keys[2] == "data_batch_2/00000"
    with pytest.raises(DataError, match=r"label_level must be 'fine'"):
        load_dataset(tmp_path, label_level="coarse")
    with pytest.raises(InputError, match=r"split_file='x' is for folders"):
        load_dataset(tmp_path, split_file=Path("x"))


def test_damaged_cifar_is_refused(tmp_path: Path) -> None:
    write_cifar100(tmp_path / "c")
    train = tmp_path / "c" / "train.bin"
    whole = train.read_bytes()
    train.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=r"are not a whole number of rows of 3074 bytes"):
        load_dataset(tmp_path / "c")
    train.write_bytes(b"")
    with pytest.raises(DataError, match=r"0 bytes are not"):
        load_dataset(tmp_path / "c")
    train.write_bytes(whole[:1] + b"\x03" + whole[2:])
    with pytest.raises(DataError, match=r"has the label 3, but there are 3 class names"):
        load_dataset(tmp_path / "c")
    train.write_bytes(b"\x01" + whole[1:])
    with pytest.raises(DataError, match=r"rows of one fine class have different coarse classes"):
        load_dataset(tmp_path / "c")
    train.unlink()
    with pytest.raises(DataError, match=r"train.bin: missing"):
        load_dataset(tmp_path / "c")


def test_a_name_without_the_files_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cifar100 is not in the cache: allow the download .*cifar-100-binary"):
        load_dataset("cifar100", cache=tmp_path)
    write_cifar100(tmp_path / "datasets" / "cifar-100-binary")
    assert len(load_dataset("cifar100", cache=tmp_path)) == 12


def pack(folder: Path, archive: Path, *extra: tarfile.TarInfo) -> Archive:
    """Pack a folder as the official archives are, with extra members; return what `fetch` needs to know."""
    with tarfile.open(archive, "w:gz") as tar:
        for member in extra:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
        tar.add(folder, arcname="cifar-100-binary")
    md5 = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
    (official,) = SETS["cifar100"].archives
    return replace(official, url=archive.as_uri(), checksum=f"md5:{md5}", n_bytes=archive.stat().st_size)


def test_fetch_takes_only_the_expected_files(tmp_path: Path) -> None:
    write_cifar100(tmp_path / "source")
    evil = [tarfile.TarInfo("../evil"), tarfile.TarInfo("cifar-100-binary/extra.bin"), tarfile.TarInfo("/abs")]
    for member in evil:
        member.size = 3
    archive = pack(tmp_path / "source", tmp_path / "c.tar.gz", *evil)
    seen: list[tuple[str, int, int]] = []
    place = fetch(archive, tmp_path / "cache", lambda *report: seen.append(report))
    assert sorted(file.name for file in place.iterdir()) == sorted(archive.files)
    assert [file.name for file in (tmp_path / "cache").iterdir()] == ["cifar-100-binary"]
    stages = ["downloading c.tar.gz", "unpacking c.tar.gz", "writing c.tar.gz to the disk"]
    assert [stage for stage, done, total in seen if done == total] == stages
    assert seen[0][2] == (tmp_path / "c.tar.gz").stat().st_size
    assert len(load_dataset(place)) == 12
    (tmp_path / "c.tar.gz").unlink()
    assert fetch(archive, tmp_path / "cache") == place  # stands already


def test_load_dataset_downloads_when_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar100(tmp_path / "source")
    archive = pack(tmp_path / "source", tmp_path / "c.tar.gz")
    monkeypatch.setitem(SETS, "cifar100", replace(SETS["cifar100"], archives=(archive,)))
    assert len(load_dataset("cifar100", download=True, cache=tmp_path / "cache")) == 12
    assert len(load_dataset("cifar100", cache=tmp_path / "cache")) == 12


def test_fetch_refuses_what_is_not_the_archive(tmp_path: Path) -> None:
    write_cifar100(tmp_path / "source")
    archive = pack(tmp_path / "source", tmp_path / "c.tar.gz")
    cache = tmp_path / "cache"
    with pytest.raises(DataError, match=r"expected the MD5 0000, came"):
        fetch(replace(archive, checksum="md5:0000"), cache)
    with pytest.raises(DataError, match=r"cannot be fetched"):
        fetch(replace(archive, url=(tmp_path / "none.tar.gz").as_uri()), cache)
    with pytest.raises(DataError, match=r"expected the file cifar-100-binary/train.bin of at most 10 bytes"):
        fetch(replace(archive, files={"train.bin": 10}), cache)
    with pytest.raises(DataError, match=r"expected the file cifar-100-binary/other.bin"):
        fetch(replace(archive, files={"other.bin": 10}), cache)
    link = tarfile.TarInfo("cifar-100-binary/link.bin")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    linked = pack(tmp_path / "source", tmp_path / "l.tar.gz", link)
    with pytest.raises(DataError, match=r"expected the file cifar-100-binary/link.bin"):
        fetch(replace(linked, files={"link.bin": 10_000}), cache)
    rubbish = tmp_path / "r.tar.gz"
    rubbish.write_bytes(b"rubbish")
    md5 = hashlib.md5(b"rubbish", usedforsecurity=False).hexdigest()
    with pytest.raises(DataError, match=r"cannot be unpacked"):
        fetch(replace(archive, url=rubbish.as_uri(), checksum=f"md5:{md5}", n_bytes=7), cache)
    assert list(cache.iterdir()) == []

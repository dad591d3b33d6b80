"""Shards of images: what is read of them, what is refused and named, and nothing that is run."""

import contextlib
import io
import json
import re
import struct
import tarfile

import numpy as np
import pytest

from nearbit.datasets import load_dataset, load_images, open_image
from nearbit.datasets.shards import Passed, read_shard
from nearbit.datasets.shards import tar as tars
from nearbit.errors import DataError, InputError
from nearbit.files.addresses import FilePlace
from nearbit.reading import ReadingOptions
from shard_makers import image_bytes, members_of, write_shards, write_table, write_tar

USUAL = ReadingOptions()
GOOD = image_bytes(0)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NEARBIT_CACHE", str(tmp_path / "cache"))


def samples_of(path, options=USUAL, passed=None):
    return list(read_shard(FilePlace.of(path), options, Passed() if passed is None else passed))


def test_a_tar_gives_images_with_labels_and_metadata(tmp_path):
    members = [
        ("./a/0.jpg", GOOD), ("./a/0.json", json.dumps({"label": "wren", "labels": None, "camera": 3}).encode()),
        ("a/1.seg.PNG", GOOD), ("a/1.cls", b" 7\nred \n\n"), ("a/1.txt", "ein Z\u00e4unk\u00f6nig".encode()),
        ("a/1.json", b'{"labels": ["passed by"], "path": "x", "digest": "y"}'),
        ("2.webp", GOOD), ("2.json", b'{"labels": "a|b"}'),
    ]  # fmt: skip
    found = samples_of(write_tar(tmp_path / "s.tar", members))
    assert [(one.key, one.labels, one.metadata, one.problem) for one in found] == [
        ("a/0.jpg", ("wren",), {"camera": 3}, ""),
        ("a/1.seg.png", ("7", "red"), {"text": "ein Zäunkönig"}, ""),
        ("2.webp", ("a", "b"), {}, ""),
    ]
    assert [one.path for one in found] == ["s.tar/a/0.jpg", "s.tar/a/1.seg.png", "s.tar/2.webp"]
    assert [one.row for one in found] == [0, 1, 2]
    whole = (tmp_path / "s.tar").read_bytes()
    assert all(whole[one.start : one.start + len(one.image)] == one.image == GOOD for one in found)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_webdataset_writes_and_reads_is_read_the_same(tmp_path):
    webdataset = pytest.importorskip("webdataset", reason="webdataset is not installed")
    with webdataset.TarWriter(str(tmp_path / "s.tar")) as writer:
        for row in range(5):
            writer.write({"__key__": f"n/{row}", "png": image_bytes(row), "cls": row % 3, "json": {"row": row}})
    theirs = list(webdataset.WebDataset(str(tmp_path / "s.tar"), shardshuffle=False))
    ours = samples_of(tmp_path / "s.tar")
    assert [f"{one['__key__']}.png" for one in theirs] == [one.key for one in ours]
    assert [one["png"] for one in theirs] == [one.image for one in ours]
    assert [(one["cls"].decode(),) for one in theirs] == [one.labels for one in ours]
    assert [json.loads(one["json"]) for one in theirs] == [one.metadata for one in ours]


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("0.cls", b"a")], "expected one image, came 0"),
        ([("0.jpg", GOOD), ("0.png", GOOD)], r"expected one image, came 2 \(members .jpg, .png\)"),
        ([("0.jpg", GOOD), ("0.json", b"{")], "its .json is not JSON"),
        ([("0.jpg", GOOD), ("0.json", b'{"a": NaN}')], "NaN is not a number"),
        ([("0.jpg", GOOD), ("0.json", b"[1]")], "must hold an object, not list"),
        ([("0.jpg", GOOD), ("0.json", b'{"label": "a", "labels": ["b"]}')], "came both"),
        ([("0.jpg", GOOD), ("0.json", b'{"label": {"a": 1}}')], "must be a text or a whole number, not dict"),
        ([("0.jpg", GOOD), ("0.cls", b"\xff\xfe\xfa")], "0.cls is not UTF-8 text"),
        ([("0.jpg", GOOD), ("0.cls", b"a\0b")], "it has a NUL character"),
        ([("0.jpg", GOOD), ("0.cls", b"a"), ("0.cls", b"b")], "several members .cls"),
        ([("../0.jpg", GOOD)], "leads out of the shard"),
        ([("/etc/0.jpg", GOOD)], "leads out of the shard"),
        ([("a\\..\\0.jpg", GOOD)], "leads out of the shard"),
        ([("s3://b/0.jpg", GOOD)], "leads out of the shard"),
        ([("n\udcff.jpg", GOOD)], "cannot be kept"),
    ],
)
def test_an_image_of_a_tar_that_cannot_be_taken_is_named_with_the_reason(tmp_path, members, reason):
    path = write_tar(tmp_path / "s.tar", [*members, ("z.png", GOOD)])
    bad, good = samples_of(path)
    assert re.search(reason, bad.problem)
    assert (bad.image, good.key, good.problem, good.row) == (b"", "z.png", "", 1)


def test_a_name_that_comes_twice_is_a_problem(tmp_path):
    found = samples_of(write_tar(tmp_path / "s.tar", [("0.png", GOOD), ("1.png", GOOD), ("0.png", GOOD)]))
    assert [one.problem for one in found] == ["", "", "its name '0.png' came before in this shard"]


def test_what_is_no_image_is_passed_over_and_counted_and_never_run(tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",))

    evil = pickle.dumps(Evil())
    names = ["0.pkl", "0.pickle", "0.pyd", "0.pth", "0.npy", "0.npz", "0.mp", "0.tar", ".hidden", "noending"]
    path = write_tar(tmp_path / "s.tar", [("0.png", GOOD), *[(name, evil) for name in names]])
    with tarfile.open(path, "a") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo("1.png")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    passed = Passed()
    assert [one.key for one in samples_of(path, passed=passed)] == ["0.png"]
    assert passed == {
        ".pkl": 1,
        ".pickle": 1,
        ".pyd": 1,
        ".pth": 1,
        ".npy": 1,
        ".npz": 1,
        ".mp": 1,
        ".tar": 1,
        "other": 6,
    }
    assert not (tmp_path / "ran").exists()


def test_wherever_a_tar_is_cut_off_it_is_noticed(tmp_path):
    path = write_tar(tmp_path / "s.tar", members_of(range(3)))
    whole = path.read_bytes()
    end = len(whole.rstrip(b"\0")) // 512 * 512 + 512
    for size in [0, 100, 511, *range(512, end + 1, 512), end - 100]:
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"s\.tar: (it cannot be read as a tar|the tar is cut off)"):
            samples_of(path)
    path.write_bytes(whole[: end + 512])
    assert len(samples_of(path)) == 3


def test_a_damaged_header_is_noticed(tmp_path):
    path = write_tar(tmp_path / "s.tar", members_of(range(3)))
    whole = bytearray(path.read_bytes())
    at = bytes(whole).find(b"n1/0001.png")
    whole[at] ^= 1
    path.write_bytes(whole)
    with pytest.raises(DataError, match=r"the tar is damaged at byte [\d,]+"):
        samples_of(path)


def test_a_header_that_claims_a_length_that_no_image_has_reads_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tars, "LARGEST_IMAGE", 5000)
    monkeypatch.setattr(tars, "LARGEST_TEXT", 50)
    members = [("0.png", b"x" * 5001), ("1.png", GOOD), ("1.json", b"[" + b" " * 60 + b"]"), ("2.png", GOOD)]
    first, second, third = samples_of(write_tar(tmp_path / "s.tar", members))
    assert first.problem == "0.png has 5,001 bytes; expected at most 5,000"
    assert second.problem == "1.json has 62 bytes; expected at most 50"
    assert third.problem == ""
    with tarfile.open(tmp_path / "p.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("0.png")
        info.pax_headers = {"comment": "x" * 20_000}
        archive.addfile(info, io.BytesIO())
    with pytest.raises(DataError, match="asks for 20,480 bytes at once"):
        samples_of(tmp_path / "p.tar")


def test_random_damage_gives_samples_or_one_error(tmp_path):
    path = write_tar(tmp_path / "s.tar", members_of(range(3)))
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        worse = bytearray(whole)
        for at in rng.integers(0, len(whole), rng.integers(1, 40)):
            worse[at] = rng.integers(0, 256)
        path.write_bytes(worse)
        with contextlib.suppress(DataError):
            samples_of(path)


def parquet():
    return pytest.importorskip("pyarrow.parquet", reason="Parquet files need the extra parquet")


def test_a_table_with_bytes(tmp_path):
    parquet()
    path = write_table(
        tmp_path / "s.parquet", range(5), id=[9, 2**62, 0, 3, 4], odd=[[1]] * 5, part=[0.5, None] * 2 + [1.0]
    )
    passed = Passed()
    found = samples_of(path, passed=passed)
    assert [one.key for one in found] == [f"n{row % 3}/{row:04d}.png" for row in range(5)]
    assert [one.id for one in found] == [9, 2**62, 0, 3, 4]
    assert [one.labels for one in found] == [("abc"[row % 3],) for row in range(5)]
    assert [one.metadata for one in found][:2] == [{"seen": 0, "part": 0.5}, {"seen": 1}]
    assert [one.image for one in found] == [image_bytes(row) for row in range(5)]
    assert passed == {"column odd": 1}


def test_a_table_with_structs_as_the_hub_has_them(tmp_path):
    pq = parquet()
    import pyarrow as pa

    rows = [{"bytes": GOOD, "path": "0.png"}, {"bytes": GOOD, "path": None}, {"bytes": None, "path": "../x.png"}, None]
    pq.write_table(pa.table({"picture": rows, "labels": [["a", "b"], [], None, ["c"]]}), tmp_path / "s.parquet")
    found = samples_of(tmp_path / "s.parquet", ReadingOptions(image_column="picture"))
    assert [one.path for one in found[:2]] == ["s.parquet/0.png", "s.parquet/00000001"]
    assert [one.labels for one in found[:2]] == [("a", "b"), ()]
    assert "leads out of the shard" in found[2].problem
    assert found[3].problem == "it has neither bytes nor a path"


@pytest.mark.parametrize("far", [False, True])
def test_a_table_with_paths(tmp_path, far):
    pq = parquet()
    pytest.importorskip("fsspec", reason="addresses need the extra remote")
    import pyarrow as pa

    folder = FilePlace.of("memory://photos" if far else tmp_path)
    for row in range(3):
        folder.child(f"in/{row}.png").write(image_bytes(row))
    paths = ["in/0.png", "in/1.png", "in/none.png", "/etc/passwd", "memory://photos/in/0.png", None, "in/2.png"]
    folder.child("s.parquet").fill(
        lambda aside: pq.write_table(pa.table({"path": paths, "label": list("abcdefg")}), aside)
    )
    found = list(read_shard(folder.child("s.parquet"), USUAL, Passed()))
    assert [one.image for one in found if not one.problem] == [image_bytes(row) for row in range(3)]
    assert "there is no such file" in found[2].problem
    assert all("leads out" in found[row].problem for row in (3, 4))
    assert found[5].problem == "it has neither bytes nor a path"


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"jpg": [b""]}, {}, "neither a column 'image' .* nor 'path' .*, but jpg: name them by --image-column"),
        ({"image": ["x"]}, {}, "the column 'image' must hold bytes, or bytes with a path, not string"),
        ({"path": [1]}, {}, "the column 'path' must hold texts, not int64"),
        ({"image": [b""], "id": ["x"]}, {}, "'id' must hold whole numbers, not string: name another --id-column"),
    ],
)
def test_a_table_of_other_columns_is_refused(tmp_path, columns, options, message):
    pq = parquet()
    import pyarrow as pa

    pq.write_table(pa.table(columns), tmp_path / "s.parquet")
    with pytest.raises(DataError, match=message):
        samples_of(tmp_path / "s.parquet", ReadingOptions(**options))


def test_a_damaged_table_is_refused(tmp_path):
    parquet()
    whole = write_table(tmp_path / "s.parquet", range(5)).read_bytes()
    for size in (0, 10, len(whole) - 1, len(whole) // 2):
        (tmp_path / "s.parquet").write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"s\.parquet: it cannot be read as a Parquet file"):
            samples_of(tmp_path / "s.parquet")


def test_a_folder_of_shards_is_a_data_set(tmp_path):
    parquet()
    folder = write_shards(tmp_path / "birds", parquet=(2,))
    members = [("x.png", b"no image"), ("y.png", GOOD), ("z.png", GOOD), ("z.cls", b"c"), ("z.npy", b"")]
    write_tar(folder / "0009.tar", members)
    (folder / "_SUCCESS").touch()
    dataset, everything = load_dataset(folder), load_images(folder)
    assert (dataset.name, dataset.classes, len(dataset), len(everything)) == ("birds", ("a", "b", "c"), 29, 30)
    assert dataset.is_single_label
    assert dataset.notes == ("passed over in the shards: 1 .npy",)
    assert [one.path for one in dataset.problems] == ["0009.tar/x.png", "0009.tar/y.png"]
    assert dataset.problems[1].reason == "no label"
    for row in (0, 8, 20, 27):
        expected = np.asarray(open_image(image_bytes(row)))
        assert np.array_equal(np.asarray(dataset.source.read(row)), expected), dataset.keys[row]
    assert load_dataset(folder).fingerprint == dataset.fingerprint
    assert len(load_dataset(folder / "0001.tar")) == 7


def test_a_table_that_names_files_takes_them_as_they_are_now(tmp_path):
    pq = parquet()
    import pyarrow as pa

    folder, cache = tmp_path / "photos", tmp_path / "cache"
    folder.mkdir()
    names = [f"{row}.png" for row in range(4)]
    for row, name in enumerate(names):
        (folder / name).write_bytes(image_bytes(row))
    pq.write_table(pa.table({"path": names, "label": ["a", "b"] * 2}), folder / "s.parquet")

    def load():
        dataset = load_dataset(folder / "s.parquet", cache=cache)
        assert not dataset.problems
        return dataset

    def pictures():
        source = load().source
        return [np.asarray(source.read(row)).tobytes() for row in range(4)]

    expected = [np.asarray(open_image(image_bytes(row))).tobytes() for row in range(4)]
    assert pictures() == expected
    (copy,) = (cache / "shards").iterdir()
    before = copy.stat()
    assert pictures() == expected
    assert copy.stat() == before  # not written again
    reader, old = load().source, expected[:]
    (folder / "1.png").write_bytes(image_bytes(9, side=24))
    expected[1] = np.asarray(open_image(image_bytes(9, side=24))).tobytes()
    assert pictures() == expected
    assert [np.asarray(reader.read(row)).tobytes() for row in range(4)] == old  # who read before goes on
    copy.unlink()
    (new,) = (cache / "shards").iterdir()
    assert pictures() == expected
    assert list((cache / "shards").iterdir()) == [new]
    new.write_bytes(new.read_bytes()[:-50])  # damaged
    assert pictures() == expected


def test_shards_at_addresses_are_the_same_data_set(tmp_path):
    parquet()
    pytest.importorskip("fsspec", reason="addresses need the extra remote")
    folder = write_shards(tmp_path / "birds", n_shards=3, parquet=(1,))
    for file in folder.iterdir():
        FilePlace.of("memory://of-datasets/birds").child(file.name).write(file.read_bytes())
    here = load_dataset(folder)
    for address in ("memory://of-datasets/birds", "memory://of-datasets/birds/000*", f"file://{folder}"):
        far = load_dataset(address)
        assert far.fingerprint == here.fingerprint
        assert np.array_equal(np.asarray(far.source.read(9)), np.asarray(here.source.read(9)))
    assert len(load_dataset("memory://of-datasets/birds/0002.tar")) == 7
    with pytest.raises(DataError, match="no shards there"):
        load_dataset("memory://of-datasets/nothing")


def test_a_folder_with_images_and_an_archive_is_a_folder_of_images(tmp_path):
    for row in range(4):
        (tmp_path / "photos" / "ab"[row % 2]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / "ab"[row % 2] / f"{row}.png").write_bytes(image_bytes(row))
    write_tar(tmp_path / "photos" / "photos.tar", [("x.png", GOOD)])
    assert len(load_dataset(tmp_path / "photos")) == 4


def test_options_that_would_do_nothing_are_refused(tmp_path):
    folder = write_shards(tmp_path / "birds", n_shards=1)
    with pytest.raises(InputError, match="class_level='leaf' is for folders"):
        load_dataset(folder, class_level="leaf")


def test_shards_without_labels_are_no_data_set_to_train_on(tmp_path):
    write_tar(tmp_path / "s.tar", [("0.png", GOOD)])
    assert len(load_images(tmp_path / "s.tar")) == 1
    with pytest.raises(DataError, match="no image of its shards has a label"):
        load_dataset(tmp_path / "s.tar")
    write_tar(tmp_path / "t.tar", [("0.png", b"none")])
    with pytest.raises(DataError, match="no readable image in 1 shards; 1 skipped"):
        load_images(tmp_path / "t.tar")


def test_a_header_number_beyond_all_bounds_is_no_crash(tmp_path):
    path = write_tar(tmp_path / "s.tar", [("0.png", GOOD)])
    whole = bytearray(path.read_bytes())
    whole[124:136] = b"\x80" + b"\x00" * 3 + struct.pack(">Q", 2**62)
    whole[148:156] = b" " * 8
    whole[148:156] = b"%06o\0 " % sum(whole[:512])
    path.write_bytes(whole)
    with pytest.raises(DataError, match=r"s\.tar"):
        samples_of(path)

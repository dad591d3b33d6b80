"""Official archives fetched by their names, over `file://` and, where a download goes on, from a server on loopback."""

import errno
import hashlib
import io
import json
import os
import re
import shutil
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nearbit.cli.main import run
from nearbit.datasets import load_dataset
from nearbit.datasets.download import NOT_FETCHED, SETS, Archive, fetch, from_cache, size_in_words
from nearbit.datasets.download.archives import MIRFLICKR_LABELS
from nearbit.errors import DataError
from nearbit.files.aside import beside
from nearbit.reading import ReadingOptions
from published_makers import cars, coco, flowers, mirflickr, pets


def packed(archive: Archive, source: Path, to: Path, extra: Mapping[str, bytes] | None = None) -> Archive:
    """Pack what an official archive holds out of a folder, with other members; return what `fetch` needs to know."""
    file = to / archive.name
    held = source / archive.folder.partition("/")[2]
    if archive.is_plain:
        shutil.copy(source / archive.name, file)
    elif file.suffix == ".zip":
        with zipfile.ZipFile(file, "w") as zipped:
            for path in sorted(held.rglob("*")):
                zipped.write(path, (Path(archive.inside) / path.relative_to(held)).as_posix())
            for name, content in (extra or {}).items():
                zipped.writestr(name, content)
    else:
        with tarfile.open(file, "w" if archive.name == "102flowers.tgz" else "w:gz") as tar:
            tar.add(held, archive.inside)
            for name, content in (extra or {}).items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    kind = archive.checksum.partition(":")[0]
    digest = hashlib.new(kind, file.read_bytes(), usedforsecurity=False).hexdigest()
    return replace(archive, url=file.as_uri(), checksum=f"{kind}:{digest}", n_bytes=file.stat().st_size)


@pytest.fixture
def stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Give a function that puts archives of a small copy in the place of the official ones of a set."""
    (tmp_path / "served").mkdir()

    def put(name: str, source: Path, extra: Mapping[str, bytes] | None = None) -> tuple[Archive, ...]:
        archives = tuple(packed(one, source, tmp_path / "served", extra) for one in SETS[name].archives)
        monkeypatch.setitem(SETS, name, replace(SETS[name], archives=archives))
        return archives

    return put


MAKERS = {
    "coco2014": partial(coco, year=2014),
    "coco2017": partial(coco, year=2017),
    "mirflickr25k": partial(mirflickr, labels=MIRFLICKR_LABELS),
    "flowers102": flowers,
    "oxford-pets": pets,
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_set_is_fetched_by_its_name(name: str, tmp_path: Path, stands_in) -> None:
    source = MAKERS[name](tmp_path / name)
    hostile = {"../out.jpg": b"x", "/abs.jpg": b"x", "train2017/../../out.jpg": b"x", "images/deep/x.jpg": b"x"}
    hostile |= {"val2017/.out.jpg": b"x", "jpg/.out.jpg": b"x", "train2017/x.exe": b"x"}
    stands_in(name, source, hostile)
    cache = tmp_path / "cache"
    with pytest.raises(DataError, match=rf"{name} is not in the cache: allow the download .*a folder {name}\)"):
        load_dataset(name, cache=cache)
    dataset = load_dataset(name, cache=cache, download=True)
    plain = load_dataset(source, cache=cache)
    assert (dataset.fingerprint, dataset.name) == (plain.fingerprint, name)
    assert dataset.given_parts == plain.given_parts
    assert [path.name for path in (cache / "datasets").iterdir() if path.suffix != ".sqlite"] == [name]
    assert not list(tmp_path.rglob("*out.jpg")) + list(tmp_path.rglob("x.exe"))
    assert not list((cache / "datasets").rglob("captions*")) + list((cache / "datasets").rglob("Abyssinian_1.mat"))
    shutil.rmtree(tmp_path / "served")
    assert load_dataset(name, cache=cache, download=True).fingerprint == plain.fingerprint  # nothing is fetched again


def test_the_command_line_fetches(tmp_path: Path, stands_in, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    stands_in("coco2017", coco(tmp_path / "coco", 2017))
    monkeypatch.setenv("NEARBIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    assert run(["data", "coco2017", "--download", "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert (about["name"], about["images"], about["classes"]) == ("coco2017", 5, 2)
    assert about["read_as"].endswith("val2017 are the queries")


def test_what_is_missing_of_a_set_is_named(tmp_path: Path, stands_in) -> None:
    annotations, val, train = stands_in("coco2017", coco(tmp_path / "coco", 2017))
    kept = tmp_path / "cache" / "datasets"
    fetch(annotations, kept)
    fetch(val, kept)
    with pytest.raises(DataError, match=r"not in the cache \(missing: train2017\.zip\): .*bytes; use of the pictures"):
        load_dataset("coco2017", cache=tmp_path / "cache")
    (tmp_path / "served" / val.name).unlink()
    assert len(load_dataset("coco2017", cache=tmp_path / "cache", download=True)) == 5
    assert train.name == "train2017.zip"


def test_a_disk_without_room_is_said_before_anything_is_fetched(tmp_path: Path, stands_in, monkeypatch) -> None:
    archives = stands_in("coco2017", coco(tmp_path / "coco", 2017))
    usage = shutil.disk_usage(tmp_path)
    needed = sum(one.n_unpacked for one in archives) + archives[-1].n_bytes
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed - 1))
    message = rf"coco2017 needs {re.escape(size_in_words(needed))} on the disk .*--cache, NEARBIT_CACHE"
    with pytest.raises(DataError, match=message):
        load_dataset("coco2017", cache=tmp_path / "cache", download=True)
    assert not (tmp_path / "cache").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed))
    assert len(load_dataset("coco2017", cache=tmp_path / "cache", download=True)) == 5


def test_a_zip_gives_plain_files_alone(tmp_path: Path, stands_in) -> None:
    _, val, _ = stands_in("coco2017", coco(tmp_path / "coco", 2017))
    file = tmp_path / "served" / val.name
    link = zipfile.ZipInfo("val2017/link.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(file, "a") as zipped:
        zipped.writestr(link, "/etc/passwd")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    linked = replace(val, checksum=f"sha256:{digest}", n_bytes=file.stat().st_size)
    place = fetch(linked, tmp_path / "cache")
    assert sorted(path.name for path in place.iterdir()) == ["000000000042.jpg", "000000000073.jpg"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"files": {"instances_val2017.json": 3}},
            r"expected the file annotations/instances_val2017\.json of",
        ),
        ({"files": {"more.json": 3}}, r"expected the file annotations/more\.json"),
        ({"checksum": "sha256:00"}, r"expected the SHA-256 00, came [0-9a-f]{64}; nothing was kept"),
        ({"n_bytes": 7}, r"more than 7 bytes; that is not the archive"),
    ],
)
def test_another_archive_is_refused_and_not_kept(tmp_path: Path, stands_in, change, message: str) -> None:
    annotations, *_ = stands_in("coco2017", coco(tmp_path / "coco", 2017))
    with pytest.raises(DataError, match=message):
        fetch(replace(annotations, **change), tmp_path / "cache")
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_damaged_zip_is_an_error(tmp_path: Path, stands_in) -> None:
    annotations, *_ = stands_in("coco2017", coco(tmp_path / "coco", 2017))
    file = tmp_path / "served" / annotations.name
    whole = file.read_bytes()
    for content in (b"rubbish", whole[: len(whole) // 2], whole.replace(b'"images"', b'"imAges"')):
        file.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        with pytest.raises(DataError, match=r"the archive cannot be unpacked"):
            fetch(replace(annotations, checksum=f"sha256:{digest}", n_bytes=len(content)), tmp_path / "cache")
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


class Server(BaseHTTPRequestHandler):
    """Serves one file with or without ranges, and closes the connection early where it is told to."""

    content = b""
    ends_after: int | None = None
    has_ranges = True
    asked: list[str] = []  # noqa: RUF012

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer with the file, or with the range asked for."""
        wanted = self.headers.get("Range", "")
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.has_ranges else 0
        if start >= len(self.content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        self.send_header("Content-Length", str(len(self.content) - start))
        self.end_headers()
        self.wfile.write(self.content[start : self.ends_after])


@pytest.fixture
def served(tmp_path: Path, stands_in) -> Iterator[tuple[Archive, type[Server]]]:
    """Give an archive on a server of its own."""
    annotations, *_ = stands_in("coco2017", coco(tmp_path / "coco", 2017))

    class Own(Server):
        content = (tmp_path / "served" / annotations.name).read_bytes()
        asked: list[str] = []  # noqa: RUF012

    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield replace(annotations, url=f"http://127.0.0.1:{server.server_port}/{annotations.name}"), Own
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("has_ranges", [True, False])
def test_a_download_goes_on_where_it_ended(tmp_path: Path, served, has_ranges: bool) -> None:
    archive, server = served
    server.ends_after, server.has_ranges = 100, has_ranges
    with pytest.raises(DataError, match=rf"ended after 100 of {archive.n_bytes:,} bytes; they are kept: run it again"):
        fetch(archive, tmp_path / "cache")
    kept = tmp_path / "cache" / f"{archive.name}.part"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [kept.name]
    server.ends_after = None
    seen: list[tuple[str, int, int]] = []
    place = fetch(archive, tmp_path / "cache", lambda *report: seen.append(report))
    assert sorted(path.name for path in place.iterdir()) == ["instances_train2017.json", "instances_val2017.json"]
    assert server.asked == ["", "bytes=100-"]
    assert not kept.exists()
    assert seen[0] == (f"downloading {archive.name}", archive.n_bytes, archive.n_bytes)


def test_what_a_killed_download_left_is_taken_up(tmp_path: Path, served) -> None:
    archive, server = served
    cache = tmp_path / "cache"
    cache.mkdir()
    living = beside(cache / archive.name)
    living.write_bytes(b"of a process that runs")
    dead = living.with_name(re.sub(r"-\d+-", "-4194399-", living.name))
    dead.write_bytes(server.content[:77])
    fetch(archive, cache)
    assert server.asked == ["bytes=77-"]
    assert living.exists()
    assert not dead.exists()


def test_a_whole_download_is_not_fetched_again(tmp_path: Path, served) -> None:
    archive, server = served
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / archive.name).write_bytes(server.content)
    fetch(archive, tmp_path / "cache")
    assert server.asked == []


def test_a_part_of_another_file_is_not_gone_on_with_for_ever(tmp_path: Path, served) -> None:
    archive, server = served
    (tmp_path / "cache").mkdir()
    part = tmp_path / "cache" / f"{archive.name}.part"
    part.write_bytes(b"x" * 50)
    with pytest.raises(DataError, match=r"expected the SHA-256 .*nothing was kept, try again"):
        fetch(archive, tmp_path / "cache")
    part.write_bytes(server.content)
    longer = replace(archive, n_bytes=archive.n_bytes + 10)
    with pytest.raises(DataError, match=r"cannot be fetched: HTTP Error 416"):
        fetch(longer, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    fetch(archive, tmp_path / "cache")


def test_an_address_that_fails_keeps_what_came(tmp_path: Path, stands_in) -> None:
    annotations, *_ = stands_in("coco2017", coco(tmp_path / "coco", 2017))
    gone = replace(annotations, url=(tmp_path / "none" / annotations.name).as_uri())
    (tmp_path / "cache").mkdir()
    part = tmp_path / "cache" / f"{annotations.name}.part"
    part.write_bytes((tmp_path / "served" / annotations.name).read_bytes()[:60])
    with pytest.raises(DataError, match=r"cannot be fetched: .*; run it again to go on after the 60 bytes that came"):
        fetch(gone, tmp_path / "cache")
    assert part.stat().st_size == 60
    fetch(annotations, tmp_path / "cache")  # from `file://` all of it comes again


def test_the_official_archives_are_known() -> None:
    archives = [archive for known in SETS.values() for archive in known.archives]
    for archive in archives:
        kind, _, digest = archive.checksum.partition(":")
        assert (kind, len(digest)) in {("md5", 32), ("sha256", 64)}
        assert re.fullmatch("[0-9a-f]+", digest)
        assert archive.published
        assert archive.url.startswith("https://") or kind == "sha256"
        assert archive.folder.startswith(tuple(known.folder for known in SETS.values()))
    assert len({archive.checksum for archive in archives}) == len(archives)
    assert {name: SETS[name].archives[0].checksum for name in ("cifar10", "cifar100", "cub200")} == {
        "cifar10": "md5:c32a1d4ab5d03f1284b67883e8d87530",
        "cifar100": "md5:03b5dce01913d631647c71ecec9e9cb8",
        "cub200": "md5:97eceeb196236b17998738112f37df78",
    }


@pytest.mark.parametrize("name", NOT_FETCHED)
def test_what_is_not_fetched_is_said_with_what_to_do(name: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=rf"{name} is not fetched: .*(Give the|nearbit data LISTS)"):
        load_dataset(name, cache=tmp_path, download=True)
    cars(tmp_path / name)  # a folder of that name is read
    assert len(load_dataset(name, cache=tmp_path)) == 8


def test_from_cache_names_the_folder(tmp_path: Path, stands_in) -> None:
    stands_in("oxford-pets", pets(tmp_path / "pets"))
    options = ReadingOptions(cache=tmp_path / "cache", download=True)
    assert from_cache("oxford-pets", options) == tmp_path / "cache" / "datasets" / "oxford-pets"
    assert [size_in_words(n) for n in (512, 19_173_078, 19_336_861_798)] == ["512 bytes", "19.2 MB", "19.3 GB"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_an_archive_is_kept_where_unpacking_was_stopped(tmp_path: Path, stands_in, monkeypatch, error) -> None:
    (_, archive) = stands_in("oxford-pets", pets(tmp_path / "pets"))
    kept = tmp_path / "cache"

    def stopped(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", stopped)
        with pytest.raises((KeyboardInterrupt, DataError)) as caught:
            fetch(archive, kept)
    assert isinstance(error, KeyboardInterrupt) or "cannot be written: No space left on device" in str(caught.value)
    assert [path.name for path in kept.rglob("*") if path.is_file()] == [archive.name]
    shutil.rmtree(tmp_path / "served")
    assert list(fetch(archive, kept).iterdir())
    assert not (kept / archive.name).exists()


def test_the_longest_leftover_is_taken_and_the_others_are_removed(tmp_path: Path, stands_in) -> None:
    (_, archive) = stands_in("oxford-pets", pets(tmp_path / "pets"))
    content = (tmp_path / "served" / archive.name).read_bytes()
    kept = tmp_path / "cache"
    kept.mkdir()
    of_the_dead = beside(kept / archive.name)
    of_the_dead = of_the_dead.with_name(of_the_dead.name.replace(f"-{os.getpid()}-", "-999999999-"))
    of_the_dead.write_bytes(content)
    (kept / f"{archive.name}.part").write_bytes(content[:10])
    shutil.rmtree(tmp_path / "served")
    fetch(archive, kept)
    assert not [path for path in kept.iterdir() if path.is_file()]


def test_an_archive_that_a_kill_left_beside_its_files_goes(tmp_path: Path, stands_in) -> None:
    (*_, archive) = stands_in("oxford-pets", pets(tmp_path / "pets"))
    options = ReadingOptions(cache=tmp_path / "cache", download=True)
    kept = from_cache("oxford-pets", options).parent
    whole = sorted(kept.rglob("*"))
    for get in (lambda: fetch(archive, kept), lambda: from_cache("oxford-pets", options)):
        (kept / archive.name).write_bytes(b"left")
        get()
        assert sorted(kept.rglob("*")) == whole


def test_each_part_of_the_work_is_told(tmp_path: Path, stands_in) -> None:
    (_, archive) = stands_in("oxford-pets", pets(tmp_path / "pets"))
    told: dict[str, list[tuple[int, int]]] = {}
    place = fetch(archive, tmp_path / "cache", lambda stage, *at: told.setdefault(stage, []).append(at))
    n_files = sum(path.is_file() for path in place.rglob("*"))
    assert list(told) == [f"{part} {archive.name}" for part in ("downloading", "unpacking")] + [
        f"writing {archive.name} to the disk"
    ]
    for part in ("unpacking", "writing"):
        (steps,) = (steps for stage, steps in told.items() if stage.startswith(part))
        assert steps == [(done, n_files) for done in range(1, n_files + 1)]


def test_of_two_that_fetch_one_set_the_second_waits(tmp_path: Path, stands_in) -> None:
    (_, archive) = stands_in("oxford-pets", pets(tmp_path / "pets"))
    second, found, met = [], [], threading.Event()
    steps: list[object] = []

    def waits(*said: object) -> None:
        steps.append(said)
        met.set()

    def progress(*said: object) -> None:
        if not second:  # while the first unpacks or downloads, another begins
            second.append(threading.Thread(target=lambda: found.append(fetch(archive, tmp_path / "cache", waits))))
            second[0].start()
            assert met.wait(20)

    place = fetch(archive, tmp_path / "cache", progress)
    second[0].join(60)
    assert found == [place]
    waiting = f"waiting for the process that fetches {archive.name}"
    assert steps == [(waiting, 0, 1), (waiting, 1, 1)]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["oxford-pets"]

"""Pictures of items: small ones without a trace of where they were taken, files only from where they may come."""

import io
import os
import urllib.parse

import numpy as np
import pytest
from PIL import Image
from service_site import N_BITS, colors_of, png, running

from nearbit.datasets import content_digest, load_dataset
from nearbit.errors import ImageError
from nearbit.index import create_index, open_index
from nearbit.service.images.originals import Originals
from nearbit.service.images.thumbnails import MOST_BYTES, Thumbnails, small_picture
from nearbit.service.settings import ServiceOptions

CANARY = b"canary-outside-of-the-folder"


def index_of(folder, paths, *, digests=None):
    """Write an index whose items have these paths; ids begin with 1."""
    with create_index(folder / "a.index", N_BITS) as index:
        metadata = [{"path": path} for path in paths]
        for own, digest in zip(metadata, digests or [], strict=False):
            own["digest"] = digest
        index.add(np.zeros((len(paths), 2), np.uint8), metadata=metadata)
    return folder / "a.index"


def items_at(path):
    with open_index(path, read_only=True) as index:
        return list(index)


def photo(size=(900, 600), **saved):
    """Return a JPEG of noise that no quality makes small easily."""
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=90, **saved)
    return out.getvalue()


def test_a_thumbnail_is_small_upright_and_bare(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    exif[0x010F] = "maker-of-the-camera"
    exif.get_ifd(0x8825)[2] = (48.0, 1.0, 2.0)
    left_red = Image.new("RGB", (800, 400), (0, 0, 255))
    left_red.paste((255, 0, 0), (0, 0, 400, 400))
    left_red.save(tmp_path / "a.jpg", exif=exif, comment=b"a-comment", quality=95)
    with running(ServiceOptions(index=index_of(tmp_path, ["a.jpg"]))) as site:
        answer = site.get("items/1/thumbnail")
    assert answer.headers["content-type"] == "image/jpeg"
    assert b"maker-of-the-camera" not in answer.body
    assert b"Exif" not in answer.body
    assert b"a-comment" not in answer.body
    small = Image.open(io.BytesIO(answer.body))
    assert small.size == (128, 256)
    top, bottom = small.getpixel((64, 20)), small.getpixel((64, 236))
    assert top[0] > 200 > top[2]
    assert bottom[2] > 200 > bottom[0]


@pytest.mark.parametrize("size", [(256, 256), (3000, 40), (65, 65), (40, 3000), (1, 900)])
def test_a_thumbnail_fits_and_keeps_its_shape(size):
    data, kind = small_picture(Image.new("RGB", size, (9, 99, 9)))
    small = Image.open(io.BytesIO(data))
    assert (max(small.size), kind) == (min(256, max(size)), "image/jpeg")
    assert small.width / small.height == pytest.approx(
        size[0] / size[1], abs=1 / min(small.size) * max(size) / min(size)
    )


def test_noise_makes_no_large_thumbnail():
    data, _ = small_picture(Image.open(io.BytesIO(photo())))
    assert len(data) <= MOST_BYTES


def test_tiny_pictures_are_enlarged_pixel_by_pixel():
    pixels = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    data, kind = small_picture(Image.fromarray(pixels))
    enlarged = np.asarray(Image.open(io.BytesIO(data)))
    assert (kind, enlarged.shape) == ("image/png", (128, 128, 3))
    assert (enlarged == pixels.repeat(16, axis=0).repeat(16, axis=1)).all()


def test_a_thumbnail_is_sent_once(site):
    first = site.get("items/1/thumbnail")
    assert first.status == 200
    assert first.headers["cache-control"] == "private, no-cache"
    again = site.get("items/1/thumbnail", If_None_Match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    link = site.get("items/1").json["thumbnail"]
    assert "immutable" in site("GET", link).headers["cache-control"]
    assert site.get("items/2/thumbnail", If_None_Match=first.headers["etag"]).status == 200


def test_kept_thumbnails_are_bounded_and_the_least_used_go(tmp_path):
    for number in range(12):
        (tmp_path / f"{number}.jpg").write_bytes(photo((256, 256 - number)))
    path = index_of(tmp_path, [f"{number}.jpg" for number in range(12)])
    items, kept = items_at(path), Thumbnails(path, Originals(path, ()), 60_000)
    for item in items:
        assert len(kept.get(item).data) > 5000
    count, size = kept.count()
    assert size <= 60_000
    assert 3 < count < 12
    newest, oldest = kept.key_of(items[-1]), kept.key_of(items[0])
    assert kept._find(newest) is not None
    assert kept._find(oldest) is None
    kept.close()
    again = Thumbnails(path, Originals(path, ()), 60_000)
    (tmp_path / "11.jpg").rename(tmp_path / "gone.jpg")
    assert again.count() == (count, size)
    again.close()


def test_a_changed_file_has_a_new_thumbnail(tmp_path):
    (tmp_path / "a.png").write_bytes(png((255, 0, 0)))
    path = index_of(tmp_path, ["a.png"])
    kept, (item,) = Thumbnails(path, Originals(path, ()), 10**6), items_at(path)
    first = kept.get(item)
    (tmp_path / "a.png").write_bytes(png((0, 0, 255), 25))
    second = kept.get(item)
    assert first.key != second.key
    assert Image.open(io.BytesIO(second.data)).getpixel((3, 3)) == (0, 0, 255)
    kept.close()


@pytest.fixture
def walled(tmp_path):
    """An index among files of which some lead out of its folder; returns its path and what must not be seen."""
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret.png").write_bytes(png((1, 2, 3)) + CANARY)
    (inside / "good.png").write_bytes(png((3, 2, 1)))
    (inside / "link.png").symlink_to(outside / "secret.png")
    (inside / "folder").symlink_to(outside)
    (inside / "loop.png").symlink_to(inside / "loop.png")
    (inside / "own.png").symlink_to(inside / "good.png")
    (inside / "notes.txt").write_bytes(CANARY)
    (inside / "bad.svg").write_bytes(b"<svg><script>" + CANARY)
    (inside / "page.png").write_bytes(b"<html>" + CANARY)
    os.mkfifo(inside / "pipe.png")
    paths = [
        "good.png", "own.png", "../out/secret.png", str(outside / "secret.png"), "link.png", "folder/secret.png",
        "loop.png", "pipe.png", "folder", ".", "..", "notes.txt", "bad.svg", "page.png",
        "./folder/../../out/secret.png",
        "missing.png", "..\\out\\secret.png", "a" * 5000, "%2e%2e/out/secret.png", "a.index",
        "/etc/passwd", "file:///etc/passwd",
    ]  # fmt: skip
    return index_of(inside, paths), paths, outside


def test_files_come_only_from_the_folder_of_the_index(walled):
    path, paths, outside = walled
    with running(ServiceOptions(index=path)) as site:
        for number, name in enumerate(paths, start=1):
            about, whole = site.get(f"items/{number}"), site.get(f"items/{number}/original")
            small = site.get(f"items/{number}/thumbnail")
            is_good = name in ("good.png", "own.png")
            assert (whole.status, small.status) == ((200, 200) if is_good else (404, 404)), name
            for answer in (about, whole, small):
                assert CANARY not in answer.body
                assert str(outside).encode() not in answer.body
            assert about.json["has_original"] is (is_good or name in ("notes.txt", "bad.svg", "page.png", "a.index"))


def test_named_folders_may_be_shown_too(walled):
    path, paths, outside = walled
    with running(ServiceOptions(index=path, images=(outside,))) as site:
        number = paths.index("../out/secret.png") + 1
        assert site.get(f"items/{number}/original").body.endswith(CANARY)
        assert site.get(f"items/{paths.index('/etc/passwd') + 1}/original").status == 404


def test_a_file_is_a_download_of_a_safe_type(tmp_path):
    name = 'evil"; x=<img onerror=alert(1)>.png'
    (tmp_path / name).write_bytes(png((1, 2, 3)))
    with running(ServiceOptions(index=index_of(tmp_path, [name]))) as site:
        answer = site.get("items/1/original", Range="bytes=0-3")
        assert site.get("items/1").json["path"] == name
    assert answer.body == png((1, 2, 3))
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert "<" not in answer.headers["content-disposition"]
    assert answer.headers["x-content-type-options"] == "nosniff"


SHAPES = [
    "..", "../..", "%2e%2e", "..%2f..", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "....//", "..\\..", "%5c..%5c", "%00",
    "a%00.png", "/etc/passwd", "%2fetc%2fpasswd", "C:%5cwindows", "~", "$HOME", "%252e%252e", "\x7f",
    "1%0d%0aX-Evil:1", "１", "+1", "1 ",
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_no_shape_of_a_path_leads_out(site, shape):
    shape = urllib.parse.quote(shape, safe="%/\\$~+:.")
    for route in (
        f"/static/{shape}", f"/static/{shape}/etc/passwd", f"/{shape}", f"/api/v1/items/{shape}",
        f"/api/v1/items/{shape}/original", f"/api/v1/items/{shape}/thumbnail", f"/api/v1/items/{shape}/neighbors",
        f"/static/../{shape}", f"/api/v1/{shape}/items",
    ):  # fmt: skip
        answer = site("GET", route)
        assert answer.status in (400, 404)
        assert b"root:" not in answer.body
        assert "x-evil" not in answer.headers


def test_absolute_paths_of_the_server_are_not_told(tmp_path):
    with running(ServiceOptions(index=index_of(tmp_path, [str(tmp_path / "deep" / "a.png"), "b/c.png"]))) as site:
        body = site.get("items").body + site.get("items/1/neighbors").body + site.get("index").body
        assert [one["path"] for one in site.get("items").json["items"]] == ["a.png", "b/c.png"]
    assert str(tmp_path).encode() not in body


@pytest.mark.parametrize("name", ["digits", pytest.param("shapes", marks=pytest.mark.slow)])
def test_pictures_of_built_in_data_are_shown(tmp_path, name):
    dataset = load_dataset(name)
    rows = [3, 500]
    path = index_of(tmp_path, [dataset.keys[row] for row in rows], digests=[dataset.digests[row] for row in rows])
    with running(ServiceOptions(index=path)) as site:
        for number, row in enumerate(rows, start=1):
            about, answer = site.get(f"items/{number}").json, site.get(f"items/{number}/thumbnail")
            assert about["thumbnail"] is not None
            assert about["has_original"] is False
            shown, original = Image.open(io.BytesIO(answer.body)), dataset.source.read(row)
            assert (np.asarray(shown.resize(original.size, Image.Resampling.NEAREST)) == np.asarray(original)).all()


def test_an_item_whose_file_is_gone_is_marked_and_nothing_is_told_of_other_folders(walled):
    path, paths, _ = walled
    with running(ServiceOptions(index=path)) as site:
        found = {name: site.get(f"items/{number}").json["missing"] for number, name in enumerate(paths, start=1)}
        marked = {
            one["id"]: one["missing"] for one in site.get("items/1/neighbors?k=50").json["results"][0]["neighbors"]
        }
    gone = {name for name, missing in found.items() if missing}
    assert gone == {"missing.png", "..\\out\\secret.png", "%2e%2e/out/secret.png"}
    assert marked == dict(enumerate(found.values(), start=1))


def test_a_name_like_built_in_data_with_other_content_shows_nothing(tmp_path):
    path = index_of(tmp_path, ["digits/0003"], digests=[content_digest(b"something else")])
    with pytest.raises(ImageError, match="no picture of it lies in the folders"):
        Originals(path, ()).image_of(items_at(path)[0], 10)


def test_where_nothing_can_be_written_thumbnails_are_made_all_the_same(tmp_path):
    (tmp_path / "a.png").write_bytes(png((255, 0, 0)))
    path = index_of(tmp_path, ["a.png"])
    (tmp_path / "a.index-thumbs").mkdir()
    kept = Thumbnails(path, Originals(path, ()), 10**9)
    assert kept.get(items_at(path)[0]).content_type == "image/png"
    assert kept.count()[0] == 1
    kept.close()


def test_every_item_of_the_small_index_has_its_color(site):
    for number, color in list(enumerate(colors_of(29), start=1))[::9]:
        small = Image.open(io.BytesIO(site.get(f"items/{number}/thumbnail").body))
        assert small.getpixel((5, 5)) == color
    assert site.get("items/30/thumbnail").code == "no_picture"
    assert site.get("items/30").json["thumbnail"] is None

"""What is large: pictures beyond what the server takes, and ids beyond what numbers of a browser hold."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from served_pages import served

from nearbit.index import create_index

pytestmark = pytest.mark.slow

FITTED = """
const [text, type, limits] = arguments;
const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
return import("./static/shrink.js").then(async ({ fitted }) => {
  const file = new File([bytes], "a.bin", { type });
  const small = await fitted(file, limits);
  if (small === file) return null;
  const data = String.fromCharCode(...new Uint8Array(await small.arrayBuffer()));
  return [small.name, small.type, btoa(data)];
});
"""
BROUGHT = """
const canvas = new OffscreenCanvas(8000, 6500);
const context = canvas.getContext("2d");
context.fillStyle = "#3a7";
context.fillRect(0, 0, 8000, 6500);
return canvas.convertToBlob({ type: "image/png" }).then((blob) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([blob], "phone.png", { type: "image/png" }));
  document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, dataTransfer: transfer }));
});
"""


def picture(form, size, orientation=None):
    """Return a picture that is red at the left and blue at the right, as base64."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[:, : size[0] // 2, 0] = pixels[:, size[0] // 2 :, 2] = 220
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form, exif=exif)
    return base64.b64encode(out.getvalue()).decode()


def fitted(page, text, kind, image_bytes=10_000_000, pixels=40_000_000):
    """Return the picture that would be sent; None where it is sent as it is."""
    found = page.run(FITTED, text, kind, {"image_bytes": image_bytes, "pixels": pixels})
    if found is None:
        return None
    name, type_, data = found
    assert (name, type_) == ("a.bin", "image/jpeg")
    return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")


def test_only_what_is_too_large_is_made_smaller(page):
    page.open()
    for form, kind in (("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp")):
        text = picture(form, (300, 200))
        assert fitted(page, text, kind) is None
        small = fitted(page, text, kind, image_bytes=len(text) // 2)
        assert small is None or small.size == (300, 200)
    for form, kind in (("JPEG", "image/jpeg"), ("PNG", "image/png")):
        small = fitted(page, picture(form, (4096, 1024)), kind, pixels=4_000_000)
        assert small.size == (2048, 512)
        assert small.getpixel((20, 20))[0] > 180 > 60 > small.getpixel((2000, 500))[0]
    assert fitted(page, base64.b64encode(b"no picture" * 50).decode(), "image/jpeg", image_bytes=20) is None


def test_the_orientation_is_kept(page):
    page.open()
    small = fitted(page, picture("JPEG", (4096, 1024), orientation=6), "image/jpeg", pixels=4_000_000)
    assert small.size == (512, 2048)
    assert small.getpixel((250, 20))[0] > 180 > 60 > small.getpixel((250, 2020))[0]
    assert "exif" not in small.info


def test_a_picture_of_a_phone_is_searched_by(page):
    page.open()
    page.run(BROUGHT)
    assert page.results()
    assert page.text("#message .message") is None


def test_ids_beyond_2_to_the_53_open_what_they_name(page_at, tmp_path):
    ids = [2**53, 2**53 + 1, 2**63 - 1]
    with create_index(tmp_path / "x.index", 8) as index:
        index.add(np.array([[1], [2], [4]], np.uint8), ids=ids, metadata=[{"labels": [f"n{one}"]} for one in ids])
    with served(tmp_path / "x.index") as (address, _):
        page = page_at(address)
        for item_id in ids:
            page.open(f"?id={item_id}")
            page.until(lambda item_id=item_id: page.text("#query .label") == f"n{item_id}", "the item is shown")
            shown = page.run("return [...document.querySelectorAll('#results .pick')].map((box) => box.dataset.id)")
            assert shown[0] == str(item_id)
            assert sorted(shown) == sorted(map(str, ids))
        page.run("document.querySelector('#results .pick').click()")
        page.until(lambda: page.text("#selection p") == "1 selected", "it is selected")
        assert page.run("return document.querySelector('#results .pick').checked")

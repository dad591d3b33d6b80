"""Uploaded images: the form they come in, and safe decoding."""

from dataclasses import dataclass

from PIL import Image
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from nearbit.datasets import open_image
from nearbit.service.http.body_limits import FORM_OVERHEAD, megabytes
from nearbit.service.http.errors import ApiError
from nearbit.service.settings import Limits

IMAGE_FIELD = "image"


@dataclass(frozen=True, eq=False)
class Upload:
    """One file and the fields beside it."""

    data: bytes
    fields: list[tuple[str, str]]


async def upload_of(request: Request, limits: Limits) -> Upload:
    """Return the file and the fields of a form; all of it stays in memory.

    Raises:
        ApiError: no form (415), a broken one or too many parts (400), no file or another field (422), too large (413).
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise ApiError(
            415,
            f"expected multipart/form-data, came {kind[:60] or 'nothing'}",
            f"send a form with a file named {IMAGE_FIELD}",
        )
    parser = MultiPartParser(
        request.headers, request.stream(), max_files=1, max_fields=limits.fields, max_part_size=FORM_OVERHEAD
    )
    parser.spool_max_size = limits.image_bytes + FORM_OVERHEAD
    try:
        form = await parser.parse()
    except (MultiPartException, UnicodeDecodeError, KeyError, ValueError) as error:
        raise ApiError(
            400, f"the form cannot be read: {str(error)[:120]}", "send multipart/form-data with one file"
        ) from error
    try:
        return await _checked(form, limits)
    finally:
        await form.close()


async def _checked(form: FormData, limits: Limits) -> Upload:
    files = [(name, value) for name, value in form.multi_items() if isinstance(value, UploadFile)]
    fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    if len(files) != 1 or files[0][0] != IMAGE_FIELD:
        named = files[0][0][:40] if files else "none"
        raise ApiError(422, f"expected one file named {IMAGE_FIELD}, came {named}", f"name the file part {IMAGE_FIELD}")
    data = await files[0][1].read()
    if len(data) > limits.image_bytes:
        raise ApiError(
            413, f"too large ({megabytes(len(data))} > {megabytes(limits.image_bytes)})", "send a smaller file"
        )
    return Upload(data, fields)


def decoded(data: bytes, at_least: int, limits: Limits) -> Image.Image:
    """Return an uploaded image in RGB, upright; raise `ImageError` where it is none or has too many pixels."""
    return open_image(data, at_least, max_pixels=limits.pixels)

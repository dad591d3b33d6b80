"""Uploaded images: the form they come in, and safe decoding."""

from PIL import Image
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from nearbit.datasets import open_image
from nearbit.service.http.errors import ApiError
from nearbit.service.settings import FORM_OVERHEAD, Limits, megabytes

FORM = "multipart/form-data"
IMAGE_FIELD = "image"
Fields = list[tuple[str, str]]


async def upload_of(request: Request, limits: Limits) -> tuple[bytes, Fields]:
    """Return the file and the fields of a form; all of it stays in memory.

    Raises:
        ApiError: a broken form or too many parts (400), no file or another one (422), too large (413).
    """
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


async def _checked(form: FormData, limits: Limits) -> tuple[bytes, Fields]:
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
    return data, fields


def decoded(data: bytes, at_least: int, limits: Limits) -> Image.Image:
    """Return an uploaded image in RGB, upright; raise `ImageError` where it is none or has too many pixels."""
    return open_image(data, at_least, max_pixels=limits.pixels)

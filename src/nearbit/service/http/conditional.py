"""Answers that a browser has already: `If-None-Match`, as RFC 9110 (13.1.2) says."""

import re

from starlette.datastructures import Headers
from starlette.staticfiles import StaticFiles

_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_LIST = re.compile(rf"[ \t]*(?:{_TAG.pattern})?(?:[ \t]*,[ \t]*(?:{_TAG.pattern})?)*[ \t]*")


def has_already(asked: Headers, tag: str) -> bool:
    """Return whether the sender of a GET or HEAD has what bears an entity tag: any of a list, strong or weak, or "*".

    Args:
        asked: the headers of the request.
        tag: the entity tag, with its quotes.
    """
    text = ",".join(asked.getlist("if-none-match")).strip()
    if text == "*":
        return True
    return bool(_LIST.fullmatch(text)) and tag.removeprefix("W/") in _TAG.findall(text)


class PageFiles(StaticFiles):
    """Files that are sent once."""

    def is_not_modified(self, response_headers: Headers, request_headers: Headers) -> bool:
        """Return whether the sender has a file already."""
        if "if-none-match" in request_headers:
            return has_already(request_headers, response_headers["etag"])
        return super().is_not_modified(response_headers, request_headers)

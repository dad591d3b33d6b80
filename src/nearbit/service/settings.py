"""What a service is told: where the index lies, who may ask, and how much at once."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from nearbit.errors import InputError
from nearbit.given import check_number
from nearbit.index import Place

_HOST = re.compile(r"([A-Za-z0-9._~-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?")
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
SHORTEST_TOKEN = 16
DEFAULT_K, DEFAULT_PAGE, DEFAULT_SAMPLE = 10, 50, 12
FORM_OVERHEAD = 200_000
"""Bytes of an upload beside the file: boundaries, headers of parts, fields."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on what one request, and all of them together, may cost.

    Attributes:
        image_bytes: size of an uploaded file.
        json_bytes: size of a body that is no upload.
        pixels: width times height of an uploaded image, checked before it is decoded.
        fields: form fields beside the file.
        head_bytes: size of the head of a request: its first line and its fields.
        head_fields: fields of a head.
        k: results of one query.
        queries: queries of one request.
        results: results of one request: its queries times `k`.
        page: items of one listing.
        conditions: keys of one metadata filter.
        body_seconds: time for the whole body of a request to arrive.
        idle_seconds: time for the head of a first request on a new connection; of a later one, up to twice as much.
        requests: requests that are worked on at once; the next one is answered 503.
        waiting_images: images that wait for the model; the next one is answered 503.
        connections: open connections; the next one is closed.
        decode_seconds: time for one uploaded image to be decoded; a later answer is given up, and says so.
        drain_seconds: time from a signal to stop to the end of the process; requests under way may end in it.
        thumbnail_bytes: size of all kept thumbnails.
    """

    image_bytes: int = 10_000_000
    json_bytes: int = 1_000_000
    pixels: int = 40_000_000
    fields: int = 100
    head_bytes: int = 32_768
    head_fields: int = 100
    k: int = 1000
    queries: int = 100
    results: int = 20_000
    page: int = 200
    conditions: int = 20
    body_seconds: float = 20.0
    idle_seconds: float = 10.0
    requests: int = 64
    waiting_images: int = 32
    connections: int = 512
    decode_seconds: float = 20.0
    drain_seconds: int = 10
    thumbnail_bytes: int = 256_000_000

    @property
    def default_k(self) -> int:
        """How many results a query has that names neither `k` nor a radius."""
        return min(DEFAULT_K, self.k)

    @property
    def default_page(self) -> int:
        """How many items a listing has that names no limit."""
        return min(DEFAULT_PAGE, self.page)

    @property
    def default_sample(self) -> int:
        """How many items are drawn where it is not said."""
        return min(DEFAULT_SAMPLE, self.page)


@dataclass(frozen=True, kw_only=True)
class ServiceOptions:
    """How an index is served.

    Attributes:
        index: the index file, or the address in a server.
        model: the model folder that encodes uploads; None for the one that the index names.
        host: address to listen on; another one than loopback needs a token.
        port: port to listen on; 0 for any that is free.
        token: what every request for data must carry as `Authorization: Bearer`; None for no such check.
        allow_write: whether items may be added and removed.
        allowed_hosts: names, beside loopback and `host`, under which the service may be addressed: at its port
            or those of HTTP and HTTPS, or at one that is named here ("birds.example:8443").
        images: folders that pictures may be read from, beside that of the index.
        text_weights: where the text part of the model lies, for searches by words; see `text_checkpoint`.
        workers: processes.
        limits: bounds.
    """

    index: Place
    model: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    allow_write: bool = False
    allowed_hosts: tuple[str, ...] = ()
    images: tuple[Path, ...] = ()
    text_weights: str | None = None
    workers: int = 1
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.token is not None and (len(self.token) < SHORTEST_TOKEN or not self.token.isascii()):
            raise InputError(
                f"a token must be at least {SHORTEST_TOKEN} ASCII characters; make one: openssl rand -hex 16"
            )
        if self.token is None and not is_loopback(self.host):
            raise InputError(
                f"to listen on {self.host}, which other machines can reach, needs a token that every request carries: "
                "give --token-file FILE, or set NEARBIT_TOKEN"
            )
        if self.allow_write and self.token is None:
            raise InputError("to let requests change the index needs a token: give --token-file, or set NEARBIT_TOKEN")
        for name in self.allowed_hosts:
            if not _HOST.fullmatch(name):
                raise InputError(
                    f"--allowed-host takes a name alone, such as birds.example, or with its port, not {name!r}"
                )
        check_number("workers", self.workers, at_least=1, whole=True)

    @property
    def hosts(self) -> frozenset[str]:
        """The names of its own, in lower case, under which the service may be addressed at its port."""
        return frozenset(name.lower() for name in (*LOOPBACK_HOSTS, bracketed(self.host)))


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    import ipaddress

    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def bracketed(host: str) -> str:
    """Return a host as it stands in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def megabytes(size: int) -> str:
    """Return a number of bytes for people."""
    return f"{size / 1e6:.3g} MB"

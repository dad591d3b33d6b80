"""Who may ask: names of the host, other sites, tokens, changes; and what every answer carries."""

import pytest
from service_site import TOKEN, png, running

from nearbit.errors import InputError
from nearbit.service.app import OPERATIONS
from nearbit.service.settings import ServiceOptions

EVERYWHERE = [
    *sorted((one.method, one.path.replace("{item_id}", "1")) for one in OPERATIONS),
    ("GET", "/"), ("GET", "/static/main.js"), ("GET", "/openapi.json"), ("GET", "/nothing"),
    ("OPTIONS", "/api/v1/search"),
]  # fmt: skip
IDS = [f"{method} {path}" for method, path in EVERYWHERE]


@pytest.mark.parametrize(("method", "path"), EVERYWHERE, ids=IDS)
def test_a_forged_host_is_refused_everywhere(site, method, path):
    for host in ("evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1"):
        answer = site(method, path, headers={"Host": host})
        assert (answer.status, answer.code) == (400, "unknown_host")


def test_two_hosts_or_none_are_refused(raw):
    for path in (b"/", b"/metrics", b"/api/v1/labels", b"/static/main.js"):
        assert b" 400 " in raw(b"GET " + path + b" HTTP/1.0\r\n\r\n").partition(b"\r\n")[0]
    both = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert b" 400 " in raw(both).partition(b"\r\n")[0]


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_old_probes_that_name_no_host_are_answered(raw, method, path):
    assert raw(f"{method} {path} HTTP/1.0\r\n\r\n".encode()).startswith(b"HTTP/1.1 200 ")
    page = f"{method} {path} HTTP/1.0\r\nOrigin: http://localhost\r\n\r\n".encode()
    assert raw(page).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:{port}", "127.0.0.1:{port}", "[::1]:{port}", "[::1]"])
def test_loopback_names_are_known(site, host):
    assert site("GET", "/livez", headers={"Host": host.format(port=site.port)}).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "localhost:9", "[::1]:80", "localhost:{port}0", "localhost:0{port}x", "localhost:", "localhost:{port}:{port}",
        "me@localhost:{port}", "localhost:{port}@evil.example", "localhost:{port}/", "localhost:{port}, evil.example",
        "localhost:{port}?", "localhost:{port}#", "localhost {port}", "http://localhost:{port}", "localhost.:{port}",
        "localhost:+{port}", "localhost:99999", "127.1:{port}", "0:{port}", "[::1]{port}", "[localhost]:{port}",
    ],
)  # fmt: skip
def test_more_than_a_name_and_our_port_is_refused(site, host):
    answer = site("GET", "/livez", headers={"Host": host.format(port=site.port)})
    assert (answer.status, answer.code) == (400, "unknown_host")


@pytest.mark.parametrize(("method", "path"), EVERYWHERE, ids=IDS)
def test_pages_of_other_sites_are_refused_everywhere(site, method, path):
    own = f"localhost:{site.port}"
    for headers in (
        {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": f"http://{own}.evil.example"},
        {"Origin": f"http://localhost:{site.port + 1}"}, {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "cross-site", "Origin": f"http://{own}"},
    ):  # fmt: skip
        answer = site(method, path, headers=headers)
        assert (answer.status, answer.code) == (403, "forbidden")
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_our_own_page_and_links_to_it_are_welcome(site):
    own = {"Origin": f"http://localhost:{site.port}", "Sec-Fetch-Site": "same-origin"}
    assert site("GET", "/api/v1/labels", headers=own).status == 200
    assert site("GET", "/api/v1/labels", headers={"Sec-Fetch-Site": "none"}).status == 200
    visit = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert site("GET", "/", headers=visit).status == 200
    assert site("GET", "/api/v1/labels", headers=visit).status == 403
    assert site("GET", "/", headers={**visit, "Sec-Fetch-Dest": "iframe"}).status == 403


@pytest.mark.parametrize(("method", "path"), EVERYWHERE, ids=IDS)
def test_every_answer_carries_the_headers_that_protect(site, method, path):
    headers = site(method, path).headers
    if method == "GET" and path.endswith(("/thumbnail", "/original")):
        assert headers["content-security-policy"].startswith("default-src 'none'; sandbox;")
    else:
        assert headers["content-security-policy"].startswith("default-src 'self'; img-src 'self' blob:;")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in headers
    assert not [name for name in headers if name.startswith("access-control")]


def test_with_a_token_all_data_need_it(small):
    with running(ServiceOptions(index=small, token=TOKEN)) as site:
        for method, path in EVERYWHERE:
            is_open = path in ("/", "/livez", "/readyz") or path.startswith("/static/")
            for headers in ({}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": f"Basic {TOKEN}"}):
                assert (site(method, path, headers=headers).status == 401) is not is_open
            answer = site(method, f"{path}?token={TOKEN}")
            assert (answer.status == 401) is not is_open
        allowed = site("GET", "/api/v1/labels", headers={"Authorization": f"Bearer {TOKEN}"})
        assert allowed.status == 200
        assert site("GET", "/api/v1/labels").headers["www-authenticate"] == "Bearer"


def test_changes_are_off_unless_allowed(site, small):
    assert site.form("items", png((1, 2, 3))).code == "read_only"
    assert site("DELETE", "/api/v1/items/1").code == "read_only"
    with running(ServiceOptions(index=small, token=TOKEN)) as guarded:
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert guarded("DELETE", "/api/v1/items/1", headers=bearer).code == "read_only"
    assert site.get("items/1").status == 200


def test_changes_need_the_token(writable):
    assert writable("DELETE", "/api/v1/items/1").code == "token_needed"
    assert writable.form("items", png((1, 2, 3))).code == "token_needed"
    assert writable("GET", "/api/v1/items/1", headers=writable.bearer).status == 200


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"host": "0.0.0.0"}, "needs a token that every request carries"),
        ({"host": "::"}, "needs a token"),
        ({"host": "192.168.1.5"}, "needs a token"),
        ({"allow_write": True}, "let requests change the index needs a token"),
        ({"token": "short"}, "at least 16 ASCII characters"),
        ({"token": "ü" * 20}, "ASCII"),
        ({"workers": 0}, "workers must be a whole number of at least 1"),
    ],
)
def test_unsafe_options_are_refused(small, options, words):
    with pytest.raises(InputError, match=words):
        ServiceOptions(index=small, **options)


def test_another_address_with_a_token_knows_its_own_name_only(small):
    options = ServiceOptions(index=small, host="0.0.0.0", token=TOKEN, allowed_hosts=("Birds.Example",))
    with running(options) as site:
        for port in ("", ":80", ":443", f":{site.port}"):
            assert site("GET", "/livez", headers={"Host": f"birds.example{port}"}).status == 200
        assert site("GET", "/livez", headers={"Host": "birds.example:8443"}).status == 400
        assert site("GET", "/livez", headers={"Host": "other.example"}).status == 400


def test_a_port_may_be_allowed_with_its_name(small):
    with running(ServiceOptions(index=small, allowed_hosts=("localhost:9000", "Birds.example:8443"))) as site:
        for host, status in (
            ("localhost:9000", 200), ("birds.example:8443", 200), ("birds.example", 400), ("birds.example:443", 400),
            ("127.0.0.1:9000", 400), (f"localhost:{site.port}", 200),
        ):  # fmt: skip
            assert site("GET", "/livez", headers={"Host": host}).status == status


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("birds.example", "https://birds.example", 200),
        ("birds.example", "http://birds.example:80", 200),
        ("birds.example:443", "https://birds.example", 200),
        ("birds.example", "https://birds.example:8443", 403),
        ("birds.example", "http://birds.example:443", 403),
        ("birds.example", "https://evil.example", 403),
        ("birds.example", "birds.example", 403),
        ("birds.example", "ftp://birds.example", 403),
        ("birds.example", "https://birds.example/", 403),
        ("birds.example", "https://me@birds.example", 403),
        ("birds.example", "", 403),
    ],
)
def test_an_origin_is_ours_by_scheme_name_and_port(small, host, origin, status):
    with running(ServiceOptions(index=small, allowed_hosts=("birds.example",))) as site:
        assert site.get("labels", Host=host, Origin=origin).status == status


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer  "])
def test_the_scheme_of_a_token_is_read_in_any_case(writable, kind):
    assert writable.get("labels", Authorization=f"{kind} {TOKEN}").status == 200
    for wrong in (f"{kind.strip()}{TOKEN}", f"Basic {TOKEN}", f"{kind} {TOKEN.upper()}", kind, f"{kind} {TOKEN} x"):
        assert writable.get("labels", Authorization=wrong).status == 401


def test_the_token_is_not_shown_with_the_options(small):
    assert TOKEN not in repr(ServiceOptions(index=small, token=TOKEN))


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/v1/labels"), ("PUT", "/api/v1/items/1"), ("HEAD", "/api/v1/search")]
)
def test_a_wrong_method_has_the_one_shape_of_errors(site, method, path):
    answer = site(method, path)
    assert answer.status == 405
    assert method == "HEAD" or answer.code == "method_not_allowed"


def test_what_is_not_there_has_the_one_shape_of_errors(site):
    for path in ("/nothing", "/static/nothing.js", "/api/v1/", "/api/v2/items", "/docs", "/redoc", "/api/v1/items/"):
        assert (site("GET", path).status, site("GET", path).code) == (404, "not_found")

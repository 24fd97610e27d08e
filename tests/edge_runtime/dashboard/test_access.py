"""Who may look, where the server listens, and what a wrong token gets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from edge_runtime.dashboard.access import COOKIE, Access, bind_address, read_token
from edge_runtime.dashboard.feed import Feed
from edge_runtime.dashboard.past import Past
from edge_runtime.dashboard.picture import Picture
from edge_runtime.dashboard.server import make_app
from edge_runtime.errors import ConfigurationError

TOKEN = "a-token-of-thirty-two-characters"


def browser(access: Access, *, address: str = "127.0.0.1", host: str = "localhost") -> TestClient:
    """A browser at an address, in front of a server without rooms."""
    feed = Feed(Picture(), lambda: {"broker": {}, "history": {}}, lambda: True)
    app = make_app(feed, Past(None), access)
    return TestClient(app, f"http://{host}:8080", client=(address, 50_000), follow_redirects=False)


def test_without_a_token_everybody_on_this_machine_may_look() -> None:
    client = browser(Access())
    assert client.get("/").status_code == 200
    assert client.get("/api/state").status_code == 200


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_this_machine_has_three_names(host: str) -> None:
    assert browser(Access(), host=host).get("/api/state").status_code == 200


def test_without_a_token_a_page_that_borrowed_our_address_reads_nothing() -> None:
    assert browser(Access(), host="rebound.example.org").get("/api/state").status_code == 400


@pytest.mark.parametrize("path", ["/", "/devices", "/rooms/north/r12", "/?state=private&text=r1"])
def test_a_page_asks_for_the_token_and_leads_back(path: str) -> None:
    client = browser(Access(token=TOKEN))
    asked = client.get(path)
    assert asked.status_code == 303
    assert asked.headers["location"].startswith("/login?next=")
    answer = client.post(asked.headers["location"], data={"token": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, path)


@pytest.mark.parametrize("path", ["/api/state", "/api/live", "/api/rooms/north/r12/history"])
def test_data_without_the_token_is_refused_in_words(path: str) -> None:
    answer = browser(Access(token=TOKEN)).get(path)
    assert answer.status_code == 401
    assert "log in" in answer.json()["error"]


def test_the_right_token_opens_and_the_cookie_does_not_hold_it() -> None:
    client = browser(Access(token=TOKEN))
    answer = client.post("/login?next=/devices", data={"token": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, "/devices")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert client.get("/api/state").json()["server"]["can_log_out"] is True
    client.post("/logout")
    assert client.get("/api/state").status_code == 401


def test_behind_tls_the_cookie_is_for_tls_only() -> None:
    client = browser(Access(token=TOKEN))
    answer = client.post("/login", data={"token": TOKEN}, headers={"x-forwarded-proto": "https"})
    assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN.upper(), "é" * 20, "x" * 5000])
def test_a_wrong_token_gets_a_page_that_says_so(token: str) -> None:
    client = browser(Access(token=TOKEN))
    answer = client.post("/login", data={"token": token})
    assert answer.status_code in (401, 413)
    assert "This is not the token" in answer.text
    assert COOKIE not in answer.cookies
    assert client.get("/api/state").status_code == 401


def test_a_script_shows_the_token_in_a_header() -> None:
    client = browser(Access(token=TOKEN))
    assert client.get("/api/state", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert client.get("/api/state", headers={"authorization": "Bearer wrong"}).status_code == 401


def test_a_new_token_ends_the_logins_of_the_old_one() -> None:
    cookie = Access(token=TOKEN).cookie
    client = browser(Access(token=TOKEN[::-1]))
    client.cookies.set(COOKIE, cookie)
    assert client.get("/api/state").status_code == 401


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_a_login_leads_nowhere_else(target: str) -> None:
    answer = browser(Access(token=TOKEN)).post("/login", params={"next": target}, data={"token": TOKEN})
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        pytest.param("127.0.0.1", {"x-forwarded-user": "ada"}, 200, id="the proxy names its user"),
        pytest.param("127.0.0.1", {}, 403, id="the proxy names nobody"),
        pytest.param("192.0.2.7", {"x-forwarded-user": "ada"}, 403, id="somebody claims to be the proxy"),
    ],
)
def test_only_the_proxy_is_believed(address: str, headers: dict[str, str], status: int) -> None:
    client = browser(Access(user_header="X-Forwarded-User"), address=address)
    assert client.get("/api/state", headers=headers).status_code == status
    answer = client.get("/", headers=headers)
    assert answer.status_code == status
    assert ("behind a proxy" in answer.text) == (status == 403)


def test_every_answer_forbids_what_is_not_from_here() -> None:
    client = browser(Access(token=TOKEN))
    for path in ("/", "/login", "/static/app.js", "/api/state", "/nowhere", "/healthz"):
        policy = client.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert client.get(path).headers["x-content-type-options"] == "nosniff"


def test_a_file_that_is_the_same_is_not_sent_twice_and_a_new_one_is_not_missed() -> None:
    client = browser(Access())
    first = client.get("/static/app.js")
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/static/app.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("access", "host", "bound"),
    [
        pytest.param(Access(), None, "127.0.0.1", id="nobody is asked: this machine"),
        pytest.param(Access(), "::1", "::1", id="loopback by name"),
        pytest.param(Access(), "localhost", "localhost", id="localhost"),
        pytest.param(Access(token=TOKEN), None, "0.0.0.0", id="a token: everywhere"),
        pytest.param(Access(token=TOKEN), "10.0.0.5", "10.0.0.5", id="a token: where asked"),
        pytest.param(Access(user_header="x"), None, "127.0.0.1", id="a proxy is on this machine"),
        pytest.param(Access(user_header="x"), "10.0.0.5", "10.0.0.5", id="unless it is said to be elsewhere"),
    ],
)
def test_where_it_listens_follows_from_who_is_asked(access: Access, host: str | None, bound: str) -> None:
    assert bind_address(access, host) == bound


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.5", "::", "school.example"])
def test_it_does_not_listen_to_the_world_without_asking_who_it_is(host: str) -> None:
    with pytest.raises(ConfigurationError, match="nobody would be asked") as raised:
        bind_address(Access(), host)
    assert "--token-file" in raised.value.hint


@pytest.mark.parametrize("content", [None, b"", b"short\n", b"\xff" * 20, "ünïcödé-tökèn-of-length".encode()])
def test_a_token_file_that_protects_nothing_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError) as raised:
        read_token(file)
    assert "openssl rand" in raised.value.hint


def test_a_token_is_read_without_the_newline_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}{os.linesep}")
    assert read_token(tmp_path / "token") == TOKEN
    assert TOKEN not in repr(Access(token=TOKEN))


@pytest.mark.parametrize(
    "options",
    [
        {"token": TOKEN, "user_header": "x", "proxies": None},
        {"token": None, "user_header": None, "proxies": ["10.0.0.1"]},
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict) -> None:
    with pytest.raises(ConfigurationError):
        Access.chosen(**options)

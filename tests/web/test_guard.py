"""What every request passes: host, token, cookie, origin, form token, and the headers of answers."""

import pytest
from page_client import HOST, PageClient, open_page

from registry.web.app import create_app
from registry.web.site import Site


def test_the_token_becomes_a_cookie_and_leaves_the_address(sqlite_url: str) -> None:
    site = Site(tracking_uri=sqlite_url)
    page = PageClient(create_app(site))
    assert page.get("/models").status == 401
    answer = page.get(f"/models?q=a&token={site.auth.token}")
    assert (answer.status, answer.header("location")) == (303, "/models?q=a")
    cookie = answer.header("set-cookie")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert page.get("/models").status == 200


@pytest.mark.parametrize("token", ["", "x", "\u00e9", "None"])
def test_a_wrong_token_is_refused(sqlite_url: str, token: str) -> None:
    page = PageClient(create_app(Site(tracking_uri=sqlite_url)))
    assert page.get(f"/?token={token}").status == 401
    assert page.cookies == {}


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:5001", "", "[", "localhost@evil.example"])
def test_another_host_is_refused_even_with_a_session(sqlite_url: str, host: str) -> None:
    page = open_page(sqlite_url)
    assert page.get("/", {"host": host}).status == 421


def test_two_hosts_are_none(sqlite_url: str) -> None:
    page = open_page(sqlite_url)
    assert page.get("/", {"host": HOST, "Host": "evil.example"}).status == 421


def test_every_answer_has_the_headers_that_keep_a_browser_safe(sqlite_url: str) -> None:
    answer = open_page(sqlite_url).get("/")
    assert answer.header("content-security-policy") == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("cache-control") == "no-store"


@pytest.mark.parametrize(
    ("headers", "form", "status"),
    [
        ({"origin": None}, {}, 403),
        ({"origin": "null"}, {}, 403),
        ({"origin": "http://evil.example"}, {}, 403),
        ({"origin": f"http://{HOST}.evil.example"}, {}, 403),
        ({}, {"form_token": ""}, 403),
        ({}, {"form_token": "0" * 64}, 403),
        ({}, {"much": "x" * 1_000_001}, 413),
        ({}, {"many": ["x"] * 1_001}, 400),
    ],
)
def test_a_form_that_this_server_did_not_make_changes_nothing(
    sqlite_url: str, headers: dict[str, str | None], form: dict[str, str], status: int
) -> None:
    page = open_page(sqlite_url)
    assert page.post("/logout", form, headers).status == status
    assert page.cookies != {}


def test_a_cookie_of_another_server_is_none(sqlite_url: str) -> None:
    other = open_page(sqlite_url)
    page = PageClient(create_app(Site(tracking_uri=sqlite_url)))
    (value,) = other.cookies.values()
    page.cookies = {page.app.user_middleware[0].kwargs["site"].cookie: value}
    assert page.get("/").status == 401


def test_an_address_without_a_page_says_so(sqlite_url: str) -> None:
    answer = open_page(sqlite_url).get("/nowhere")
    assert answer.status == 404
    assert "There is no such page." in answer.text

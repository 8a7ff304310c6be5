"""Who may visit: password files, and headers of proxies."""

from pathlib import Path

import pytest
from governed_models import register
from page_client import PageClient, open_page

from registry import MlflowClient
from registry.exceptions import InvalidParameterError, InvalidStateError, StorageError
from registry.web.app import create_app
from registry.web.auth import HeaderAuth, PasswordAuth, add_user
from registry.web.site import Site


@pytest.fixture
def users(own_place: Path) -> Path:
    """Return a password file with ann and bob."""
    file = own_place / "users.txt"
    add_user(file, "ann", "correct horse")
    add_user(file, "bob", "battery staple")
    return file


def visit(uri: str, auth: PasswordAuth | HeaderAuth, address: str = "127.0.0.1") -> PageClient:
    return PageClient(create_app(Site(auth, tracking_uri=uri)), (address, 50_000))


def sign_in(page: PageClient, name: str, password: str, target: str = "/") -> int:
    page.form_token = ""
    return page.post("/login", {"name": name, "password": password, "next": target}).status


def test_a_password_file_holds_no_password_and_others_cannot_read_it(users: Path) -> None:
    text = users.read_text()
    assert [line.split(":")[:2] for line in text.splitlines()] == [["ann", "scrypt"], ["bob", "scrypt"]]
    assert "horse" not in text
    assert users.stat().st_mode & 0o077 == 0


def test_a_password_signs_in_and_its_name_is_the_actor(sqlite_url: str, users: Path) -> None:
    client = MlflowClient(sqlite_url)
    register(client, "churn")
    page = visit(sqlite_url, PasswordAuth(users))
    asked = page.get("/models/churn?n=5")
    assert (asked.status, asked.header("location")) == (303, "/login?next=%2Fmodels%2Fchurn%3Fn%3D5")
    assert "Sign in" in page.get("/login?next=%2Fmodels%2Fchurn").text
    assert sign_in(page, "ann", "battery staple") == 403
    assert sign_in(page, "eve", "correct horse") == 403
    assert page.cookies == {}
    assert sign_in(page, "ann", "correct horse") == 303
    page.get("/models/churn")
    assert page.post("/models/churn/tags", {"key": "team", "value": "x"}).status == 303
    assert client.get_history("churn")[-1].actor == "ann"
    assert page.post("/logout").status == 303
    assert page.get("/").status == 303


@pytest.mark.parametrize(
    "target", ["http://evil.example/", "//evil.example", "/\\evil.example", "javascript:x", "/a\nb"]
)
def test_after_signing_in_nobody_is_sent_elsewhere(sqlite_url: str, users: Path, target: str) -> None:
    page = visit(sqlite_url, PasswordAuth(users))
    page.form_token = ""
    answer = page.post("/login", {"name": "ann", "password": "correct horse", "next": target})
    assert answer.header("location") == "/"


def test_a_new_password_and_a_removed_name_end_sessions(sqlite_url: str, users: Path) -> None:
    ann, bob = visit(sqlite_url, PasswordAuth(users)), visit(sqlite_url, PasswordAuth(users))
    assert sign_in(ann, "ann", "correct horse") == 303
    assert sign_in(bob, "bob", "battery staple") == 303
    assert (ann.get("/").status, bob.get("/").status) == (200, 200)
    add_user(users, "ann", "another one")
    users.write_text("".join(line for line in users.read_text().splitlines(keepends=True) if "bob" not in line))
    assert (ann.get("/").status, bob.get("/").status) == (303, 303)


def test_a_session_of_one_name_is_not_one_of_another(sqlite_url: str, users: Path) -> None:
    page = visit(sqlite_url, PasswordAuth(users))
    assert sign_in(page, "ann", "correct horse") == 303
    ((name, value),) = page.cookies.items()
    for forged in (
        value.replace(b"ann".hex(), b"bob".hex()),
        value[:-1],
        "",
        "zz",
        "zz.1.2",
        f"{b'ann'.hex()}..",
        "\u00e9",
    ):
        page.cookies = {name: forged}
        assert page.get("/").status == 303


def test_a_password_form_from_elsewhere_is_refused(sqlite_url: str, users: Path) -> None:
    page = visit(sqlite_url, PasswordAuth(users))
    page.form_token = ""
    form = {"name": "ann", "password": "correct horse"}
    assert page.post("/login", form, {"origin": "http://evil.example"}).status == 403


def test_a_password_file_that_cannot_be_used_is_told(sqlite_url: str, users: Path) -> None:
    page = visit(sqlite_url, PasswordAuth(users))
    assert sign_in(page, "ann", "correct horse") == 303
    users.write_text("# a remark\n\nann:plain:password\n")
    assert "Entry 1 of the password file" in page.get("/").text
    users.unlink()
    answer = page.get("/")
    assert (answer.status, "cannot be read" in answer.text) == (503, True)
    users.write_text("x\n")
    with pytest.raises(InvalidStateError):
        PasswordAuth(users).check("ann", "x")


@pytest.mark.parametrize("name", ["", " ann", "a:b", "a\nb", "x" * 251, "\u202eann", "a\0b"])
def test_odd_names_get_no_password(users: Path, name: str) -> None:
    with pytest.raises(InvalidParameterError):
        add_user(users, name, "long enough")


def test_a_short_password_and_a_missing_directory_are_told(users: Path) -> None:
    with pytest.raises(InvalidParameterError, match="less than 8 characters"):
        add_user(users, "cleo", "short")
    with pytest.raises(StorageError, match="cannot be written"):
        add_user(users / "below", "cleo", "long enough")


def test_a_header_of_the_proxy_names_the_actor(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    register(client, "churn")
    page = visit(sqlite_url, HeaderAuth("X-Remote-User"))
    assert page.get("/").status == 401
    bob = {"x-remote-user": "bob"}
    assert page.get("/models/churn", bob).status == 200
    assert page.post("/models/churn/tags", {"key": "team", "value": "x"}, bob).status == 303
    assert client.get_history("churn")[-1].actor == "bob"
    assert page.post("/models/churn/tags", {"key": "team", "value": "y"}, {"x-remote-user": "eve"}).status == 403


@pytest.mark.parametrize("value", ["", " ", "a:b", "x" * 251, "a\tb"])
def test_a_header_without_a_usable_name_is_nobody(sqlite_url: str, value: str) -> None:
    assert visit(sqlite_url, HeaderAuth("X-Remote-User")).get("/", {"x-remote-user": value}).status == 401


def test_a_header_counts_from_the_proxy_alone_and_only_once(sqlite_url: str) -> None:
    bob = {"x-remote-user": "bob"}
    assert visit(sqlite_url, HeaderAuth("X-Remote-User"), "10.0.0.9").get("/", bob).status == 401
    proxied = HeaderAuth("X-Remote-User", frozenset({"10.0.0.9"}))
    assert visit(sqlite_url, proxied, "10.0.0.9").get("/", bob).status == 200
    assert visit(sqlite_url, proxied).get("/", bob).status == 401
    assert visit(sqlite_url, HeaderAuth("X-Remote-User")).get("/", {**bob, "X-Remote-User": "eve"}).status == 401


def test_a_header_means_nothing_to_a_page_with_a_token(sqlite_url: str) -> None:
    page = open_page(sqlite_url)
    page.cookies = {}
    assert page.get("/", {"x-remote-user": "bob"}).status == 401

"""``registry ui``: what it prints, what it refuses, and that it serves until it is told to end."""

import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

import registry


@pytest.fixture
def made(own_place: Path) -> None:
    """Make a registry in the working directory."""
    registry.set_tracking_uri("file:./mlruns")
    registry.MlflowClient().create_registered_model("churn")


@pytest.mark.slow
def test_it_prints_an_address_that_signs_in_and_ends_when_it_is_told_to(made: None) -> None:
    command = [sys.executable, "-m", "registry", "ui", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{32}", url)
            opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            with opener.open(f"{url.replace('/?', '/models?')}", timeout=30) as answer:
                assert b"churn" in answer.read()
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(url.partition("?")[0], timeout=30)
        finally:
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=30)
    assert "Traceback" not in errors


def test_it_serves_no_place_without_a_registry(cli: Callable, own_place: Path) -> None:
    outcome = cli("ui")
    assert (outcome.code, "There is no registry at" in outcome.err) == (1, True)
    assert list(own_place.iterdir()) == []


def test_another_host_needs_visitors_with_names(cli: Callable, made: None) -> None:
    outcome = cli("ui", "--host", "0.0.0.0")
    assert outcome.code == 2
    assert "give --auth FILE or --auth header:NAME as well" in outcome.err


def test_an_occupied_port_is_told(cli: Callable, made: None) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        outcome = cli("ui", "--port", str(other.getsockname()[1]))
    assert outcome.code == 1
    assert "cannot be used: Address already in use. Choose another with --port." in outcome.err


def test_a_missing_password_file_names_the_command_that_makes_it(cli: Callable, made: None) -> None:
    outcome = cli("ui", "--auth", "users.txt")
    assert outcome.code == 2
    assert "registry ui --add-user NAME --auth users.txt" in outcome.err


def test_a_user_is_added_with_a_password_that_is_asked_for(
    cli: Callable, own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(typer, "prompt", lambda *_, **__: "correct horse")
    assert cli("ui", "--add-user", "ann", "--auth", "users.txt").code == 0
    assert (own_place / "users.txt").read_text().startswith("ann:scrypt:")
    outcome = cli("ui", "--add-user", "ann")
    assert (outcome.code, "name it with --auth FILE" in outcome.err) == (2, True)


def test_a_header_and_a_file_are_told_apart(made: None, own_place: Path) -> None:
    from registry.cli.ui import parse_auth
    from registry.web.auth import HeaderAuth, PasswordAuth, TokenAuth, add_user

    add_user(own_place / "users.txt", "ann", "correct horse")
    assert isinstance(parse_auth(None, None), TokenAuth)
    assert isinstance(parse_auth("users.txt", None), PasswordAuth)
    assert parse_auth("header:X-User", ["10.0.0.5"]) == HeaderAuth("X-User", frozenset({"10.0.0.5"}))

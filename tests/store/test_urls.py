"""Parsing of database URLs, and file systems on which SQLite is refused."""

import re
from pathlib import Path

import pytest

from registry.exceptions import UnsupportedStoreError
from registry.store import urls
from registry.store.engine import connect
from registry.store.urls import filesystem_of, parse_database_url, redacted_url, refuse_network_filesystem


@pytest.mark.parametrize(
    "text",
    ["postgresql://me@host/db", "postgres://me@host/db", "postgresql+psycopg://me@host/db"],
)
def test_every_spelling_of_postgresql_means_psycopg_3(text: str) -> None:
    assert str(parse_database_url(text)) == "postgresql+psycopg://me@host/db"


def test_an_sqlite_path_becomes_absolute(own_place: Path) -> None:
    assert parse_database_url("sqlite:///a.db").database == str(own_place / "a.db")
    assert parse_database_url("sqlite+pysqlite:////data/a.db").database == "/data/a.db"


@pytest.mark.parametrize("path", ["/data/100%25 #1/a.db", "/data/what?/a.db", "/data/a b.db"])
def test_an_sqlite_path_is_taken_literally(path: str) -> None:
    url = parse_database_url(f"sqlite:///{path}?journal_mode=wal")

    assert (url.database, dict(url.query)) == (path, {"journal_mode": "wal"})
    assert redacted_url(url) == f"sqlite:///{path}?journal_mode=wal"
    assert parse_database_url(f"sqlite:///{path}").database == path


@pytest.mark.parametrize("text", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory(text: str) -> None:
    assert parse_database_url(text).database == ":memory:"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mysql://me:secret@host/db", "A 'mysql' URI cannot hold a registry."),
        ("mssql+pyodbc://me:secret@host/db", "A 'mssql+pyodbc' URI cannot hold a registry."),
        ("http://host:5000", "A 'http' URI cannot hold a registry."),
        ("postgresql+psycopg2://me:secret@host/db", "Write postgresql+psycopg://"),
        ("postgresql+asyncpg://me:secret@host/db", "Write postgresql+psycopg://"),
        ("sqlite://data/a.db", "Three slashes make a relative path"),
        ("sqlite:///a.db?mode=ro", "Unknown option 'mode'"),
        ("sqlite:///a.db?journal_mode=off", "Unknown journal_mode 'off'"),
        ("sqlite:///file:a.db", "give a plain file path"),
        ("sqlite:///a\0.db", "give a plain file path"),
        ("postgresql://me:se:c/ret@host:x/db", "cannot be parsed"),
        ("", "cannot be parsed"),
    ],
)
def test_other_urls_are_refused_with_what_to_write_instead(text: str, says: str) -> None:
    with pytest.raises(UnsupportedStoreError, match=re.escape(says)) as caught:
        parse_database_url(text)

    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://me:secret@host/db", "postgresql+psycopg://me:***@host/db"),
        ("postgresql://me@host/db?password=secret", "postgresql+psycopg://me@host/db?password=hidden"),
        ("postgresql://me@host/db?sslpassword=secret&sslmode=require", None),
    ],
)
def test_secrets_are_not_shown(text: str, expected: str | None) -> None:
    told = redacted_url(parse_database_url(text))

    assert "secret" not in told
    assert expected in (told, None)
    assert "secret" not in repr(connect(text))


def mounts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *lines: str) -> None:
    table = tmp_path / "mounts"
    table.write_bytes("".join(f"{line}\n" for line in lines).encode())
    monkeypatch.setattr(urls, "_MOUNTS", table)


def test_the_innermost_mount_decides_the_file_system_of_a_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    share = str(tmp_path / "my share").replace(" ", r"\040")
    mounts(
        monkeypatch,
        tmp_path,
        "/dev/sda1 / ext4 rw 0 0",
        f"server:/export {share} nfs4 rw 0 0",
        f"/dev/sdb1 {share}/local xfs rw 0 0",
        "/dev/sdc1 /media/odd\u2028name\x0c\r vfat rw 0 0",
    )

    assert filesystem_of(tmp_path / "a.db") == "ext4"
    assert filesystem_of(tmp_path / "my share" / "a.db") == "nfs4"
    assert filesystem_of(tmp_path / "my share" / "local" / "a.db") == "xfs"
    assert filesystem_of(tmp_path / "my share2" / "a.db") == "ext4"


def test_a_system_without_a_table_of_mounts_says_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(urls, "_MOUNTS", tmp_path / "none")

    assert filesystem_of(tmp_path) is None
    refuse_network_filesystem(tmp_path)


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "lustre", "fuse.sshfs"])
def test_sqlite_on_a_network_file_system_is_refused_before_anything_is_made(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    share = tmp_path / "share"
    mounts(monkeypatch, tmp_path, "/dev/sda1 / ext4 rw 0 0", f"server:/export {share} {kind} rw 0 0")

    with pytest.raises(UnsupportedStoreError, match=rf"network file system \({kind}\).*postgresql\+psycopg://"):
        connect(f"sqlite:///{share}/a.db")

    assert not share.exists()

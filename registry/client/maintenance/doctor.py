"""Diagnoses a registry from outside: settings, database, permissions, bytes, cache and packages.

Guarantees: nothing changes except one probe file, which is removed again; no secret is shown; a problem is a finding,
never an exception.
"""

import dataclasses
import importlib.metadata
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

from pydantic import AliasChoices

from registry.blobs import ModelCache
from registry.blobs.protocol import BlobStore
from registry.client.backend import limits_of
from registry.client.byte_stores import open_store
from registry.client.ownership import ArtifactOwnership
from registry.entities.reports import CheckStatus, Finding
from registry.exceptions import IntegrityError, PathExistsError, RegistryError
from registry.package_name import install_command
from registry.settings import Place, Settings, cache_directory, current_settings, place_of
from registry.store import schema
from registry.store.diagnostics import (
    artifact_locations,
    examine_postgres,
    examine_sqlite,
    find_stray_series,
    find_waiting,
)
from registry.store.engine import Database, connect
from registry.store.ownership import OwnershipStore
from registry.store.registry import ClockRepairStore
from registry.store.roles import Role
from registry.store.tracking.experiments import ExperimentStore

_DATA = b"written by registry doctor"


def try_out(store: BlobStore) -> bool:
    """Write, read and delete a probe file. Tell whether the store refuses to replace an existing file.

    Raises:
        StorageError, UnavailableError: The store cannot be used; the message says why.
        IntegrityError: The bytes read differ from those written.
    """
    path = f"registry-doctor-{secrets.token_hex(8)}"
    store.write(path, _DATA)
    try:
        if store.read(path) != _DATA:
            raise IntegrityError(f"{store.root}/{path} was read back with other bytes than were written.")
        try:
            store.write_once(path, _DATA)
        except PathExistsError:
            return True
        return False
    finally:
        store.delete([path])


OK, WARN, FAIL = CheckStatus.OK, CheckStatus.WARN, CheckStatus.FAIL

_PLACES: Final = 20
_MINUTE_MS: Final = 60_000
_SECOND: Final = timedelta(seconds=1)
# Distribution, what it is for, and what brings it; None where the package itself does.
_PACKAGES: Final = (
    ("sqlalchemy", "the database", None),
    ("boto3", "S3", None),
    ("psycopg", "PostgreSQL", "postgres"),
    ("xgboost", "XGBoost models", "xgboost"),
    ("scikit-learn", "scikit-learn models", "sklearn"),
    ("skops", "scikit-learn models", "sklearn"),
)
_SAME_MODULE: Final = {"xgboost": ("xgboost-cpu",), "psycopg": ("psycopg-binary",)}


def examine(tracking_uri: str | None = None) -> list[Finding]:
    """Return the findings for a tracking URI, or for the one that is set.

    A file of some 30 bytes is written below the artifact root, read, and removed again.
    """
    found = list(_packages())
    try:
        settings = current_settings()
        place = place_of(tracking_uri or settings.tracking_uri, settings)
    except RegistryError as error:
        return [*found, Finding("settings", FAIL, error.message)]
    found += _settings(settings, tracking_uri)
    found += _database(place)
    found += _bytes(place)
    found += _ownership(place)
    return found + list(_cache(settings))


def _connect(place: Place) -> Database:
    """Open the database to look at it; one that is away is a finding, and not waited for."""
    limits = dataclasses.replace(limits_of(current_settings()), patience=0)
    return connect(place.database_url, read_only=True, limits=limits)


def _packages() -> Iterator[Finding]:
    for name, purpose, extra in _PACKAGES:
        version = _version(name)
        if version is not None:
            yield Finding("packages", OK, f"{name} {version}")
        elif extra is None:
            yield Finding(
                "packages", FAIL, f"{name} is missing, for {purpose}", f"{install_command()} --force-reinstall"
            )
        else:
            yield Finding("packages", WARN, f"{name} is not installed, for {purpose}", install_command(extra))


def _version(name: str) -> str | None:
    for distribution in (name, *_SAME_MODULE.get(name, ())):
        with suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(distribution)
    return None


def _settings(settings: Settings, tracking_uri: str | None) -> Iterator[Finding]:
    for field in Settings.model_fields.values():
        choices = field.validation_alias
        names = [str(name) for name in choices.choices] if isinstance(choices, AliasChoices) else []
        given = [name for name in names if os.environ.get(name)]
        if given:
            yield Finding("settings", OK, f"{given[0]} is set")
        for name in given[1:]:
            if os.environ[name] != os.environ[given[0]]:
                yield Finding("settings", WARN, f"{name} is set to something else and does not count", f"unset {name}")
    if settings.allow_code:
        yield Finding(
            "settings",
            WARN,
            "REGISTRY_ALLOW_CODE is on: every model that is loaded may run code from its files",
            "unset REGISTRY_ALLOW_CODE, and give allow_code=True where it is meant",
        )
    if settings.registry_uri and settings.registry_uri != (tracking_uri or settings.tracking_uri):
        yield Finding(
            "settings",
            FAIL,
            "the registry URI is not the tracking URI, but runs and models share one database",
            "unset REGISTRY_REGISTRY_URI and MLFLOW_REGISTRY_URI; copy_model_version(to=) copies between registries",
        )


def _database(place: Place) -> Iterator[Finding]:
    try:
        database = _connect(place)
        shown = database.url.render_as_string(hide_password=True)
        if database.is_sqlite and not Path(str(database.url.database)).exists():
            yield Finding(
                "database", FAIL, f"{shown} does not exist", "registry db upgrade makes it; or name another place"
            )
            return
        schema.ensure(database)
        yield Finding("database", OK, f"{shown} can be read; schema revision {schema.current(database)}")
        yield from _sqlite(database) if database.is_sqlite else _postgres(database)
        yield from _points(database)
        yield from _waiting(database)
        yield from _clock(database)
    except RegistryError as error:
        yield Finding("database", FAIL, error.message)


def _sqlite(database: Database) -> Iterator[Finding]:
    health = examine_sqlite(database)
    for fault in health.faults:
        yield Finding("database", FAIL, f"the file is damaged: {fault}", "restore a backup; see the page on backups")
    if not health.faults:
        yield Finding("database", OK, "SQLite's integrity and foreign key checks pass")
    told = f"SQLite {health.version}, journal mode {health.journal_mode}, file system {health.filesystem or 'unknown'}"
    if health.journal_mode == "wal" and tuple(map(int, health.version.split("."))) < (3, 51, 3):
        yield Finding(
            "database",
            WARN,
            f"{told}: this release can corrupt a database in WAL mode",
            "leave ?journal_mode=wal out, or use SQLite 3.51.3 or newer",
        )
    else:
        yield Finding("database", OK, told)


def _postgres(database: Database) -> Iterator[Finding]:
    health = examine_postgres(database)
    yield Finding("database", OK, f"PostgreSQL {health.version}")
    if health.role is Role.PROMOTER:
        yield Finding("rights", OK, f"{health.user} may do all that a promoter may")
        return
    lacks = ", ".join(health.missing)
    if health.role is None:
        wanted = Role.READER
        yield Finding("rights", FAIL, f"{health.user} cannot even read: it lacks {lacks}", _grant_command(wanted))
    else:
        wanted = Role.WRITER if health.role is Role.READER else Role.PROMOTER
        told = f"{health.user} has the rights of a {health.role}; to be a {wanted} it lacks {lacks}"
        yield Finding("rights", WARN, told, _grant_command(wanted))


def _grant_command(role: Role) -> str:
    return f"if that is not meant, the owner runs what 'registry db grants --role {role}' prints"


def _points(database: Database) -> Iterator[Finding]:
    series = find_stray_series(database)
    if series is not None:
        yield Finding(
            "database",
            WARN,
            f"there are points of the series {series}, which is not there; no run has them",
            "DELETE FROM metrics WHERE series_id NOT IN (SELECT id FROM latest_metrics)",
        )


def _waiting(database: Database) -> Iterator[Finding]:
    found = find_waiting(database)
    if found.removals:
        yield Finding("bytes", WARN, f"{found.removals} removals of an interrupted gc wait", "registry gc --apply")
    if found.uploads:
        yield Finding("bytes", OK, f"{found.uploads} uploads are under way, or were interrupted: 'registry gc' tells")
    if found.ahead_ms > _MINUTE_MS:
        yield Finding(
            "database",
            WARN,
            f"some machine's clock was {found.ahead_ms // 1000} s ahead of this one's; gc waits that much longer",
            "let all machines keep time by NTP",
        )


def _clock(database: Database) -> Iterator[Finding]:
    for model in ClockRepairStore(database, actor="doctor").ahead():
        yield Finding(
            "database",
            WARN,
            f"the last event of {model.name!r} lies {timedelta(microseconds=model.ahead_us) // _SECOND} s ahead of the "
            "clock, so the model cannot be changed and '?at=' is wrong",
            f"if the clock is right now: registry models correct-clock {model.name}",
        )


def _bytes(place: Place) -> Iterator[Finding]:
    root = place.artifact_root
    if "://" not in root and not Path(root).is_dir():
        # Trying it out would make the directory of a mistyped path.
        fault = _find_obstacle(Path(root))
        if fault is None:
            yield Finding("bytes", WARN, f"{root} is not there yet", "it is made with the first file")
        else:
            yield Finding("bytes", FAIL, fault)
        return
    try:
        exclusive = try_out(open_store(root))
    except RegistryError as error:
        yield Finding("bytes", FAIL, error.message)
        return
    yield Finding("bytes", OK, f"{root} can be written, read and deleted from")
    if exclusive:
        yield Finding("bytes", OK, "files that are there are not replaced (conditional writes work)")
    else:
        yield Finding(
            "bytes",
            WARN,
            f"the server at {root} replaces files although it is asked not to (If-None-Match)",
            "models are safe as long as nobody else writes below their fresh paths; a newer server closes the gap",
        )
    yield from _other_places(place)


def _find_obstacle(missing: Path) -> str | None:
    """Return why a missing directory cannot be made, or None if it can."""
    above = next(parent for parent in missing.parents if parent.exists())
    can_be_made = above.is_dir() and os.access(above, os.W_OK)
    return None if can_be_made else f"{missing} is not there, and cannot be made in {above}"


def _other_places(place: Place) -> Iterator[Finding]:
    """Check that the locations of existing experiments can be listed."""
    try:
        locations = artifact_locations(_connect(place))
    except RegistryError:
        return  # the database has its own finding
    elsewhere = [location for location in locations if not f"{location}/".startswith(f"{place.artifact_root}/")]
    for location in elsewhere[:_PLACES]:
        try:
            open_store(location).list()
        except RegistryError as error:
            remedy = "if it was moved: registry db relocate OLD NEW"
            yield Finding("bytes", FAIL, f"experiments keep files at {location}: {error.message}", remedy)
        else:
            yield Finding("bytes", OK, f"experiments keep files at {location}, which can be listed")


def _ownership(place: Place) -> Iterator[Finding]:
    """Check that gc may remove files at the locations of experiments."""
    try:
        database = _connect(place)
        if database.is_sqlite and not Path(str(database.url.database)).exists():
            return
        schema.ensure(database)
        registry_id = ExperimentStore(database).registry_id
        ownership = ArtifactOwnership(OwnershipStore(database), registry_id, open_store)
        for root in ownership.roots()[:_PLACES]:
            fault = ownership.find_fault(root)
            if fault is not None:
                yield Finding("bytes", WARN, fault, "see 'registry db adopt --help'")
    except RegistryError:
        return  # the database and the bytes have their own findings


def _size(count: int) -> str:
    """Format a number of bytes as the command line does: ``512 B``, ``1.5 MiB``."""
    amount, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while amount >= 1024 and len(units) > 1:
        amount, units = amount / 1024, units[1:]
    return f"{amount:.0f} B" if units[0] == "B" else f"{amount:.1f} {units[0]}"


def _cache(settings: Settings) -> Iterator[Finding]:
    directory, limit = cache_directory(settings), _size(settings.cache_limit_bytes)
    remedy = "set REGISTRY_CACHE_DIR to a directory that can"
    if not directory.exists():
        fault = _find_obstacle(directory)
        if fault is None:
            text = f"{directory} is not there yet: 0 B of at most {limit}; it is made with the first model from S3"
            yield Finding("cache", OK, text)
        else:
            yield Finding("cache", FAIL, fault, remedy)
        return
    try:
        entries = ModelCache(directory, settings.cache_limit_bytes).entries()
        used = sum(entry.size() for entry in entries)
    except RegistryError as error:
        yield Finding("cache", FAIL, error.message)
        return
    if not os.access(directory, os.W_OK):
        yield Finding("cache", FAIL, f"{directory} cannot be written", remedy)
        return
    yield Finding("cache", OK, f"{directory} has {len(entries)} models, {_size(used)} of at most {limit}")

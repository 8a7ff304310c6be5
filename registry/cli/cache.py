"""``registry cache``: models cached on this machine, so that a second load reads no store."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from registry.cli import output
from registry.cli.formatting import minute, size
from registry.cli.options import AsJson, noun
from registry.cli.output import Column
from registry.exceptions import RegistryError

if TYPE_CHECKING:
    from registry.blobs import ModelCache
    from registry.blobs.cache_entry import CacheEntry

app = noun("cache", "Downloaded models, cached on this machine.")


@app.command("ls")
def ls(as_json: AsJson = False) -> None:
    """List cached models, least recently used first; these are evicted first."""
    entries = _cache().entries()
    if as_json:
        output.as_json(
            [
                {
                    "digest": entry.digest,
                    "size_bytes": entry.size(),
                    "last_used": entry.last_used,
                    "files": _files(entry),
                }
                for entry in entries
            ]
        )
        return
    output.listing(entries, _COLUMNS, nothing="The cache is empty.")
    output.line(f"{_directory()}: {size(sum(entry.size() for entry in entries))} of at most {size(_limit())}.")


@app.command("clear")
def clear() -> None:
    """Remove all cached models that no process is using."""
    cache = _cache()
    before = sum(entry.size() for entry in cache.entries())
    removed = cache.clear()
    left = cache.entries()
    freed = before - sum(entry.size() for entry in left)
    in_use = f"; {len(left)} in use stay" if left else ""
    output.line(f"Removed {removed} model{'' if removed == 1 else 's'}, {size(freed)}{in_use}.")


@app.command("verify")
def verify(as_json: AsJson = False) -> None:
    """Read and hash every cached model, and drop damaged ones. Exit code 1 if there were any."""
    check = _cache().verify()
    if as_json:
        output.as_json(check)
    else:
        for digest in check.dropped:
            output.line(f"{digest} was damaged and is dropped; the next load downloads it again.")
        output.line(f"Read {check.checked} model{'' if check.checked == 1 else 's'}, {len(check.dropped)} damaged.")
    if check.dropped:
        raise typer.Exit(1)


def _cache() -> "ModelCache":
    from registry.blobs import ModelCache

    return ModelCache(_directory(), _limit())


def _directory() -> Path:
    from registry.settings import cache_directory, current_settings

    return cache_directory(current_settings())


def _limit() -> int:
    from registry.settings import current_settings

    return current_settings().cache_limit_bytes


def _files(entry: "CacheEntry") -> int | None:
    """Return the number of files of a model, or None if its entry is damaged."""
    try:
        return len(entry.manifest.entries)
    except RegistryError:
        return None


_COLUMNS: Final[tuple["Column[CacheEntry]", ...]] = (
    Column("digest", lambda entry: entry.digest, whole=True),
    Column("files", _files, right=True),
    Column("size", lambda entry: size(entry.size()), whole=True, right=True),
    Column("last used (UTC)", lambda entry: minute(entry.last_used), whole=True),
)

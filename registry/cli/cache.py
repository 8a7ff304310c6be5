"""``registry cache``: models cached on this machine, so that a second load reads no store."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from registry.cli import exit_codes, output
from registry.cli.commands import noun
from registry.cli.consent import DryRun
from registry.cli.formatting import minute, size
from registry.cli.output import Column
from registry.exceptions import RegistryError

if TYPE_CHECKING:
    from registry.blobs import ModelCache
    from registry.blobs.cache_entry import CacheEntry

app = noun("cache", "Downloaded models, cached on this machine.")


@app.command("list", examples=["registry cache list"])
def list_cache() -> None:
    """List cached models, least recently used first; these are evicted first."""
    entries = _cache().entries()
    output.listing(
        entries,
        _COLUMNS,
        nothing="The cache is empty.",
        ids=lambda entry: entry.digest,
        document=[
            {
                "digest": entry.digest,
                "size_bytes": entry.size(),
                "last_used": minute(entry.last_used),
                "files": _files(entry),
            }
            for entry in entries
        ],
    )
    output.note(f"{_directory()}: {size(sum(entry.size() for entry in entries))} of at most {size(_limit())}.")


@app.command("clear", examples=["registry cache clear"])
def clear(dry_run: DryRun = False) -> None:
    """Remove all cached models that no process is using. The next load downloads them again."""
    cache = _cache()
    before = cache.entries()
    total = sum(entry.size() for entry in before)
    if dry_run:
        output.done(
            f"Would remove {_counted(len(before))}, {size(total)}.",
            document={"applied": False, "removed": len(before), "freed_bytes": total, "in_use": 0},
        )
        return
    removed = cache.clear()
    left = cache.entries()
    freed = total - sum(entry.size() for entry in left)
    in_use = f"; {len(left)} in use stay" if left else ""
    output.done(
        f"Removed {_counted(removed)}, {size(freed)}{in_use}.",
        document={"applied": True, "removed": removed, "freed_bytes": freed, "in_use": len(left)},
    )


@app.command("verify", examples=["registry cache verify"])
def verify() -> None:
    """Read and hash every cached model, and drop damaged ones. Exit code 3 if there were any."""
    check = _cache().verify()
    output.done(
        "\n".join(
            [
                *(
                    f"{digest} was damaged and is dropped; the next load downloads it again."
                    for digest in check.dropped
                ),
                f"Read {_counted(check.checked)}, {len(check.dropped)} damaged.",
            ]
        ),
        document=check,
    )
    if check.dropped:
        raise typer.Exit(exit_codes.NO)


def _counted(count: int) -> str:
    return f"{count} model{'' if count == 1 else 's'}"


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
    Column("files", _files, whole=True, right=True, leaves=1),
    Column("size", lambda entry: size(entry.size()), whole=True, right=True, leaves=2),
    Column("last used (UTC)", lambda entry: minute(entry.last_used), whole=True, leaves=3),
)

"""Arguments and options that several commands share, and the client that they work with."""

import os
import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

import registry
from registry.cli import invocation, output
from registry.exceptions import InvalidStateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry.entities import PagedList

T = TypeVar("T")

# The most that an interval or a time limit may be: the operating system waits for no infinite one.
DAY_SECONDS: Final = 86_400


def filter_option(example: str) -> Any:
    """Return ``--filter`` with an example of what the listing searches."""
    return typer.Option("--filter", metavar="FILTER", help=f"Such as \"{example}\". See 'help filters'.")


def order_option(example: str) -> Any:
    """Return ``--order-by`` with an example of what the listing searches."""
    return typer.Option("--order-by", metavar="KEY", help=f'Such as "{example}"; may be repeated.')


Limit = Annotated[
    int, typer.Option("--limit", "-n", "--max-results", metavar="N", min=1, help="How many to show at most.")
]
Everything = Annotated[bool, typer.Option("--all", help="Show all of them, however many there are.")]
Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; kept in the model's history.")]
ExpectedCurrent = Annotated[
    str | None,
    typer.Option(
        "--expected-current",
        metavar="VERSION",
        help="Only if this version holds the place now; 'none': only if it is empty. Else exit code 5.",
    ),
]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="From this time on: a date, 2026-03-01T12:00:00Z, or 7d (ago)."),
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Before this time, written the same.")]


def number_listed_by(noun: str) -> "Callable[[str], int]":
    """Return a parser of the numbers that ``registry NOUN list`` shows."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit()):
            raise typer.BadParameter(f"{text!r} is not a number; 'registry {noun} list' shows the numbers.")
        return int(text)

    return parse


ModelName = Annotated[str, typer.Argument(metavar="NAME", help="The registered model.")]
VersionTarget = Annotated[
    str,
    typer.Argument(metavar="VERSION", help="churn/7, churn/Production, churn@champion or churn/latest."),
]
RunTarget = Annotated[
    str, typer.Argument(metavar="RUN", help="Its id, the first 4 characters or more of it, or EXPERIMENT/RUN-NAME.")
]
ExperimentTarget = Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Its name or id.")]
GuardedStage = Annotated[str, typer.Argument(metavar="STAGE", help="Staging or Production, in any case.")]


class View(StrEnum):
    """Which items a listing shows, by lifecycle stage."""

    ACTIVE = "active"
    DELETED = "deleted"
    ALL = "all"

    @property
    def view_type(self) -> int:
        """Return the number that MLflow's searches take."""
        kinds = registry.entities.ViewType
        return {View.ACTIVE: kinds.ACTIVE_ONLY, View.DELETED: kinds.DELETED_ONLY, View.ALL: kinds.ALL}[self]


ViewOption = Annotated[View, typer.Option("--view", metavar="VIEW", help="active, deleted or all.")]


def use_place() -> None:
    """Set the process's tracking URI and artifact location from the options that are given."""
    asked = invocation.current()
    for name, value in (("TRACKING_URI", asked.tracking_uri), ("ARTIFACT_LOCATION", asked.artifact_location)):
        if value is not None:
            from registry.settings import set_variable  # imports pydantic, which --help does not need

            set_variable(name, value)
    if asked.tracking_uri is not None:
        from registry.settings import set_variable

        set_variable("SPOOL_DIR", None)  # who names a registry means it, not what is to be sent to it


def open_client(*, changes: bool = False, creates: bool = False) -> "registry.MlflowClient":
    """Open a client for the place of this command line.

    Args:
        changes: Whether the command changes something; otherwise the database is opened read-only.
        creates: Whether the command may make a registry where there is none.

    Raises:
        InvalidStateError: There is no registry, and the command makes none.
    """
    use_place()
    if not creates:
        require_registry()
    return registry.MlflowClient(read_only=not (changes or creates))


def require_registry() -> None:
    """Check that the SQLite file of the place exists: opening it would make an empty one.

    Raises:
        InvalidStateError: It does not; the message names what is near, and the command that makes one.
        ForeignStoreError: The directory is MLflow's.
    """
    from registry.client.backend import refuse_mlflow_files
    from registry.settings import current_settings, place_of
    from registry.store.urls import MEMORY, parse_database_url

    settings = current_settings()
    place = place_of(settings.tracking_uri, settings)
    if not place.database_url.startswith("sqlite"):
        return
    database = str(parse_database_url(place.database_url).database)
    if database == MEMORY or Path(database).exists():
        return
    refuse_mlflow_files(place)
    uri = str(place.directory) if place.directory is not None else f"sqlite:///{database}"
    near = _registries_near(Path(database))
    found = f" Near it: {', '.join(near)}." if near else ""
    raise InvalidStateError(
        f"There is no registry at {uri}.{found} To make one: registry db upgrade --tracking-uri {shlex.quote(uri)}"
    )


_SHOWN_NEAR: Final = 5


def _registries_near(database: Path) -> list[str]:
    """Return the SQLite files and directories with a registry beside a missing one, or beside its directory."""
    from registry.settings import DATABASE_FILE

    places = [parent for parent in database.parents if parent.is_dir()][:2]
    found: list[str] = []
    for place in places:
        try:
            with os.scandir(place) as entries:
                names = sorted(entry.name for entry in entries)
        except OSError:
            continue
        for name in names:
            path = place / name
            if name.endswith((".db", ".sqlite", ".sqlite3")) and name != DATABASE_FILE and path.is_file():
                found.append(f"sqlite:///{path}")
            elif (path / DATABASE_FILE).is_file():
                found.append(str(path))
        if (place / DATABASE_FILE).is_file():
            found.append(str(place))
    return list(dict.fromkeys(found))[:_SHOWN_NEAR]


_PAGE: Final = 1_000


def fetch(
    search: "Callable[[int, str | None], PagedList[T]]", limit: int, everything: bool = False
) -> tuple[list[T], bool]:
    """Return the items of a search, page after page, and whether there are more.

    Args:
        search: Takes the size of a page and a token, and returns the page.
        limit: At most this many items, unless `everything` is true.
        everything: Whether to read on until the end.
    """
    items: list[T] = []
    token: str | None = None
    while True:
        page = search(_PAGE if everything else min(_PAGE, limit - len(items)), token)
        items += page
        token = page.token
        if not token or (not everything and len(items) >= limit):
            return items, bool(token)


def note_more(shown: int, more: bool) -> None:
    """Print a remark if a listing stopped before the end."""
    if more:
        first = "first is" if shown == 1 else f"first {shown} are"
        output.note(f"The {first} shown; --all shows the rest, --limit more, --filter picks.")

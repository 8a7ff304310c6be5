"""Where adopted files are: the runs and logged models whose files stay where another program put them."""

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, SQLColumnExpression, func, literal, select, update

from registry.store.tables import AdoptedFileRow, LoggedModelRow, ModelFileRow, RunRow


class AdoptedPlaces(NamedTuple):
    """What was adopted below a place: how many runs and logged models, and one of their files, None without files."""

    runs: int
    models: int
    file: str | None


def find_adopted(connection: Connection, place: str) -> AdoptedPlaces:
    """Return what was adopted at a place (whole path segments) or below."""
    of_run, of_model = _is_below(RunRow.adopted_location, place), _is_below(LoggedModelRow.location, place)
    run_file = select(RunRow.adopted_location, AdoptedFileRow.path).join(
        AdoptedFileRow, AdoptedFileRow.run_id == RunRow.id
    )
    model_file = select(LoggedModelRow.location, ModelFileRow.path).join(
        ModelFileRow, ModelFileRow.logged_model_id == LoggedModelRow.id
    )
    files = [
        connection.execute(query.where(below).limit(1)).one_or_none()
        for query, below in ((run_file, of_run), (model_file, of_model))
    ]
    return AdoptedPlaces(
        connection.execute(select(func.count()).select_from(RunRow).where(of_run)).scalar_one(),
        connection.execute(select(func.count()).select_from(LoggedModelRow).where(of_model)).scalar_one(),
        next((f"{row[0]}/{row[1]}" for row in files if row is not None), None),
    )


def relocate_adopted(connection: Connection, old: str, new: str) -> None:
    """Replace the prefix `old` (whole path segments) of the places of adopted files by `new`."""
    for row, column in ((RunRow, RunRow.adopted_location), (LoggedModelRow, LoggedModelRow.location)):
        moved = literal(new) + func.substr(column, len(old) + 1)
        connection.execute(update(row).where(_is_below(column, old)).values({column: moved}))


def _is_below(column: SQLColumnExpression[Any], place: str) -> ColumnElement[bool]:
    """Return the condition that an absolute location is at a place or below; SQLite's LIKE would ignore case."""
    return func.substr(column + "/", 1, len(place) + 1) == f"{place}/"

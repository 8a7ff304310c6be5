"""Statements that the driver itself runs, for what is called thousands of times.

SQLAlchemy builds and compiles such a statement once per database and names what goes wrong; what it would do around
each execution takes ten times as long as SQLite does. Leaves transactions to `engine`. Invariant: who calls sees no
difference but the time. Errors are SQLAlchemy's, a broken connection leaves its pool, and what listens to the event
``before_cursor_execute`` hears of every statement.
"""

import contextlib
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import ClauseElement

from registry.store.dialects import AnyRow

Values = Mapping[str, Any]

# For so few rows, what psycopg does to send them together takes longer than two answers.
_FEW: Final = 2


def run(
    connection: Connection, statement: str, parameters: Any = (), *, many: bool = False
) -> tuple[DBAPICursor, Sequence[Any]]:
    """Run a statement in the driver's own SQL; the cursor after it, and the rows that it answers as tuples.

    With `many` the parameters are a sequence of rows, and nothing is answered.
    """
    with driving(connection) as cursor:
        for listener in connection.dispatch.before_cursor_execute:
            statement, parameters = listener(connection, cursor, statement, parameters, None, many)
        if many:
            cursor.executemany(statement, parameters)
            return cursor, []
        cursor.execute(statement, parameters)
        return cursor, cursor.fetchall() if cursor.description else []


@contextlib.contextmanager
def driving(connection: Connection, cursor: Any = None) -> Iterator[Any]:
    """A block that works with a cursor, by default a new one: what goes wrong in it is named as SQLAlchemy names it.

    After an error nothing stays open that would hold a lock, and a connection that was interrupted leaves its pool.
    """
    try:
        if cursor is None:
            cursor = connection.connection.cursor()
        yield cursor
    except connection.dialect.loaded_dbapi.Error as error:
        named = _as_sqlalchemy(connection, cursor, error)
        with contextlib.suppress(Exception):  # the first error is the one to tell
            cursor.close()
        raise named from None
    except (Exception, GeneratorExit):
        raise
    except BaseException as interruption:
        connection.invalidate(interruption)  # its answer may still be on the way
        raise


def _as_sqlalchemy(connection: Connection, cursor: DBAPICursor | None, error: Exception) -> DBAPIError:
    """SQLAlchemy's error for the driver's; a lost connection leaves its pool, and with it those opened before."""
    dialect = connection.dialect
    wrong: Any = error  # the stubs want the driver's own class, which has no name here
    lost = dialect.is_disconnect(wrong, connection.connection.dbapi_connection, cursor)
    if lost:
        # SQLAlchemy has no public name for it, but does it where a statement of its own finds the connection broken.
        with contextlib.suppress(DBAPIError):
            connection.exec_driver_sql("SELECT 1")
    named: DBAPIError = DBAPIError.instance(
        None, None, wrong, dialect.loaded_dbapi.Error, connection_invalidated=lost, dialect=dialect
    )
    return named


class _Form(NamedTuple):
    """A statement compiled for one database, and for one set of names if it takes its columns from them."""

    text: str
    places: Sequence[str] | None
    constants: Values
    row: list[Callable[[Any], Any]]

    def parameters(self, values: Values) -> Any:
        given = {**self.constants, **values}
        return given if self.places is None else tuple([given[name] for name in self.places])


class Compiled:
    """A Core statement whose values are bound by name when it runs.

    An INSERT or UPDATE without `values()` of its own writes the columns that it is given values for.
    """

    def __init__(self, statement: ClauseElement) -> None:
        self.statement = statement
        self._forms: dict[tuple[str, ...], _Form] = {}

    def rows(self, connection: Connection, values: Values) -> list[AnyRow]:
        """What it answers: tuples with the columns as attributes."""
        form = self._form(connection, values)
        cursor, found = run(connection, form.text, form.parameters(values))
        if not form.row:
            names = [column[0] for column in cursor.description or ()]
            columns: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]  # known when it runs
            form.row.append(columns._make)
        return list(map(form.row[0], found))

    def first(self, connection: Connection, values: Values) -> AnyRow | None:
        """The one row that it answers, or None."""
        found = self.rows(connection, values)
        return found[0] if found else None

    def tuples(self, connection: Connection, values: Values) -> Sequence[Any]:
        """What it answers as the driver's own tuples: of many rows, making others takes longer than fetching them."""
        form = self._form(connection, values)
        return run(connection, form.text, form.parameters(values))[1]

    def value(self, connection: Connection, values: Values) -> Any | None:
        """The one value that it answers, or None."""
        found = self.tuples(connection, values)
        return found[0][0] if found else None

    def write(self, connection: Connection, values: Values) -> int:
        """How many rows it wrote to."""
        form = self._form(connection, values)
        cursor, _ = run(connection, form.text, form.parameters(values))
        return cursor.rowcount

    def write_many(self, connection: Connection, rows: Sequence[Values]) -> None:
        """Run it once for each row, all of which have the same names."""
        if len(rows) <= _FEW:
            for row in rows:
                self.write(connection, row)
            return
        form = self._form(connection, rows[0])
        run(connection, form.text, [form.parameters(row) for row in rows], many=True)

    def _form(self, connection: Connection, values: Values) -> _Form:
        key = (connection.dialect.name, *values)
        form = self._forms.get(key)
        if form is None:
            compiled: Any = self.statement.compile(dialect=connection.dialect, column_keys=list(values))
            constants = {
                name: bound.effective_value
                for name, bound in compiled.binds.items()
                if name not in values and not bound.required
            }
            form = _Form(str(compiled), compiled.positiontup, constants, [])
            self._forms[key] = form
        return form

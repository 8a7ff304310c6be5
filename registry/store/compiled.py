"""Core statements that are built once and run thousands of times.

SQLAlchemy compiles a statement once per database and set of columns; its text then runs on the driver's own cursor (see
`cursors`). It uses two attributes of a compiled statement that SQLAlchemy does not document: ``positiontup``, the order
of the parameters, and the values in ``binds``.
"""

import functools
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.sql import ClauseElement

from registry.store.cursors import run, run_many
from registry.store.dialects import AnyRow

Values = Mapping[str, Any]

# For so few rows, what psycopg does to send them together takes longer than two answers.
_FEW: Final = 2


@functools.lru_cache(maxsize=256)
def _row_maker(columns: tuple[str, ...]) -> Callable[[Any], Any]:
    made: Any = namedtuple("Row", columns, rename=True)  # type: ignore[misc]  # known when it runs
    return made._make


class _Form(NamedTuple):
    """A statement compiled for one database, and for one set of names if it takes its columns from them."""

    text: str
    places: Sequence[str] | None
    constants: Values

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
        answer = run(connection, form.text, form.parameters(values))
        return list(map(_row_maker(answer.columns), answer.rows))

    def first(self, connection: Connection, values: Values) -> AnyRow | None:
        """The one row that it answers, or None."""
        found = self.rows(connection, values)
        return found[0] if found else None

    def tuples(self, connection: Connection, values: Values) -> Sequence[Any]:
        """What it answers as the driver's own tuples: of many rows, making others takes longer than fetching them."""
        form = self._form(connection, values)
        return run(connection, form.text, form.parameters(values)).rows

    def value(self, connection: Connection, values: Values) -> Any | None:
        """The one value that it answers, or None."""
        found = self.tuples(connection, values)
        return found[0][0] if found else None

    def write(self, connection: Connection, values: Values) -> int:
        """How many rows it wrote to."""
        form = self._form(connection, values)
        return run(connection, form.text, form.parameters(values)).written

    def write_many(self, connection: Connection, rows: Sequence[Values]) -> None:
        """Run it once for each row, all of which have the same names."""
        if len(rows) <= _FEW:
            for row in rows:
                self.write(connection, row)
            return
        form = self._form(connection, rows[0])
        run_many(connection, form.text, [form.parameters(row) for row in rows])

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
            form = _Form(str(compiled), compiled.positiontup, constants)
            self._forms[key] = form
        return form

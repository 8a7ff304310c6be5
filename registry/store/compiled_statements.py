"""Core statements of hot paths: compiled once, then run as text.

SQLAlchemy compiles a statement once per dialect and set of columns; `driver_sql` runs the text. Two attributes of a
compiled statement are used that SQLAlchemy does not document: ``positiontup``, the order of the parameters, and the
values in ``binds``.
"""

import functools
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, literal_column, select
from sqlalchemy.sql import ClauseElement

from registry.store.driver_sql import Answer, Statement, check, run, run_many, send
from registry.store.error_mapping import ConditionFailedError

if TYPE_CHECKING:
    from registry.store.dialects import AnyRow

Values = Mapping[str, Any]


@functools.lru_cache(maxsize=256)
def _row_maker(columns: tuple[str, ...]) -> Callable[[Any], Any]:
    row_class: Any = namedtuple("Row", columns, rename=True)  # type: ignore[misc]  # columns are known at run time
    return row_class._make


def all_rows(statement: Statement) -> "list[AnyRow]":
    """Return the rows of a statement that was answered, as named tuples."""
    assert statement.answer is not None  # noqa: S101 - the caller waited for it
    return named_rows(statement.answer)


def first_row(statement: Statement) -> "AnyRow | None":
    """Return the first row of a statement that was answered, or None."""
    rows = all_rows(statement)
    return rows[0] if rows else None


def first_value(statement: Statement) -> Any | None:
    """Return the first column of the first row of a statement that was answered, or None."""
    return statement.rows[0][0] if statement.rows else None


def named_rows(answer: Answer) -> "list[AnyRow]":
    """Return the rows of an answer as named tuples."""
    return list(map(_row_maker(answer.columns), answer.rows))


class _CompiledText(NamedTuple):
    """The SQL of a statement for one dialect and one set of parameter names.

    `positions` are the parameter names in order, or None where the driver binds by name.
    """

    text: str
    positions: Sequence[str] | None
    constants: Values

    def parameters(self, values: Values) -> Any:
        bound = {**self.constants, **values}
        return bound if self.positions is None else tuple([bound[name] for name in self.positions])


def send_core(connection: Connection, statement: ClauseElement) -> None:
    """Let a Core statement that is not worth keeping travel with the next one of its transaction, or with COMMIT."""
    Compiled(statement).send(connection, {})


class CheckedWrite:
    """An UPDATE or DELETE that must change a row; on PostgreSQL COMMIT may travel with it.

    If there is no such row, it fails with `ConditionFailedError`; see `Store.write_or_explain`.
    """

    def __init__(self, write: Any) -> None:
        self._write = Compiled(write)
        changed = write.returning(literal_column("1").label("one")).cte("changed")
        self._checked = Compiled(select(literal_column(check("count(*) > 0"))).select_from(changed))

    def send(self, connection: Connection, values: Values) -> None:
        """Let the write travel with the next statement of its transaction, or with COMMIT."""
        if connection.dialect.name != "sqlite":
            self._checked.send(connection, values)
        elif self._write.write(connection, values) == 0:
            raise ConditionFailedError("There is no such row.")


class Compiled:
    """A Core statement that is compiled once; values are bound by name when it runs.

    An INSERT or UPDATE without `values()` writes the columns named by the values.
    """

    def __init__(self, statement: ClauseElement) -> None:
        self.core = statement
        self._texts: dict[tuple[str, ...], _CompiledText] = {}

    def statement(self, connection: Connection, values: Values) -> Statement:
        """Return the statement with its values, for `driver_sql.run_all`."""
        text = self._text(connection, values)
        return Statement(text.text, text.parameters(values))

    def send(self, connection: Connection, values: Values) -> Statement:
        """Let the statement travel with the next one of its transaction, or with COMMIT."""
        return send(connection, self.statement(connection, values))

    def rows(self, connection: Connection, values: Values) -> "list[AnyRow]":
        """Return the rows as named tuples."""
        text = self._text(connection, values)
        return named_rows(run(connection, text.text, text.parameters(values)))

    def first(self, connection: Connection, values: Values) -> "AnyRow | None":
        """Return the first row, or None."""
        rows = self.rows(connection, values)
        return rows[0] if rows else None

    def tuples(self, connection: Connection, values: Values) -> Sequence[Any]:
        """Return the rows as the driver's tuples; for many rows, naming the columns costs more than fetching them."""
        text = self._text(connection, values)
        return run(connection, text.text, text.parameters(values)).rows

    def value(self, connection: Connection, values: Values) -> Any | None:
        """Return the first column of the first row, or None."""
        rows = self.tuples(connection, values)
        return rows[0][0] if rows else None

    def write(self, connection: Connection, values: Values) -> int:
        """Run a write and return the number of affected rows."""
        text = self._text(connection, values)
        return run(connection, text.text, text.parameters(values)).written

    def write_many(self, connection: Connection, rows: Sequence[Values]) -> None:
        """Run a write once per row, in the round trip of the next statement; all rows have the same names."""
        if not rows:
            return
        text = self._text(connection, rows[0])
        run_many(connection, text.text, [text.parameters(row) for row in rows])

    def _text(self, connection: Connection, values: Values) -> _CompiledText:
        key = (connection.dialect.name, *values)
        text = self._texts.get(key)
        if text is None:
            compiled: Any = self.core.compile(dialect=connection.dialect, column_keys=list(values))
            constants = {
                name: bound.effective_value
                for name, bound in compiled.binds.items()
                if name not in values and not bound.required
            }
            text = _CompiledText(str(compiled), compiled.positiontup, constants)
            self._texts[key] = text
        return text

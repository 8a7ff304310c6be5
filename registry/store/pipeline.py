"""Send several statements to PostgreSQL in one round trip, by the pipeline mode of libpq.

Works on libpq directly: psycopg's own pipeline spends more time on a statement than the server does. Guarantees: if a
statement fails, the server skips the rest of its round trip, COMMIT included, and the error is that of the statement
which failed first.
"""

import functools
import re
import select
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import psycopg
from psycopg import abc
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from registry.store.driver_sql import Answer, Statement

# A session keeps at most this many prepared statements; their plans take memory of the server.
_MOST_PREPARED: Final = 200
_PLACEHOLDER: Final = re.compile(r"%(?:\((?P<name>[^)]+)\))?(?P<kind>[s%])")


@functools.lru_cache(maxsize=1024)
def _numbered(text: str) -> tuple[bytes, tuple[str, ...]]:
    """Return a statement with ``$1`` for each ``%s`` or ``%(name)s``, and the names, if it has any."""
    numbers: dict[object, int] = {}

    def number(match: re.Match[str]) -> str:
        if match["kind"] == "%":
            return "%"
        return f"${numbers.setdefault(match['name'] or len(numbers), len(numbers) + 1)}"

    return _PLACEHOLDER.sub(number, text).encode(), tuple(name for name in numbers if isinstance(name, str))


class Pipeline:
    """The pipeline of one connection. `prepares`: the session is ours alone, so it may keep prepared statements."""

    def __init__(self, connection: psycopg.Connection[Any], *, prepares: bool) -> None:
        self._connection = connection
        self._pgconn: PGconn = connection.pgconn
        self._prepares = prepares
        self._names: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        self._poll = select.poll()

    def exchange(self, statements: Sequence[Statement]) -> None:
        """Send statements together, wait for all answers, and store them in the statements.

        Raises:
            psycopg.Error: A statement failed, or the connection was lost.
        """
        adapter: abc.Transformer = Transformer(self._connection)
        encoded = [self._encode(adapter, statement) for statement in statements]  # raises before anything is sent
        self._pgconn.enter_pipeline_mode()
        new_names = [self._send(*one) for one in encoded]
        self._pgconn.pipeline_sync()
        self._flush()
        results = self._receive()
        self._pgconn.exit_pipeline_mode()
        error: psycopg.Error | None = None
        for statement, (query, _, types, _), new_name in zip(statements, encoded, new_names, strict=True):
            if new_name is not None and (result := next(results)).status != ExecStatus.COMMAND_OK:
                del self._names[query, types]
                error = error or self._error(result)
            result = next(results)
            if error is None and result.status == ExecStatus.FATAL_ERROR:
                error = self._error(result)
            if error is None:
                statement.answer = _answer(adapter, result)
        if error is not None:
            raise error

    @staticmethod
    def _encode(adapter: abc.Transformer, statement: Statement) -> tuple[bytes, Any, tuple[int, ...], Any]:
        query, names = _numbered(statement.text)
        parameters = statement.parameters
        if isinstance(parameters, Mapping):
            parameters = [parameters[name] for name in names]
        if not parameters:
            return query, None, (), None
        values = adapter.dump_sequence(parameters, [PyFormat.AUTO] * len(parameters))
        return query, values, adapter.types or (), adapter.formats

    def _send(self, query: bytes, values: Any, types: tuple[int, ...], formats: Any) -> bytes | None:
        """Send one statement; return the name under which it is prepared in the same round trip, if it is."""
        key = (query, types)
        name, new_name = self._names.get(key), None
        if name is None and self._prepares and values is not None and len(self._names) < _MOST_PREPARED:
            name = new_name = b"registry_%d" % len(self._names)
            self._names[key] = name
            self._pgconn.send_prepare(name, query, types)
        if name is None:
            self._pgconn.send_query_params(query, values, types, formats)
        else:
            self._pgconn.send_query_prepared(name, values, formats)
        return new_name

    def _flush(self) -> None:
        while self._pgconn.flush():
            if self._wait(select.POLLIN | select.POLLOUT) & select.POLLIN:
                self._pgconn.consume_input()

    def _receive(self) -> Iterator[PGresult]:
        """Return the results of all commands, once the server has answered the last one."""
        results: list[PGresult] = []
        try:
            while True:
                while self._pgconn.is_busy():
                    self._wait(select.POLLIN)
                    self._pgconn.consume_input()
                result = self._pgconn.get_result()
                if result is None:  # the end of one command
                    if self._pgconn.status == ConnStatus.BAD:
                        raise psycopg.OperationalError("the connection is lost")
                elif result.status == ExecStatus.PIPELINE_SYNC:
                    return iter(results)
                else:
                    results.append(result)
        except psycopg.OperationalError as lost:
            # A server that ends a connection says why before it hangs up.
            errors = (self._error(result) for result in results if result.status == ExecStatus.FATAL_ERROR)
            raise next(errors, lost) from None

    def _wait(self, events: int) -> int:
        """Wait until the socket is ready; return the events that happened."""
        self._poll.register(self._pgconn.socket, events)
        return sum(event for _, event in self._poll.poll())

    def _error(self, result: PGresult) -> psycopg.Error:
        return error_from_result(result, encoding=self._connection.info.encoding)


def _answer(adapter: abc.Transformer, result: PGresult) -> Answer:
    written = result.command_tuples or 0
    if result.status != ExecStatus.TUPLES_OK:
        return Answer((), (), written)
    adapter.set_pgresult(result)
    columns = tuple([(result.fname(number) or b"").decode() for number in range(result.nfields)])
    return Answer(adapter.load_rows(0, result.ntuples, tuple), columns, written)

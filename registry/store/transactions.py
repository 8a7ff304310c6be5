"""Run each public store method in one transaction: `read_transaction`, `single_query` or `write_transaction`.

A decorated method takes a connection as its first argument; callers leave it out. A `write_transaction` method may run
several times before it succeeds once, so it touches nothing but the connection and its own locals.
"""

import functools
from collections.abc import Callable
from typing import Concatenate, Final, ParamSpec, TypeVar

from sqlalchemy import Connection

from registry.exceptions import InvalidStateError, OfflineError
from registry.store.engine import Database
from registry.store.error_mapping import ConditionFailedError

_ATTEMPTS: Final = 3


class Store:
    """Base of all stores: a database and the methods on it. Safe to share between threads.

    A store with a `refusal` writes nothing; its text says why.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.refusal: str | None = None

    def check_writable(self) -> None:
        """Pass if this store may write.

        Raises:
            OfflineError: The client is offline, and this store is not for what it logs.
        """
        if self.refusal is not None:
            raise OfflineError(self.refusal)

    def write_or_explain(self, write: Callable[[], None], explain: Callable[[], None], subject: str) -> None:
        """Run a write transaction; if a condition of its statements does not hold, `explain` raises the reason.

        The reason may be gone by then: another process restored the subject, or logged the same. Then try again.

        Raises:
            InvalidStateError: The condition failed each time, and there was no reason each time.
        """
        for _ in range(_ATTEMPTS):
            try:
                return write()
            except ConditionFailedError:
                explain()
        raise InvalidStateError(f"The {subject} was deleted and restored during this call. Try again.")


S = TypeVar("S", bound=Store)
P = ParamSpec("P")
R = TypeVar("R")


def read_transaction(method: Callable[Concatenate[S, Connection, P], R]) -> Callable[Concatenate[S, P], R]:
    """Run a method in one read transaction."""

    @functools.wraps(method)
    def call(store: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return store.database.read(lambda connection: method(store, connection, *args, **kwargs))

    return call


def single_query(method: Callable[Concatenate[S, Connection, P], R]) -> Callable[Concatenate[S, P], R]:
    """Run a method that reads with one statement; skips BEGIN and COMMIT, saving two round trips."""

    @functools.wraps(method)
    def call(store: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return store.database.look_up(lambda connection: method(store, connection, *args, **kwargs))

    return call


def write_transaction(method: Callable[Concatenate[S, Connection, P], R]) -> Callable[Concatenate[S, P], R]:
    """Run a method in one write transaction; its changes are durable when the call returns."""

    @functools.wraps(method)
    def call(store: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        store.check_writable()
        return store.database.write(lambda connection: method(store, connection, *args, **kwargs))

    return call

"""The base class of the tables, the kinds of columns, and partial indexes for both databases."""

import inspect
import types
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)

KEY = Text().with_variant(Text(collation="C"), "postgresql")
ID = BigInteger().with_variant(Integer, "sqlite")

# What a value is in Python, its type in the database, and options of its column.
Id = Annotated[int, ID, {"primary_key": True, "autoincrement": True}]
Key = Annotated[str, KEY]
KeyPart = Annotated[str, KEY, {"primary_key": True}]
Millis = Annotated[int, BigInteger]
Micros = Annotated[int, BigInteger]
Digest = Annotated[str, KEY]


def column(kind: Any, *constraints: Any, **options: Any) -> ColumnElement[Any]:
    """Return a column without a name, for what the kinds above do not say."""
    return Column(kind, *constraints, **options)


def owner(column: str) -> ColumnElement[int]:
    """Return a primary key column that refers to the owning row; deleting the owner deletes this row."""
    return Column(ID, ForeignKey(column, ondelete="CASCADE"), primary_key=True, autoincrement=False)


def partial_index(name: str, predicate: str, *columns: str, unique: bool = False) -> Index:
    """Return an index over the rows that match a predicate, the same on both databases."""
    where = text(predicate)
    index = Index(name, *columns, unique=unique)
    _options.append((index, {"sqlite_where": where, "postgresql_where": where}))
    return index


_options: list[tuple[Index | Table, Mapping[str, Any]]] = []


def complete_for(dialect: str) -> None:
    """Give tables and indexes their options for a dialect: the predicates of partial indexes, and more.

    SQLAlchemy loads a dialect to check an option for it, and loading one takes as long as defining all tables.
    """
    for item, options in _options:
        for name, value in options.items():
            if name.startswith(dialect):
                item.dialect_kwargs[name] = value


class Base:
    """The base class of all tables. Constraint names follow one convention, so a migration can refer to them.

    The annotated columns of a subclass become a table of SQLAlchemy's Core, and statements take the class as that
    table. SQLAlchemy's ORM does the same and much more, for a fifth of the time of a short command.
    """

    metadata: ClassVar = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    __table__: ClassVar[Table]
    __tablename__: ClassVar[str]
    __table_args__: ClassVar[Any]

    def __init_subclass__(cls) -> None:
        """Build the table, and bind the columns to the names that the class gives them."""
        columns = {name: _named(name, kind, vars(cls).get(name)) for name, kind in inspect.get_annotations(cls).items()}
        given = vars(cls).get("__table_args__", ())
        arguments = (given,) if isinstance(given, Mapping) else given
        options = next((argument for argument in arguments if isinstance(argument, Mapping)), {})
        constraints: list[Any] = [argument for argument in arguments if argument is not options]
        cls.__table__ = Table(cls.__tablename__, cls.metadata, *columns.values(), *constraints)
        _options.append((cls.__table__, options))
        for name, column in columns.items():
            setattr(cls, name, column)

    @classmethod
    def __clause_element__(cls) -> Table:
        """Return the table that SQLAlchemy takes where a statement names the class."""
        return cls.__table__


def _named(name: str, annotation: Any, given: "Column[Any] | None") -> "Column[Any]":
    """Return the column of an annotation such as ``ColumnElement[Millis | None]``, where ``| None`` means nullable."""
    (kind,) = get_args(annotation)
    choices = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    if given is None:
        _python, database, *options = get_args(next(choice for choice in choices if choice is not types.NoneType))
        given = Column(database, **dict(*options))
    given.name = given.key = name
    given.nullable = types.NoneType in choices
    return given


# For tables whose rows are only looked up by primary key: SQLite stores them in the order of that key.
CLUSTERED = {"sqlite_with_rowid": False}
# For ids that users see or history refers to: a deleted row's id is never used again.
NEVER_REUSED = {"sqlite_autoincrement": True}

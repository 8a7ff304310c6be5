"""The base class of the tables, the kinds of columns, and partial indexes for both databases."""

from typing import Annotated

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, MetaData, Text, TextClause, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

KEY = Text().with_variant(Text(collation="C"), "postgresql")
ID = BigInteger().with_variant(Integer, "sqlite")

Id = Annotated[int, mapped_column(ID, primary_key=True, autoincrement=True)]
Key = Annotated[str, mapped_column(KEY)]
KeyPart = Annotated[str, mapped_column(KEY, primary_key=True)]
Millis = Annotated[int, mapped_column(BigInteger)]
Micros = Annotated[int, mapped_column(BigInteger)]
Digest = Annotated[str, mapped_column(KEY)]


def owner(column: str) -> "Mapped[int]":
    """Return a primary key column that refers to the owning row; deleting the owner deletes this row."""
    return mapped_column(ID, ForeignKey(column, ondelete="CASCADE"), primary_key=True, autoincrement=False)


def partial_index(name: str, predicate: str, *columns: str, unique: bool = False) -> Index:
    """Return an index over the rows that match a predicate, the same on both databases."""
    where = text(predicate)
    index = Index(name, *columns, unique=unique, sqlite_where=where)
    _partial.append((index, where))
    return index


_partial: list[tuple[Index, TextClause]] = []


def complete_for_postgresql() -> None:
    """Give the partial indexes their predicate on PostgreSQL too.

    SQLAlchemy loads a dialect to check an argument for it, and loading this one takes as long as defining all tables.
    """
    for index, where in _partial:
        index.dialect_kwargs["postgresql_where"] = where


class Base(DeclarativeBase):
    """The base class of all tables. Constraint names follow one convention, so a migration can refer to them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


# For tables whose rows are only looked up by primary key: SQLite stores them in the order of that key.
CLUSTERED = {"sqlite_with_rowid": False}
# For ids that users see or history refers to: a deleted row's id is never used again.
NEVER_REUSED = {"sqlite_autoincrement": True}

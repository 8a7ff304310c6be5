"""What tables are made of: their base, the kinds of columns, and indexes that both databases have."""

from typing import Annotated

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, MetaData, Text, text
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
    """A part of the key that is the row which this one belongs to, and goes with."""
    return mapped_column(ID, ForeignKey(column, ondelete="CASCADE"), primary_key=True, autoincrement=False)


def partial(name: str, predicate: str, *columns: str, unique: bool = False) -> Index:
    """An index over the rows for which a predicate holds, the same on both databases."""
    where = text(predicate)
    return Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


class Base(DeclarativeBase):
    """All tables; constraint names follow one convention, so that a migration can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


# A table whose rows are found by their whole key alone is stored in that key's order on SQLite.
CLUSTERED = {"sqlite_with_rowid": False}
# Ids that people see, or that history refers to, are never given twice.
NEVER_REUSED = {"sqlite_autoincrement": True}

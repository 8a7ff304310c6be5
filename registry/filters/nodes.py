"""The syntax tree of a parsed filter, as frozen values.

Guarantees: ``parse_filter(str(node), subject) == node`` for every node parsed for that subject.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

Scalar: TypeAlias = str | int | float

_PLAIN_KEY: Final = re.compile(r"[\w.\-/:@]+")


class Kind(StrEnum):
    """The kind of a field."""

    METRIC = "metric"
    PARAM = "param"
    TAG = "tag"
    DATASET = "dataset"
    ATTRIBUTE = "attribute"


class Op(StrEnum):
    """A comparison operator."""

    EQ = "="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    LIKE = "LIKE"
    ILIKE = "ILIKE"
    IN = "IN"
    NOT_IN = "NOT IN"
    IS_NULL = "IS NULL"
    IS_NOT_NULL = "IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the subject. The key of an attribute is canonical; other keys are as written."""

    kind: Kind
    key: str

    def __str__(self) -> str:
        if self.kind is Kind.ATTRIBUTE:
            return self.key
        key = self.key if _PLAIN_KEY.fullmatch(self.key) else "`" + self.key.replace("`", "``") + "`"
        return f"{self.kind}s.{key}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field compared with a value: a tuple for IN and NOT IN, None for IS [NOT] NULL, otherwise one scalar.

    Values of metrics are floats, of integer attributes ints, of times ints or floats (milliseconds since the epoch),
    of all other fields texts.
    """

    field: Field
    op: Op
    value: Scalar | tuple[Scalar, ...] | None = None

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.field} {self.op}"
        if isinstance(self.value, tuple):
            return f"{self.field} {self.op} ({', '.join(map(_literal, self.value))})"
        return f"{self.field} {self.op} {_literal(self.value)}"


@dataclass(frozen=True, slots=True)
class And:
    """The conjunction of two or more nodes."""

    items: tuple["Node", ...]

    def __str__(self) -> str:
        return " AND ".join(map(_grouped, self.items))


@dataclass(frozen=True, slots=True)
class Or:
    """The disjunction of two or more nodes."""

    items: tuple["Node", ...]

    def __str__(self) -> str:
        return " OR ".join(map(_grouped, self.items))


@dataclass(frozen=True, slots=True)
class Not:
    """The negation of a node; it is also true for subjects without the field."""

    item: "Node"

    def __str__(self) -> str:
        return f"NOT {_grouped(self.item)}"


Node: TypeAlias = Comparison | And | Or | Not


@dataclass(frozen=True, slots=True)
class OrderBy:
    """One sort key."""

    field: Field
    ascending: bool = True

    def __str__(self) -> str:
        return f"{self.field} {'ASC' if self.ascending else 'DESC'}"


def _grouped(node: Node) -> str:
    return f"({node})" if isinstance(node, And | Or) else str(node)


def _literal(value: Scalar) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)

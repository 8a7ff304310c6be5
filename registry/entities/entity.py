"""The base class of the entities: ``dict(entity)`` gives the fields by name, as with MLflow's entities."""

from collections.abc import Iterator
from dataclasses import Field, fields
from typing import Any, ClassVar, Protocol


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


class Entity:
    """A dataclass whose iteration yields the (name, value) pairs of its fields."""

    __slots__ = ()

    def __iter__(self: _Dataclass) -> Iterator[tuple[str, Any]]:
        return ((field.name, getattr(self, field.name)) for field in fields(self))

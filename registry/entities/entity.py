"""What MLflow's entities have in common: ``dict(entity)`` gives their fields by name, as its documentation does it."""

from collections.abc import Iterator
from dataclasses import Field, fields
from typing import Any, ClassVar, Protocol


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


class Entity:
    """A frozen dataclass that can be iterated as (name, value) of its fields."""

    __slots__ = ()

    def __iter__(self: _Dataclass) -> Iterator[tuple[str, Any]]:
        return ((field.name, getattr(self, field.name)) for field in fields(self))

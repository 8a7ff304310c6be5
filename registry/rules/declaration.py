"""How a promotion rule is declared: a frozen, strict dataclass, and the kinds of its fields.

Guarantees: every rule is valid, whether made by its constructor or from JSON, and immutable.
"""

import dataclasses
import functools
from typing import Annotated, Any, TypeAlias, TypeVar, cast, dataclass_transform

from pydantic import AfterValidator, ConfigDict, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass

from registry.entities.evidence import check_dataset
from registry.exceptions import InvalidParameterError
from registry.validation.names import check_key

_R = TypeVar("_R")

Key: TypeAlias = Annotated[str, AfterValidator(check_key)]
DatasetName: TypeAlias = Annotated[str, AfterValidator(check_dataset)]


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def rule(cls: type[_R]) -> type[_R]:
    """Make a frozen pydantic dataclass whose constructor raises our error, which names the rule and the field."""
    config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    made: Any = pydantic_dataclass(frozen=True, config=config)(cls)
    construct = made.__init__

    @functools.wraps(construct)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            construct(self, *args, **kwargs)
        except ValidationError as error:
            raise InvalidParameterError(_faults(made, error)) from error

    made.__init__ = init
    return cast("type[_R]", made)


def _faults(cls: Any, error: ValidationError) -> str:
    names = [field.name for field in dataclasses.fields(cls) if not field.kw_only]
    return f"{cls.__name__}: " + "; ".join(
        f"{_name(names, fault['loc'])}: {fault['msg']}, got {fault['input']!r:.60}" for fault in error.errors()
    )


def _name(names: list[str], location: tuple[int | str, ...]) -> str:
    first = location[0] if location else ""
    return names[first] if isinstance(first, int) and first < len(names) else str(first)

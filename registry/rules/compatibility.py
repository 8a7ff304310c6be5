"""Checks whether one signature is backward compatible with another.

Guarantees: a compatible signature accepts every input that the old one accepts, and has at least the same outputs.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from registry.entities.param_schema import ParamSchema
from registry.entities.schema import AnyType, DataType, Schema, TensorSpec
from registry.entities.signature import ModelSignature

# What `predict` takes for a column of a type besides the type itself.
_WIDENING: Final[Mapping[object, frozenset[DataType]]] = {
    DataType.long: frozenset({DataType.integer}),
    DataType.double: frozenset({DataType.integer, DataType.float}),
}


def incompatibilities(old: ModelSignature, new: ModelSignature) -> list[str]:
    """Return the reasons why callers of `old` cannot call `new`; an empty list if they can."""
    return [
        *_of_inputs(old.inputs, new.inputs),
        *_of_params(old.params, new.params),
        *_of_outputs(old.outputs, new.outputs),
    ]


def _of_inputs(old: Schema | None, new: Schema | None) -> Iterator[str]:
    if old is None or new is None:
        if old is not None:
            yield "the inputs are no longer recorded"
        return
    before = _specs(old)
    for name, spec in _specs(new).items():
        known = before.get(name)
        if known is None:
            if spec.required:
                yield f"input {name!r} is new and required"
        elif not _accepts(spec, known):
            yield f"input {name!r} was {_shown(known)} and is {_shown(spec)}"
        elif spec.required and not known.required:
            yield f"input {name!r} was optional and is required"
    if not old.has_input_names() and len(old) != len(new):
        yield f"there were {len(old)} inputs without names and are {len(new)}"


def _of_params(old: ParamSchema | None, new: ParamSchema | None) -> Iterator[str]:
    after = {param.name: param for param in new or ()}
    for param in old or ():
        found = after.get(param.name)
        if found is None:
            yield f"param {param.name!r} is gone"
        elif (found.dtype, found.shape) != (param.dtype, param.shape):
            yield f"param {param.name!r} was {param.dtype} and is {found.dtype}"


def _of_outputs(old: Schema | None, new: Schema | None) -> Iterator[str]:
    if old is None or new is None:
        if old is not None:
            yield "the outputs are no longer recorded"
        return
    after = _specs(new)
    for name, spec in _specs(old).items():
        found = after.get(name)
        if found is None:
            yield f"output {name!r} is gone"
        elif _form(found) != _form(spec):
            yield f"output {name!r} was {_shown(spec)} and is {_shown(found)}"


def _specs(schema: Schema) -> dict[str | int, Any]:
    return dict(zip(schema.input_names(), schema, strict=True))


def _accepts(new: Any, old: Any) -> bool:
    if isinstance(new, TensorSpec) and isinstance(old, TensorSpec):
        same_length = len(new.shape) == len(old.shape)
        fits = all(wide in (-1, length) for wide, length in zip(new.shape, old.shape, strict=False))
        return _dtype(new) == _dtype(old) and same_length and fits
    if isinstance(new, TensorSpec) or isinstance(old, TensorSpec):
        return False
    return bool(isinstance(new.type, AnyType) or new.type == old.type or old.type in _WIDENING.get(new.type, ()))


def _form(spec: Any) -> object:
    return (_dtype(spec), spec.shape) if isinstance(spec, TensorSpec) else spec.type


def _dtype(spec: TensorSpec) -> str:
    return str(spec.to_dict()["tensor-spec"]["dtype"])


def _shown(spec: Any) -> str:
    return f"{_dtype(spec)}{list(spec.shape)}" if isinstance(spec, TensorSpec) else repr(spec.type)

"""The signature of a model: schemas of its input, output and params (MLflow's ModelSignature)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry.entities.param_schema import ParamSchema
from registry.entities.schema import Schema
from registry.exceptions import InvalidParameterError, InvalidTypeError


@dataclass(frozen=True, repr=False)
class ModelSignature:
    """The schemas of a model's inputs, outputs and params; at least one is given.

    Usually made by ``registry.models.infer_signature``.

    Attributes:
        inputs: Schema of the data that ``predict`` takes, or None.
        outputs: Schema of the predictions, or None.
        params: Schema of the params that ``predict`` takes besides data, or None.

    Raises:
        InvalidTypeError: one of them has another type.
        InvalidParameterError: all three are None.

    Example:
        >>> from registry.types import ColSpec, Schema
        >>> signature = registry.models.ModelSignature(inputs=Schema([ColSpec("double", "rest_days")]))
        >>> signature.inputs
        ['rest_days': double (required)]
    """

    inputs: Schema | None = None
    outputs: Schema | None = None
    params: ParamSchema | None = None

    def __post_init__(self) -> None:
        for name, kind in (("inputs", Schema), ("outputs", Schema), ("params", ParamSchema)):
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise InvalidTypeError(
                    f"{name} must be either None or a {kind.__name__}, got {type(value).__name__!r}."
                )
        if self.inputs is None and self.outputs is None and self.params is None:
            raise InvalidParameterError("At least one of inputs, outputs or params must be provided")

    def to_dict(self) -> dict[str, str | None]:
        """Return the schemas as JSON texts, as an MLmodel file holds them."""
        return {
            "inputs": None if self.inputs is None else self.inputs.to_json(),
            "outputs": None if self.outputs is None else self.outputs.to_json(),
            "params": None if self.params is None else self.params.to_json(),
        }

    @classmethod
    def from_dict(cls, signature_dict: Mapping[str, Any]) -> "ModelSignature":
        """Make a signature from the form that `to_dict` returns.

        Args:
            signature_dict: A map with ``inputs``, ``outputs`` and ``params``, each a JSON text or None.

        Raises:
            InvalidParameterError: one of the texts is not the JSON form of a schema, or all are missing.
        """
        if not isinstance(signature_dict, Mapping):
            raise InvalidTypeError(
                f"A signature must be a map with inputs, outputs and params, got {signature_dict!r}."
            )
        inputs, outputs, params = (signature_dict.get(name) for name in ("inputs", "outputs", "params"))
        return cls(
            Schema.from_json(inputs) if inputs else None,
            Schema.from_json(outputs) if outputs else None,
            ParamSchema.from_json(params) if params else None,
        )

    def to_json(self) -> str:
        """Return `to_dict` as one JSON text."""
        return json.dumps(self.to_dict())

    def __repr__(self) -> str:
        return f"inputs: \n  {self.inputs!r}\noutputs: \n  {self.outputs!r}\nparams: \n  {self.params!r}\n"

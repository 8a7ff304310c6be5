"""The base class of users' own models (MLflow's PythonModel).

These classes travel inside pickles, by value: they import nothing and use nothing but built-ins, and MLflow's own
loader accepts them.
"""

from collections.abc import Mapping
from typing import Any


class PythonModelContext:
    """What a `PythonModel` is given: the local paths of its artifacts and its configuration."""

    def __init__(self, artifacts: Mapping[str, str], model_config: Mapping[str, Any] | None = None) -> None:
        self._artifacts = dict(artifacts)
        self._model_config = dict(model_config or {})

    @property
    def artifacts(self) -> dict[str, str]:
        """Absolute local paths by name."""
        return self._artifacts

    @property
    def model_config(self) -> dict[str, Any]:
        """The configuration given at saving, with what loading laid over it."""
        return self._model_config


class TypeHints:
    """The types that MLflow's loader converts input to; None leaves input as it is."""

    input = None
    output = None


class PythonModel:
    """The base class of a user's own model: override `predict`, and `load_context` to read artifacts once."""

    predict_type_hints = TypeHints

    def load_context(self, context: Any) -> None:
        """Called once after loading; ``context.artifacts`` has the local paths of the artifacts."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        """Predictions for `model_input`; an override may leave out ``context`` and ``params``."""
        raise NotImplementedError("A PythonModel must override predict().")


class FunctionModel(PythonModel):
    """A function of the input as a model."""

    def __init__(self, func: Any) -> None:
        self.func = func

    def predict(self, model_input: Any, params: Any = None) -> Any:  # type: ignore[override]  # context may be left out
        """What the function returns."""
        del params
        return self.func(model_input)

"""The base class of users' own models (MLflow's PythonModel).

Pickles carry these classes by value, so they import nothing and use only built-ins. MLflow's own loader accepts them.
"""

from collections.abc import Mapping
from typing import Any


class PythonModelContext:
    """The local paths of a `PythonModel`'s artifacts, and its configuration.

    Example:
        >>> context = registry.pyfunc.PythonModelContext({"weights": "/models/weights.bin"}, {"threshold": 0.5})
        >>> context.artifacts["weights"], context.model_config["threshold"]
        ('/models/weights.bin', 0.5)
    """

    def __init__(self, artifacts: Mapping[str, str], model_config: Mapping[str, Any] | None = None) -> None:
        self._artifacts = dict(artifacts)
        self._model_config = dict(model_config or {})

    @property
    def artifacts(self) -> dict[str, str]:
        """Return absolute local paths by name."""
        return self._artifacts

    @property
    def model_config(self) -> dict[str, Any]:
        """Return the configuration given at saving, with the overrides given at loading."""
        return self._model_config


class TypeHints:
    """The types that MLflow's loader converts input to; None leaves input unchanged."""

    input = None
    output = None


class PythonModel:
    """The base class of a user's own model. Override `predict`, and `load_context` to read artifacts once.

    Example:
        >>> class Doubled(registry.pyfunc.PythonModel):
        ...     def predict(self, model_input):
        ...         return model_input["rest_days"] * 2
        >>> registry.pyfunc.save_model("doubled", python_model=Doubled())
        >>> loaded = registry.pyfunc.load_model("doubled", allow_code=True)
        >>> loaded.predict(pd.DataFrame({"rest_days": [1.0, 2.0]})).tolist()
        [2.0, 4.0]
    """

    predict_type_hints = TypeHints

    def load_context(self, context: Any) -> None:
        """Prepare the model; called once after loading.

        Args:
            context: ``context.artifacts`` has the local paths of the artifacts by name, ``context.model_config`` the
                configuration.
        """

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        """Predict `model_input`. An override may leave out ``context`` and ``params``.

        Args:
            context: The artifacts' paths and the configuration.
            model_input: The data, checked against the model's signature if it has one.
            params: Params that the caller gave, with the signature's defaults; None without.
        """
        raise NotImplementedError("A PythonModel must override predict().")


class FunctionModel(PythonModel):
    """A model made of a function of the input."""

    def __init__(self, func: Any) -> None:
        self.func = func

    def predict(self, model_input: Any, params: Any = None) -> Any:  # type: ignore[override]  # context may be left out
        """Return what the function returns."""
        del params
        return self.func(model_input)

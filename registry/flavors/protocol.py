"""The role of a flavor: how one kind of model becomes a directory and comes back.

A flavor knows files, not storage. It is found by the entry-point group ``registry.flavors``, whose name is the key
under ``flavors:`` in the MLmodel file. Invariant: `load` and `predictor` run no code from the directory unless
`allow_code` is True, and nothing in the directory can change that.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Predictor(Protocol):
    """What a model looks like to ``pyfunc``. It must not write to `data`, which may be the caller's own object.

    It may also have ``get_raw_model()``, the native model, and ``python_model``, the object behind a Python function.
    """

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Predictions for `data` (a DataFrame, array or whatever the flavor takes)."""


class Flavor(Protocol):
    """One kind of model.

    ``name`` is the flavor's key in the MLmodel file; ``loader_module`` is what the file's ``python_function`` entry
    names as its loader. That name is compared, never imported.

    It may also have ``wrap(model, config)``, the model that was given to `save` as `predictor` would give it, or None:
    with it, saving checks on the input example that the saved model predicts the same.
    """

    name: str
    loader_module: str

    def save(self, model: Any, directory: Path, **options: Any) -> Mapping[str, Any]:
        """Write the model's files into an existing directory; the entries of ``flavors:`` in the MLmodel file."""

    def load(self, directory: Path, config: Mapping[str, Any], *, allow_code: bool, **options: Any) -> Any:
        """The native model from a directory and this flavor's entry of its MLmodel file."""

    def predictor(self, directory: Path, config: Mapping[str, Any], *, allow_code: bool, **options: Any) -> Predictor:
        """The model behind `pyfunc`; `config` is this flavor's entry with ``python_function``'s laid over it."""

    def requirements(self, config: Mapping[str, Any]) -> list[str]:
        """Names of the distributions that loading needs, without versions, for an entry that `save` returned."""

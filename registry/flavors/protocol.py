"""The `Flavor` protocol: how one kind of model is written to a directory and loaded back.

A flavor knows files, not storage. It is found by the entry-point group ``registry.flavors``; its entry-point name is
the key under ``flavors:`` in the MLmodel file. Guarantees: `load` and `predictor` run no code from the directory unless
`allow_code` is True, and nothing in the directory can change that.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Predictor(Protocol):
    """A model as ``pyfunc`` calls it. It must not write to `data`, which may be the caller's own object.

    It may also have ``get_raw_model()``, the native model, ``python_model``, the object behind a Python function, and
    ``limit_threads(count)``, which makes the next predictions use at most so many threads. Where ``takes_rows(names)``
    is true, ``predict_rows(rows, params)`` predicts an array of doubles with these columns as ``predict`` does a frame
    of them. ``only_computes`` says that a prediction runs code of a library alone, which waits for nothing; a server
    may make a small one in its event loop.
    """

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Predict `data` (a DataFrame, an array or other data of the flavor)."""


class Flavor(Protocol):
    """One kind of model.

    ``name`` is the flavor's key in the MLmodel file. ``loader_module`` is the loader that the ``python_function`` entry
    names; that name is compared, never imported.

    A flavor may also have ``wrap(model, config)``. It returns the model that was given to `save` in the form that
    `predictor` returns, or None. With it, saving checks that the saved model predicts the input example equally.
    """

    name: str
    loader_module: str

    def save(self, model: Any, directory: Path, **options: Any) -> Mapping[str, Any]:
        """Write the model's files into an existing directory. Return the MLmodel file's entries of ``flavors:``."""

    def load(self, directory: Path, config: Mapping[str, Any], *, allow_code: bool, **options: Any) -> Any:
        """Load the native model from a directory, given this flavor's entry of its MLmodel file."""

    def predictor(self, directory: Path, config: Mapping[str, Any], *, allow_code: bool, **options: Any) -> Predictor:
        """Load the model for `pyfunc`; `config` is this flavor's entry, overridden by that of ``python_function``."""

    def requirements(self, config: Mapping[str, Any]) -> list[str]:
        """Return the distributions that loading needs, without versions, for an entry that `save` returned."""

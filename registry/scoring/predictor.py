"""`Predictor`: a model as a small picklable callable from batches to predictions.

Guarantees: it predicts with the bytes that its URI stood for when it was made, in every process that it reaches; it
holds no password; a process fetches and loads the model once, however many copies of the predictor it gets.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from registry.entities.signature import ModelSignature
from registry.flavors import Model, PyFuncModel
from registry.scoring.batches import assemble, empty_columns, prediction_columns, to_frame
from registry.scoring.pinned import LoadOptions, load_once, pin
from registry.validation.arguments import check_list, check_mapping


class Predictor:
    """A sealed model as a callable from batches to predictions, for Ray, Dask, Spark and plain loops.

    The URI is resolved once, here: workers use the same bytes, whatever is promoted meanwhile. A worker opens no
    database. It fetches the files to its machine's cache if they are not there, compares them with their digests, and
    loads the model once per process. S3 is reached with the worker's own settings (``AWS_*``, ``REGISTRY_S3_*``).

    Args:
        uri: A ``models:`` or ``runs:`` URI; or a path or S3 location outside the registry, whose files are hashed now.
        keep: Columns of the data that the result keeps, before the predictions. Default: none.
        with_model: Also add the columns ``model_name``, ``model_version`` and ``model_digest``. Default: False.
        nthread: Threads of each process, for XGBoost, LightGBM, CatBoost and scikit-learn. Default: as the model was
            saved, which is mostly one per processor. Give 1 where an engine runs a process per processor.
        params: Params of ``predict`` that the signature names.
        model_config: Settings that overwrite those that the model was saved with; they must be plain JSON.
        allow_code: Consent to run code from the model's files. Default: ``REGISTRY_ALLOW_CODE`` of this process.
        require_signature: A public key (a PEM file). Refuse a model that this key did not sign.
        skops_trusted_types: Names of types that a scikit-learn model may hold, besides those known to be safe.

    Attributes:
        model_name (str | None): The registered model, or None if the URI names a logged model or a directory.
        model_version (int | None): The version, or None.
        model_digest (str): The SHA-256 (hex) of the manifest of the files.
        metadata (Model): The content of the MLmodel file.

    Raises:
        NotFoundError: The URI leads to nothing, or the model has no Python function.
        UntrustedModelError: The model is not signed with the required key.
        IntegrityError: A stored file differs from the manifest.

    Example:
        >>> predictor = registry.scoring.Predictor("models:/churn/Production", with_model=True)
        >>> predictor(X.head(2))[["prediction", "model_name", "model_version"]].values.tolist()
        [[0, 'churn', 2], [0, 'churn', 2]]
    """

    def __init__(
        self,
        uri: str,
        *,
        keep: Sequence[str] = (),
        with_model: bool = False,
        nthread: int | None = None,
        params: Mapping[str, Any] | None = None,
        model_config: Mapping[str, Any] | None = None,
        allow_code: bool | None = None,
        require_signature: str | Path | None = None,
        skops_trusted_types: Iterable[str] | None = None,
    ) -> None:
        """Resolve the URI and read the model's description."""
        self._keep = tuple(check_list(keep, "keep", str) or ())
        self._with_model = with_model
        self._params = dict(check_mapping(params, "params"))
        self._options = LoadOptions.of(allow_code, skops_trusted_types, model_config, nthread)
        self._pinned = pin(uri, require_signature)
        with self._pinned.open_directory() as directory:
            self.metadata: Model = Model.load(directory)
        self.metadata.flavor("python_function")

    @property
    def model_name(self) -> str | None:
        """Return the registered model."""
        return self._pinned.name

    @property
    def model_version(self) -> int | None:
        """Return the version."""
        return self._pinned.version

    @property
    def model_digest(self) -> str:
        """Return the digest of the files."""
        return self._pinned.manifest.digest

    @property
    def nthread(self) -> int | None:
        """Return the threads of each process."""
        return self._options.nthread

    def load(self) -> PyFuncModel:
        """Return the loaded model of this process.

        Returns:
            The same model for all predictors of one model with the same options.

        Raises:
            CodeExecutionRefusedError: Loading would run code of the model, without consent.
            IntegrityError: A file is missing or differs from what was sealed.
        """
        return load_once(self._pinned, self._options)

    def __call__(self, batch: Any) -> Any:
        """Return the result for one batch, of its type and in its order.

        Args:
            batch: A pandas DataFrame, a pyarrow Table or RecordBatch, or a mapping from column to array (Ray's).

        Returns:
            The kept columns; ``prediction``, or ``prediction_0`` … if there are several per row, or the columns of a
            model that returns a DataFrame; and those of the model, if asked for.

        Raises:
            SchemaEnforcementError: The batch does not fit the signature.
            InvalidModelError: The model does not return one prediction per row.
            InvalidParameterError: A column to keep is missing.
        """
        frame = to_frame(batch, self.input_columns)
        if len(frame):
            columns = prediction_columns(self.load().predict(frame, self._params or None), len(frame))
        else:
            signature = self._signature
            columns = empty_columns(signature.outputs if signature else None)
        return assemble(batch, self._keep, columns, self._model_columns())

    def stream(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Yield the result for each batch, for Spark's ``mapInPandas`` and ``mapInArrow``.

        Args:
            batches: Batches as `__call__` takes them.

        Yields:
            Their results, in order.
        """
        return map(self, batches)

    @property
    def input_columns(self) -> list[str] | None:
        """Return the columns that the model reads, or None if its signature does not name them all."""
        schema = self.metadata.get_input_schema()
        if schema is None or not schema.has_input_names() or schema.optional_input_names():
            return None
        names = schema.input_names()
        return [name for name in names if isinstance(name, str)] if all(isinstance(n, str) for n in names) else None

    @property
    def kept_columns(self) -> list[str]:
        """Return the columns of the data that the result keeps."""
        return list(self._keep)

    @property
    def columns_to_read(self) -> list[str] | None:
        """Return the columns that scoring needs of the data, or None for all."""
        names = self.input_columns
        return None if names is None else list(dict.fromkeys([*names, *self._keep]))

    @property
    def identity(self) -> dict[str, Any]:
        """Return what decides the result besides the data, as plain JSON."""
        return {
            "digest": self.model_digest,
            "inner": self._pinned.inner,
            "config": self._options.model_config,
            "params": json.dumps(self._params, sort_keys=True, default=repr),
            "keep": list(self._keep),
            "model": self._model_columns(),
        }

    @property
    def _signature(self) -> ModelSignature | None:
        return self.metadata.signature

    def _model_columns(self) -> dict[str, Any]:
        if not self._with_model:
            return {}
        return {
            "model_name": self.model_name,
            "model_version": self.model_version,
            "model_digest": self.model_digest,
        }

    def __dask_tokenize__(self) -> Any:
        """Return what dask compares to know a call again."""
        return "registry.scoring.Predictor", json.dumps(self.identity, sort_keys=True)

    def __repr__(self) -> str:
        shown = f"{self.model_name}/{self.model_version}" if self.model_name else self._pinned.location
        return f"<Predictor {shown} {self.model_digest[:12]}>"

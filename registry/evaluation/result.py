"""`EvaluationResult`: the metrics and artifacts of an evaluation, on disk in MLflow's layout.

Guarantees: reading a saved result runs no code and imports no class that its files name.
"""

import io
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from registry.entities.evidence import EvaluatedDataset
from registry.exceptions import InvalidParameterError, StorageError
from registry.flavors.optional_imports import optional_import
from registry.validation.paths import check_artifact_path, check_local_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _read_image(data: bytes) -> Any:
    image = optional_import("PIL.Image", "plots").open(io.BytesIO(data))
    image.load()
    return image


# By a file's ending: MLflow's class for it, and how its bytes are read.
_KINDS: Final[Mapping[str, tuple[str, Callable[[bytes], Any]]]] = {
    ".png": ("ImageEvaluationArtifact", _read_image),
    ".jpg": ("ImageEvaluationArtifact", _read_image),
    ".jpeg": ("ImageEvaluationArtifact", _read_image),
    ".csv": ("CsvEvaluationArtifact", lambda data: pd.read_csv(io.BytesIO(data))),
    ".parquet": ("ParquetEvaluationArtifact", lambda data: pd.read_parquet(io.BytesIO(data))),
    ".json": ("JsonEvaluationArtifact", json.loads),
    ".npy": ("NumpyEvaluationArtifact", lambda data: np.load(io.BytesIO(data), allow_pickle=False)),
    ".txt": ("TextEvaluationArtifact", lambda data: data.decode()),
}
ENDINGS: Final = tuple(_KINDS)


class EvaluationArtifact:
    """A file of an evaluation: where the run has it, and its content.

    Example:
        >>> result = mlflow.evaluate("models:/churn/3", X.assign(won=y), targets="won", model_type="classifier",
        ...                          evaluators="classifier")
        >>> result.artifacts["roc_curve_plot"].uri.rpartition("/")[2]
        'roc_curve_plot.png'
    """

    def __init__(self, uri: str, data: bytes) -> None:
        self._uri = uri
        self._data = data

    @property
    def uri(self) -> str:
        """Where the run has the file."""
        return self._uri

    @property
    def data(self) -> bytes:
        """The bytes of the file."""
        return self._data

    @property
    def content(self) -> Any:
        """The content: an image of Pillow, a DataFrame, an array, text, or what a JSON file holds."""
        return _KINDS[self._suffix][1](self._data)

    @property
    def _suffix(self) -> str:
        return PurePosixPath(self._uri).suffix.lower()

    def __repr__(self) -> str:
        return f"{_KINDS[self._suffix][0]}(uri={self._uri!r})"


class EvaluationResult:
    """The metrics and artifacts of an evaluation. Made by `evaluate`.

    Example:
        >>> result = mlflow.evaluate("models:/churn/3", X.assign(won=y), targets="won", model_type="classifier",
        ...                          evaluators="classifier")
        >>> result.metrics["example_count"]
        40.0
        >>> sorted(result.artifacts)[:2]
        ['calibration_curve_plot', 'confusion_matrix']
        >>> result.to_frame().loc["example_count":"accuracy_score"].round(2)
                        value
        metric
        example_count   40.00
        accuracy_score   0.95
    """

    def __init__(
        self,
        metrics: Mapping[str, float],
        artifacts: Mapping[str, EvaluationArtifact],
        run_id: str | None = None,
        *,
        tables: Mapping[str, pd.DataFrame] | None = None,
        figures: "Mapping[str, Figure] | None" = None,
        model_id: str | None = None,
        dataset: EvaluatedDataset | None = None,
    ) -> None:
        self.metrics = dict(metrics)
        self.artifacts = dict(artifacts)
        self.run_id = run_id
        self.tables = dict(tables or {})
        self.figures = dict(figures or {})
        self.model_id = model_id
        self.dataset = dataset

    def to_frame(self) -> pd.DataFrame:
        """Return the metrics as a DataFrame with the index ``metric`` and the column ``value``, in their order."""
        index = pd.Index(list(self.metrics), name="metric")
        return pd.DataFrame({"value": list(self.metrics.values())}, index=index, dtype=float)

    def save(self, path: str | Path) -> None:
        """Write the metrics and artifacts into a directory, in MLflow's layout.

        Args:
            path: The directory, created if missing.

        Raises:
            StorageError: It cannot be written.
        """
        directory = check_local_path(path)
        listed = {
            name: {"uri": artifact.uri, "class_name": f"mlflow.models.evaluation.artifacts.{_class_of(artifact)}"}
            for name, artifact in self.artifacts.items()
        }
        try:
            (directory / "artifacts").mkdir(parents=True, exist_ok=True)
            (directory / "metrics.json").write_text(json.dumps(self.metrics))
            (directory / "artifacts_metadata.json").write_text(json.dumps(listed))
            for artifact in self.artifacts.values():
                (directory / "artifacts" / _file_name(artifact.uri)).write_bytes(artifact.data)
        except OSError as error:
            raise StorageError(f"The evaluation could not be written to {str(directory)!r}: {error}.") from error

    @classmethod
    def load(cls, path: str | Path) -> "EvaluationResult":
        """Read what `save`, ours or MLflow's, has written.

        Args:
            path: The directory.

        Returns:
            The result, without figures to change.

        Raises:
            InvalidParameterError: The directory does not hold a result.
            StorageError: A file cannot be read.
        """
        directory = check_local_path(path)
        try:
            metrics = json.loads((directory / "metrics.json").read_text())
            listed = json.loads((directory / "artifacts_metadata.json").read_text())
            artifacts = {
                name: EvaluationArtifact(
                    entry["uri"], (directory / "artifacts" / _file_name(entry["uri"])).read_bytes()
                )
                for name, entry in listed.items()
            }
            numbers = {str(name): math.nan if value is None else float(value) for name, value in metrics.items()}
        except OSError as error:
            raise StorageError(f"The evaluation in {str(directory)!r} cannot be read: {error}.") from error
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InvalidParameterError(f"{str(directory)!r} does not hold an evaluation: {error!r}.") from error
        return cls(numbers, artifacts)

    def __repr__(self) -> str:
        model = "" if self.model_id is None else f" of {self.model_id}"
        data = "" if self.dataset is None else f" on {self.dataset.name!r}"
        return f"EvaluationResult({len(self.metrics)} metrics{model}{data}, {len(self.artifacts)} artifacts)"


def _class_of(artifact: EvaluationArtifact) -> str:
    return _KINDS[PurePosixPath(artifact.uri).suffix.lower()][0]


def _file_name(uri: str) -> str:
    """Return the last part of a URI: a name without a directory, of a kind that can be read."""
    name = check_artifact_path(str(uri).rpartition("/")[2])
    if PurePosixPath(name).suffix.lower() not in _KINDS:
        raise InvalidParameterError(f"The artifact {name!r} must end with one of {', '.join(_KINDS)}.")
    return name

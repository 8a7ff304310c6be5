"""`MonitoredModel`: a loaded model that records its predictions in the background.

Guarantees: `predict` never waits for storage and never fails because of it.
"""

import weakref
from collections.abc import Mapping
from typing import Any

from registry.client import MlflowClient
from registry.entities.model_registry import ResolvedModel
from registry.exceptions import InvalidParameterError, InvalidTypeError
from registry.flavors import PyFuncModel
from registry.flavors.optional_imports import optional_import
from registry.fluent import state
from registry.fluent.models import load_function
from registry.monitoring.columns import PrivacyRules, default_rules
from registry.monitoring.recorder import Recorder
from registry.monitoring.storage import EXTRA, resolve_version
from registry.settings import current_settings


class MonitoredModel(PyFuncModel):
    """A loaded model whose calls of ``predict`` are recorded. Made by ``pyfunc.load_model(uri, monitor=True)``.

    Attributes:
        resolved_model: The version that answers, as the URI stood when the model was loaded.
        dropped: How many rows were not recorded, because too many waited or storing them failed.

    Example:
        >>> served = mlflow.pyfunc.load_model("models:/churn/Production", monitor=True)
        >>> served.predict(X).shape
        (40,)
        >>> served.flush()
        >>> served.resolved_model.version, served.dropped
        (2, 0)
    """

    def __init__(
        self,
        model: PyFuncModel,
        client: MlflowClient,
        resolved: ResolvedModel,
        *,
        share: float,
        rules: PrivacyRules,
        sample_rows: int,
    ) -> None:
        super().__init__(model._metadata, model._predictor, example=model._example, model_config=model._model_config)
        self._model = model  # its files stay as long as it lives
        self.resolved_model = resolved
        self._recorder = Recorder(client, resolved, share=share, rules=rules, sample_rows=sample_rows)
        weakref.finalize(self, self._recorder.stop)  # also at the end of the process

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Predict as `PyFuncModel.predict` does, and record the call, or a share of the calls, in the background."""
        predictions = super().predict(data, params)
        self._recorder.put(data, predictions)
        return predictions

    def flush(self) -> None:
        """Wait until the calls so far are stored. What could not be stored is counted in `dropped`."""
        self._recorder.flush()

    @property
    def dropped(self) -> int:
        """Return how many rows were not recorded."""
        return self._recorder.dropped


def load_monitored(model_uri: str, monitor: bool | float, **options: Any) -> MonitoredModel:
    """Load the version that a URI stands for now, and record what it predicts.

    Raises:
        InvalidParameterError: The URI names no version of a registered model, or the share is out of range.
        MissingDependencyError: pyarrow is not installed.
    """
    share = check_share(monitor)
    # Imported now: it is used in the background, where nobody would see that it is missing.
    optional_import("pyarrow.parquet", EXTRA)
    client = state.client()
    resolved, name, version = resolve_version(client, model_uri)
    # The version is loaded by its number: what a stage stands for may change meanwhile.
    model = load_function(f"models:/{name}/{version}", **options)
    rows = current_settings().monitoring_sample_rows
    return MonitoredModel(model, client, resolved, share=share, rules=default_rules(), sample_rows=rows)


def check_share(share: Any) -> float:
    """Return the share of the calls that a monitored model records; True leaves it to ``REGISTRY_MONITORING_SHARE``.

    Raises:
        InvalidTypeError: It is no number.
        InvalidParameterError: It is not above 0 and at most 1.
    """
    if not isinstance(share, bool | int | float):
        raise InvalidTypeError(f"monitor must be True, False or a share of the calls such as 0.1, got {share!r}.")
    if not 0 < share <= 1:
        raise InvalidParameterError(f"monitor must be a share of the calls above 0 and at most 1, got {share!r}.")
    return current_settings().monitoring_share if share is True else float(share)

"""A loaded model with its exact version, and what is known about following it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from registry.exceptions import InvalidStateError
from registry.flavors import Model, PyFuncModel
from registry.scoring.pinned import PinnedModel


class ServedModel:
    """A loaded model with its exact version; `FollowedModel.lease` lends it.

    Attributes:
        name: The registered model, or None for a logged model or a directory.
        version: The version, or None.
        model_id: The logged model, or None for a directory outside the registry.
        digest: The SHA-256 (hex) of the manifest of its files.
        location: The path or S3 location of its files.
        since: When it began to answer, in UTC.
    """

    def __init__(self, pinned: PinnedModel, model: PyFuncModel) -> None:
        self.name = pinned.name
        self.version = pinned.version
        self.model_id = pinned.model_id
        self.digest = pinned.manifest.digest
        self.since = datetime.now(UTC)
        self.location = pinned.location
        self._metadata = model.metadata
        self._model: PyFuncModel | None = model
        self._leases = 0
        self._is_retired = False

    @property
    def uri(self) -> str:
        """Return a URI that always stands for this model."""
        if self.name is not None:
            return f"models:/{self.name}/{self.version}"
        return self.location if self.model_id is None else f"models:/{self.model_id}"

    @property
    def metadata(self) -> Model:
        """Return the content of the MLmodel file."""
        return self._metadata

    @property
    def model(self) -> PyFuncModel:
        """Return the loaded model. Do not keep it longer than the lease.

        Raises:
            InvalidStateError: The lease has ended, and the model was freed.
        """
        model = self._model
        if model is None:
            raise InvalidStateError(f"{self.uri} was replaced and freed. Use it only inside `with followed.lease()`.")
        return model

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Predict with this version; see `PyFuncModel.predict`."""
        return self.model.predict(data, params)

    def __repr__(self) -> str:
        return f"<ServedModel {self.uri} {self.digest[:12]}>"


@dataclass(frozen=True, slots=True)
class FollowStatus:
    """What a followed model answers with, and what is wrong, if anything.

    Attributes:
        uri: The URI that is followed.
        is_ready: Whether a model is loaded.
        name: The registered model that answers, or None.
        version: The version that answers, or None.
        model_id: The logged model that answers, or None.
        digest: The digest of the model that answers, or None.
        since: When that model began to answer, in UTC, or None.
        checked: When the registry was last asked with success, in UTC, or None.
        check_age: Seconds since then, or None.
        error: Why the newest check or load failed; None if it did not.
        failing_since: When that began, in UTC, or None.
        failures: The number of failed attempts since then.
        swaps: How often the model was replaced by another.

    Example:
        >>> with registry.serving.follow("models:/churn/Production") as followed:
        ...     print(followed.status.version, followed.status.error)
        2 None
    """

    uri: str
    is_ready: bool = False
    name: str | None = None
    version: int | None = None
    model_id: str | None = None
    digest: str | None = None
    since: datetime | None = None
    checked: datetime | None = None
    check_age: float | None = None
    error: str | None = None
    failing_since: datetime | None = None
    failures: int = 0
    swaps: int = 0

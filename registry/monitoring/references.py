"""Reference profiles: what a model was trained on, sealed with it or set afterwards.

Given to ``log_model(reference=…)``, the profile is a file of the sealed model. `set_reference` keeps it beside: as an
artifact of a run, whose digest is evidence on the logged model. Evidence is never changed, and the newest one applies.
"""

import copy
import functools
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from registry.client import MlflowClient
from registry.entities.model_registry import ModelVersion
from registry.exceptions import IntegrityError, NotFoundError
from registry.fluent import state
from registry.monitoring.columns import PrivacyRules, default_rules
from registry.monitoring.profiles import Profile, ProfileBuilder, digest_of_file, make_profile
from registry.monitoring.storage import REFERENCE, new_run, resolve_version
from registry.settings import current_settings
from registry.validation.values import now_ms

REFERENCE_FILE: Final = "reference.parquet"
EVIDENCE_KIND: Final = "reference"


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference profile and the SHA-256 of its file."""

    profile: Profile
    sha256: str


def set_reference(
    model: str | ModelVersion,
    data: Any,
    predictions: Any = None,
    targets: Any = None,
    *,
    sample_rows: int | None = None,
    rules: PrivacyRules | None = None,
    segments: Sequence[str] = (),
    correlations: bool = False,
    client: MlflowClient | None = None,
) -> Profile:
    """Make what a model was trained on the reference of a version. It replaces an earlier one, which is kept.

    Args:
        model: The URI of a version, such as ``models:/churn/3``, or a `ModelVersion`.
        data: The inputs, as for `make_profile`, or a `Profile`.
        predictions: What the model predicts for them; without it, predictions in use cannot be checked.
        targets: The true values; with predictions, they say how good the model was.
        sample_rows: The number of rows of the sample. Default: ``REGISTRY_MONITORING_SAMPLE_ROWS``, else 5,000.
        rules: Columns to leave out or hash. Default: ``REGISTRY_MONITORING_EXCLUDE`` and ``…_HASH``.
        segments: Columns of categories whose values are looked at one by one, as for `make_profile`.
        correlations: Whether to keep the correlations of pairs of inputs, as for `make_profile`.
        client: The client of the registry. Default: that of the tracking URI.

    Returns:
        The profile.

    Raises:
        NotFoundError: The URI leads to nothing.
        InvalidParameterError: It names no version, or the data does not fit.
        MissingDependencyError: pyarrow is not installed.

    Example:
        >>> profile = mlflow.monitoring.set_reference("models:/churn/2", X, predictions=model.predict(X), targets=y)
        >>> profile.rows, profile.performance.metric
        (40, 'accuracy')
    """
    client = state.client() if client is None else client
    resolved, name, version = resolve_version(client, model)
    profile = as_profile(
        data,
        predictions,
        targets,
        sample_rows=sample_rows,
        rules=rules,
        segments=segments,
        correlations=correlations,
    )
    content = profile.to_parquet()
    tags = {"registry.monitoring.version": str(version)}
    run = new_run(client, name, REFERENCE, f"reference of version {version}", tags, now_ms())
    client.log_stream(run.info.run_id, io.BytesIO(content), REFERENCE_FILE)
    client.set_terminated(run.info.run_id)
    evidence = {"sha256": digest_of_file(content), "rows": str(profile.rows), "path": REFERENCE_FILE}
    client.log_evidence(resolved.model_id, EVIDENCE_KIND, evidence, run_id=run.info.run_id)
    return profile


def get_reference(model: str, *, client: MlflowClient | None = None) -> Profile:
    """Return the reference profile of a model.

    Args:
        model: A ``models:`` or ``runs:`` URI.
        client: The client of the registry. Default: that of the tracking URI.

    Returns:
        The profile that `set_reference` set last, else the one that was sealed with the model.

    Raises:
        NotFoundError: The URI leads to nothing, or the model has no reference.
        IntegrityError: The stored file differs from what was recorded.

    Example:
        >>> _ = mlflow.monitoring.set_reference("models:/churn/3", X)
        >>> mlflow.monitoring.get_reference("models:/churn/3").rows
        40
    """
    client = state.client() if client is None else client
    reference = find_reference(client, client.resolve(model).model_id)
    if reference is None:
        raise NotFoundError(
            f"The model {model!r} has no reference. Set one with registry.monitoring.set_reference({model!r}, data, "
            "predictions), or log the model with reference=data."
        )
    return reference.profile


def find_reference(client: MlflowClient, model_id: str) -> Reference | None:
    """Return the reference of a logged model, or None."""
    records = client.get_evidence(model_id, EVIDENCE_KIND)
    if records:
        newest = records[-1]
        return _read(client, model_id, newest.run_id, str(newest.content["path"]), str(newest.content["sha256"]))
    manifest = client.backend.logged_models.manifest(model_id)
    entry = next((entry for entry in manifest.entries if entry.path == REFERENCE_FILE), None)
    return None if entry is None else _read(client, model_id, None, entry.path, entry.sha256)


def as_profile(
    data: Any,
    predictions: Any,
    targets: Any,
    *,
    sample_rows: int | None = None,
    rules: PrivacyRules | None = None,
    segments: Sequence[str] = (),
    correlations: bool = False,
) -> Profile:
    """Return the profile of data, with the settings as defaults; a profile is returned as it is."""
    if isinstance(data, Profile):
        return data
    rows = current_settings().monitoring_sample_rows if sample_rows is None else sample_rows
    return make_profile(
        data,
        predictions,
        targets,
        sample_rows=rows,
        rules=default_rules() if rules is None else rules,
        segments=segments,
        correlations=correlations,
    )


def profile_of_training(
    features: Any, targets: Any = None, predict: Callable[[Any], Any] | None = None, *, rows_at_once: int = 50_000
) -> Profile:
    """Return the profile of what a model was trained on, with what it predicts for it.

    How good it is there is left out: on what it has learned a model looks better than it is, and every model would seem
    to decay in use. `predict` gets copies: a model may change its input.
    """
    builder = ProfileBuilder(sample_rows=current_settings().monitoring_sample_rows, rules=default_rules(), seed=0)
    rows = features.shape[0] if hasattr(features, "shape") else len(features)
    for start in range(0, rows, rows_at_once):
        part, true = (_slice(data, start, start + rows_at_once) for data in (features, targets))
        builder.add(part, None if predict is None else predict(copy.deepcopy(part)), true)
    return replace(builder.finish(), performance=None)


def _slice(data: Any, start: int, end: int) -> Any:
    return None if data is None else getattr(data, "iloc", data)[start:end]


@functools.lru_cache(maxsize=32)
def _read(client: MlflowClient, model_id: str, run_id: str | None, path: str, sha256: str) -> Reference:
    # Cached under its digest: what the digest names never changes.
    if run_id is None:
        store = client.backend.blobs(client.resolve(f"models:/{model_id}").location)
    else:
        store = client.backend.run_files(run_id)
    data = store.read(path)
    if digest_of_file(data) != sha256:
        raise IntegrityError(
            f"The reference of the model {model_id} at {store.root}/{path} differs from the one that was recorded. "
            "Restore the file, or set a new reference."
        )
    return Reference(Profile.from_parquet(data), sha256)

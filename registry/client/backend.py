"""What a client works on: one database with its stores, and the byte stores beside it.

Owns opening: which database a tracking URI means, that its schema is this code's, and that nothing there is MLflow's.
Invariant: a backend is opened once per process and place, and touches nothing before it is used.
"""

import functools
import json
from pathlib import Path

from registry.blobs import BlobStore, S3Options, close_connections, open_blob_store
from registry.client.async_logging import Entry, LogQueue, flush_all
from registry.client.ownership import ArtifactOwnership
from registry.exceptions import ForeignStoreError, UnsupportedStoreError
from registry.settings import Place, Settings, actor_of, current_settings, place_of, shown_uri
from registry.store.connections import DEFAULT_LIMITS, TimeLimits
from registry.store.engine import connect, disconnect_all
from registry.store.gc import GcStore
from registry.store.models.logged_models import LoggedModelStore
from registry.store.models.signatures import SignatureStore
from registry.store.ownership import OwnershipStore
from registry.store.registry import (
    ClockRepairStore,
    HistoryStore,
    ModelStore,
    PromotionRuleStore,
    Resolver,
    SigningStore,
    StageStore,
    VerificationStore,
    VersionStore,
)
from registry.store.schema import ensure
from registry.store.search import SearchStore
from registry.store.tracking.experiments import ExperimentStore
from registry.store.tracking.metrics.sample import SeriesStore
from registry.store.tracking.runs import RunStore
from registry.store.transfer.model_export import ModelExportStore
from registry.store.transfer.model_import import ModelImportStore
from registry.store.transfer.run_import import RunImportStore


class Backend:
    """The stores behind one place, for one actor."""

    def __init__(
        self,
        place: Place,
        actor: str,
        *,
        read_only: bool = False,
        ignore_clock: bool = False,
        limits: TimeLimits = DEFAULT_LIMITS,
    ) -> None:
        self.place = place
        self.actor = actor
        refuse_mlflow_files(place)
        self.database = connect(place.database_url, read_only=read_only, limits=limits)
        ensure(self.database)
        self.experiments = ExperimentStore(self.database)
        self.runs = RunStore(self.database)
        self.series = SeriesStore(self.database)
        self.logged_models = LoggedModelStore(self.database)
        self.log_queue = LogQueue(self.write_log)
        self.models = ModelStore(self.database, actor=actor, ignore_clock=ignore_clock)
        self.versions = VersionStore(self.database, actor=actor, ignore_clock=ignore_clock)
        self.stages = StageStore(self.database, actor=actor, ignore_clock=ignore_clock)
        self.promotion_rules = PromotionRuleStore(self.database, actor=actor, ignore_clock=ignore_clock)
        self.signing = SigningStore(self.database, actor=actor, ignore_clock=ignore_clock)
        self.clock_repair = ClockRepairStore(self.database, actor=actor)
        self.history = HistoryStore(self.database)
        self.verification = VerificationStore(self.database)
        self.model_export = ModelExportStore(self.database)
        self.model_import = ModelImportStore(self.database, actor=self.actor)
        self.run_import = RunImportStore(self.database)
        self.signatures = SignatureStore(self.database)
        self.resolver = Resolver(self.database)
        self.gc = GcStore(self.database)
        self.ownership = ArtifactOwnership(OwnershipStore(self.database), self.experiments.registry_id, self.blobs)
        self.search = SearchStore(self.database)
        if not read_only:
            self.experiments.ensure_default(artifact_root=place.artifact_root)

    def write_log(self, entry: Entry) -> None:
        """Write what was logged to a run, all or nothing."""
        self.runs.log_batch(entry.run_id, metrics=entry.metrics, params=entry.params, tags=entry.tags)

    def blobs(self, root: str) -> BlobStore:
        """The bytes below an absolute local path or an S3 prefix."""
        return open_store(root)


def open_store(root: str) -> BlobStore:
    """Return the bytes below an absolute local path or an S3 prefix, reached as the settings have it now."""
    return open_blob_store(root, s3=_s3_options(current_settings()))


def _s3_options(settings: Settings) -> S3Options:
    return S3Options(
        endpoint_url=settings.s3_endpoint_url,
        upload_extra_args=json.dumps(settings.s3_upload_extra_args, sort_keys=True),
        ignore_tls=settings.s3_ignore_tls,
        addressing_style=settings.boto_client_addressing_style,
        expected_bucket_owner=settings.s3_expected_bucket_owner,
    )


def open_backend(
    tracking_uri: str, settings: Settings, *, base: Path | None = None, read_only: bool = False
) -> Backend:
    """The backend of a tracking URI, relative to `base` (see `settings.place_of`); opened once.

    Raises:
        UnsupportedStoreError, ForeignStoreError, SchemaOutdatedError, SchemaTooNewError, UnavailableError: the place
            cannot be used; the message says why and what to do.
    """
    place = place_of(tracking_uri, settings, base)
    limits = TimeLimits(settings.connect_timeout_seconds, settings.statement_timeout_seconds)
    return _open(place, actor_of(settings), read_only, settings.ignore_clock, limits)


@functools.lru_cache(maxsize=64)
def _open(place: Place, actor: str, read_only: bool, ignore_clock: bool, limits: TimeLimits) -> Backend:
    return Backend(place, actor, read_only=read_only, ignore_clock=ignore_clock, limits=limits)


def close_all(timeout: float | None = None) -> None:
    """Write what is queued, then close every connection of this process and forget its backends.

    Raises:
        UnavailableError: the queue was not empty after `timeout` seconds; the connections are closed nevertheless.
    """
    try:
        flush_all(timeout)
    finally:
        _open.cache_clear()
        disconnect_all()
        close_connections()


def refuse_other_registry(tracking_uri: str, registry_uri: str | None) -> None:
    """Runs and models share one database.

    Raises:
        UnsupportedStoreError: a registry URI other than the tracking URI was set.
    """
    if registry_uri and registry_uri != tracking_uri:
        one, other = shown_uri(registry_uri), shown_uri(tracking_uri)
        raise UnsupportedStoreError(
            f"The registry URI {one!r} is not the tracking URI {other!r}; both share one database. "
            "Unset it with set_registry_uri(None), and copy a version to another registry with "
            "MlflowClient().copy_model_version(source, name, to=<tracking uri>)."
        )


def refuse_mlflow_files(place: Place) -> None:
    """Leave a directory alone that MLflow keeps its files in.

    Raises:
        ForeignStoreError: the place is such a directory.
    """
    if place.directory is not None and any(place.directory.glob("[0-9]*/meta.yaml")):
        raise ForeignStoreError(
            f"The directory {str(place.directory)!r} holds MLflow's file store and was left as it is. Keep this "
            "registry elsewhere, for example set_tracking_uri('file:./registry-store') or REGISTRY_TRACKING_URI."
        )

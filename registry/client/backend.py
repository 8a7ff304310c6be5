"""The stores behind a tracking URI: one database, and the byte stores beside it.

Guarantees: a backend is opened once per process and place. Opening checks the schema and refuses MLflow's own files.
"""

import functools
import json
import shlex
from collections.abc import Callable
from pathlib import Path

from registry.blobs import AdoptedBlobStore, BlobStore, S3Options, close_connections, open_blob_store
from registry.client.async_logging import Entry, LogQueue, TaskQueue, flush_all
from registry.client.ownership import ArtifactOwnership
from registry.exceptions import ForeignStoreError, UnsupportedStoreError
from registry.settings import Place, Settings, actor_of, current_settings, place_of, redacted_uri, spool_place
from registry.store.connections import DEFAULT_LIMITS, TimeLimits
from registry.store.engine import connect, disconnect_all
from registry.store.gc import GcStore
from registry.store.incidents.deliveries import DeliveryStore
from registry.store.incidents.incidents import IncidentStore
from registry.store.logged_models.evidence import EvidenceStore
from registry.store.logged_models.logged_models import LoggedModelStore
from registry.store.logged_models.signatures import SignatureStore
from registry.store.monitors.monitors import MonitorStore
from registry.store.ownership import OwnershipStore
from registry.store.registry import (
    ClockRepairStore,
    HistoryStore,
    ModelStore,
    OverviewStore,
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
from registry.store.transfer.outside_models import OutsideModelStore
from registry.store.transfer.outside_runs import OutsideRunStore
from registry.store.transfer.run_export import RunExportStore
from registry.store.transfer.run_import import RunImportStore
from registry.store.transfer.run_merge import RunMergeStore
from registry.store.transfer.run_move import RunMoveStore


class Backend:
    """The stores of one place, for one actor."""

    def __init__(
        self,
        place: Place,
        actor: str,
        *,
        read_only: bool = False,
        ignore_clock: bool = False,
        limits: TimeLimits = DEFAULT_LIMITS,
        spool_of: str | None = None,
    ) -> None:
        self.place = place
        self.actor = actor
        self.spool_of = spool_of
        refuse_mlflow_files(place)
        self.database = connect(place.database_url, read_only=read_only, limits=limits)
        ensure(self.database)
        self.experiments = ExperimentStore(self.database)
        self.runs = RunStore(self.database)
        self.series = SeriesStore(self.database)
        self.logged_models = LoggedModelStore(self.database)
        self.evidence = EvidenceStore(self.database, actor=actor)
        self.log_queue = LogQueue(self.write_log)
        self.tasks = TaskQueue()
        self.models = ModelStore(self.database, actor=actor, ignore_clock=ignore_clock)
        self.versions = VersionStore(self.database, actor=actor, ignore_clock=ignore_clock)
        self.stages = StageStore(self.database, actor=actor, ignore_clock=ignore_clock)
        self.promotion_rules = PromotionRuleStore(self.database, actor=actor, ignore_clock=ignore_clock)
        self.signing = SigningStore(self.database, actor=actor, ignore_clock=ignore_clock)
        self.clock_repair = ClockRepairStore(self.database, actor=actor)
        self.monitors = MonitorStore(self.database, actor=actor)
        self.incidents = IncidentStore(self.database, actor=actor, ignore_clock=ignore_clock)
        self.deliveries = DeliveryStore(self.database)
        self.history = HistoryStore(self.database)
        self.overview = OverviewStore(self.database)
        self.verification = VerificationStore(self.database)
        self.model_export = ModelExportStore(self.database)
        self.model_import = ModelImportStore(self.database, actor=self.actor)
        self.run_import = RunImportStore(self.database)
        self.outside_runs = OutsideRunStore(self.database)
        self.outside_models = OutsideModelStore(self.database, actor=actor, ignore_clock=ignore_clock)
        self.run_export = RunExportStore(self.database)
        self.run_merge = RunMergeStore(self.database)
        self.run_move = RunMoveStore(self.database)
        self.signatures = SignatureStore(self.database)
        self.resolver = Resolver(self.database)
        self.gc = GcStore(self.database)
        self.ownership = ArtifactOwnership(OwnershipStore(self.database), self.experiments.registry_id, self.blobs)
        self.search = SearchStore(self.database)
        if not read_only:
            self.experiments.ensure_default(artifact_root=place.artifact_root)
        if spool_of is not None:
            self._refuse_registered_models(spool_of)

    def _refuse_registered_models(self, target: str) -> None:
        """Refuse changes of registered models: their numbers and stages exist once, in the registry itself."""
        stores = (self.models, self.versions, self.stages, self.promotion_rules, self.signing, self.model_import)
        for store in (*stores, self.clock_repair, self.monitors, self.incidents, self.deliveries):
            store.refusal = (
                f"This client is offline: it logs to {str(self.place.directory)!r}, and registered models are changed "
                f"in the registry itself. Send the runs with 'registry sync {self.place.directory} --to "
                f"{redacted_uri(target)}', then repeat the call with a client of that registry."
            )

    def write_log(self, entry: Entry) -> None:
        """Write one entry of the log queue, all or nothing."""
        self.runs.log_batch(entry.run_id, metrics=entry.metrics, params=entry.params, tags=entry.tags)

    def blobs(self, root: str) -> BlobStore:
        """Open the byte store below an absolute local path or an S3 prefix."""
        return open_store(root)

    def run_files(self, run_id: str, artifact_uri: str) -> BlobStore:
        """Open the byte store of a run's files; adopted ones are checked when they are read, and never written."""
        store, adopted = self.blobs(artifact_uri), self.outside_runs.adopted(run_id)
        return store if adopted is None else AdoptedBlobStore(store, adopted)


def open_store(root: str) -> BlobStore:
    """Open the byte store below an absolute local path or an S3 prefix, with the current settings."""
    return open_blob_store(root, s3=s3_options(current_settings()))


def s3_options(settings: Settings) -> S3Options:
    """Return how the settings say that S3 is reached."""
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
    """Open the backend of a tracking URI, or return the open one; a relative path is relative to `base`.

    Raises:
        UnsupportedStoreError: The URI names no supported database.
        ForeignStoreError: MLflow's own files or tables are there.
        SchemaOutdatedError: The database must be upgraded first.
        SchemaTooNewError: A newer release wrote the database.
        UnavailableError: The database cannot be reached.
    """
    return _open_place(place_of(tracking_uri, settings, base), settings, read_only=read_only)


def open_spool(directory: Path, settings: Settings, *, spool_of: str | None = None, read_only: bool = False) -> Backend:
    """Open the backend of a spool; with `spool_of`, the tracking URI that it stands for, as an offline client does.

    Raises:
        StorageError: The directory cannot be written.
        SchemaOutdatedError: An older release wrote the spool.
    """
    return _open_place(spool_place(directory), settings, read_only=read_only, spool_of=spool_of)


def _open_place(place: Place, settings: Settings, *, read_only: bool, spool_of: str | None = None) -> Backend:
    return _open(place, actor_of(settings), read_only, settings.ignore_clock, limits_of(settings), spool_of)


def limits_of(settings: Settings) -> TimeLimits:
    """Return how long the settings let a database take."""
    return TimeLimits(
        settings.connect_timeout_seconds,
        settings.statement_timeout_seconds,
        settings.database_patience,
        settings.database_idle_seconds,
    )


@functools.lru_cache(maxsize=64)
def _open(
    place: Place, actor: str, read_only: bool, ignore_clock: bool, limits: TimeLimits, spool_of: str | None
) -> Backend:
    return Backend(place, actor, read_only=read_only, ignore_clock=ignore_clock, limits=limits, spool_of=spool_of)


before_close: list[Callable[[], None]] = []
"""What must stop before the connections of this process are closed."""


def close_all(timeout: float | None = None) -> None:
    """Write what is queued, close every connection of this process, and forget its backends.

    Raises:
        UnavailableError: The queue was not empty after `timeout` seconds; the connections are closed nevertheless.
    """
    for stop in before_close:
        stop()
    try:
        flush_all(timeout)
    finally:
        _open.cache_clear()
        disconnect_all()
        close_connections()


def refuse_other_registry(tracking_uri: str, registry_uri: str | None) -> None:
    """Raise if the registry URI differs from the tracking URI: runs and models share one database.

    Raises:
        UnsupportedStoreError: The two URIs differ.
    """
    if registry_uri and registry_uri != tracking_uri:
        shown_registry, shown_tracking = redacted_uri(registry_uri), redacted_uri(tracking_uri)
        raise UnsupportedStoreError(
            f"The registry URI {shown_registry!r} is not the tracking URI {shown_tracking!r}; both share one database. "
            "Unset it with set_registry_uri(None), and copy a version to another registry with "
            "MlflowClient().copy_model_version(source, name, to=<tracking uri>)."
        )


def refuse_mlflow_files(place: Place) -> None:
    """Raise if a directory holds MLflow's file store.

    Raises:
        ForeignStoreError: It does.
    """
    if place.directory is not None and any(place.directory.glob("[0-9]*/meta.yaml")):
        raise ForeignStoreError(
            f"The directory {str(place.directory)!r} holds MLflow's file store and was left as it is. Keep this "
            "registry elsewhere, for example set_tracking_uri('file:./registry-store') or REGISTRY_TRACKING_URI, and "
            f"import this one: registry import-mlflow {shlex.quote(str(place.directory))}."
        )

"""The stores behind a tracking URI: one database, and the byte stores beside it.

Guarantees: a backend is opened once per process and place. Opening checks the schema and refuses MLflow's own files.
"""

import functools
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from registry.blobs import AdoptedBlobStore, BlobStore, close_connections
from registry.client.async_logging import Entry, LogQueue, TaskQueue, end_all, flush_all
from registry.client.byte_stores import open_store
from registry.exceptions import ForeignStoreError, UnsupportedStoreError, disk_error
from registry.settings import Place, Settings, actor_of, place_of, redacted_uri, spool_place, sync_command
from registry.store.connections import DEFAULT_LIMITS, TimeLimits
from registry.store.engine import connect, disconnect_all
from registry.store.schema import ensure
from registry.store.tracking.experiments import ExperimentStore
from registry.store.tracking.runs import RunStore
from registry.store.transactions import Store

if TYPE_CHECKING:
    from registry.client.ownership import ArtifactOwnership
    from registry.store.gc import GcStore
    from registry.store.incidents.deliveries import DeliveryStore
    from registry.store.incidents.incidents import IncidentStore
    from registry.store.logged_models.evidence import EvidenceStore
    from registry.store.logged_models.logged_models import LoggedModelStore
    from registry.store.logged_models.signatures import SignatureStore
    from registry.store.monitors.monitors import MonitorStore
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
    from registry.store.search import SearchStore
    from registry.store.tracking.metrics.sample import SeriesStore
    from registry.store.tracking.run_read import RunFiles
    from registry.store.transfer.model_export import ModelExportStore
    from registry.store.transfer.model_import import ModelImportStore
    from registry.store.transfer.outside_models import OutsideModelStore
    from registry.store.transfer.outside_runs import OutsideRunStore
    from registry.store.transfer.run_export import RunExportStore
    from registry.store.transfer.run_import import RunImportStore
    from registry.store.transfer.run_merge import RunMergeStore
    from registry.store.transfer.run_move import RunMoveStore

T = TypeVar("T")
S = TypeVar("S", bound=Store)


class _OnFirstUse(Generic[T]):
    """An attribute that is made, and its module imported, when it is first used: most processes use a few stores.

    No cached_property: until Python 3.12 it has a lock, which a fork would copy while another thread holds it.
    """

    def __init__(self, make: "Callable[[Backend], T]") -> None:
        self._make = make

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    def __get__(self, backend: "Backend", _owner: type) -> T:
        made: T = vars(backend).setdefault(self._name, self._make(backend))
        return made


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
        self._ignore_clock = ignore_clock
        refuse_mlflow_files(place)
        self.database = connect(place.database_url, read_only=read_only, limits=limits)
        ensure(self.database)
        self.experiments = ExperimentStore(self.database)
        self.runs = RunStore(self.database)
        self.log_queue = LogQueue(self.write_log)
        self.tasks = TaskQueue()
        if not read_only:
            self.experiments.ensure_default(artifact_root=place.artifact_root)

    def _without_spool(self, store: S) -> S:
        """Refuse changes of registered models where this is a spool: they are changed once, in the registry itself."""
        if self.spool_of is not None:
            store.refusal = (
                f"This client is offline: it logs to {str(self.place.directory)!r}, and registered models are changed "
                "in the registry itself. Send the runs, then repeat the call with a client of that registry: "
                f"{sync_command(self.place.artifact_root, self.spool_of)}"
            )
        return store

    @_OnFirstUse
    def series(self) -> "SeriesStore":
        """Return the store of points of metrics, sampled."""
        from registry.store.tracking.metrics.sample import SeriesStore

        return SeriesStore(self.database)

    @_OnFirstUse
    def logged_models(self) -> "LoggedModelStore":
        """Return the store of logged models."""
        from registry.store.logged_models.logged_models import LoggedModelStore

        return LoggedModelStore(self.database)

    @_OnFirstUse
    def evidence(self) -> "EvidenceStore":
        """Return the store of evidence of models."""
        from registry.store.logged_models.evidence import EvidenceStore

        return EvidenceStore(self.database, actor=self.actor)

    @_OnFirstUse
    def models(self) -> "ModelStore":
        """Return the store of registered models."""
        from registry.store.registry import ModelStore

        return self._without_spool(ModelStore(self.database, actor=self.actor, ignore_clock=self._ignore_clock))

    @_OnFirstUse
    def versions(self) -> "VersionStore":
        """Return the store of model versions."""
        from registry.store.registry import VersionStore

        return self._without_spool(VersionStore(self.database, actor=self.actor, ignore_clock=self._ignore_clock))

    @_OnFirstUse
    def stages(self) -> "StageStore":
        """Return the store of stages and aliases."""
        from registry.store.registry import StageStore

        return self._without_spool(StageStore(self.database, actor=self.actor, ignore_clock=self._ignore_clock))

    @_OnFirstUse
    def promotion_rules(self) -> "PromotionRuleStore":
        """Return the store of promotion rules and approvals."""
        from registry.store.registry import PromotionRuleStore

        return self._without_spool(PromotionRuleStore(self.database, actor=self.actor, ignore_clock=self._ignore_clock))

    @_OnFirstUse
    def signing(self) -> "SigningStore":
        """Return the store of signatures of who vouches for a model."""
        from registry.store.registry import SigningStore

        return self._without_spool(SigningStore(self.database, actor=self.actor, ignore_clock=self._ignore_clock))

    @_OnFirstUse
    def clock_repair(self) -> "ClockRepairStore":
        """Return the store of the repair of clocks."""
        from registry.store.registry import ClockRepairStore

        return self._without_spool(ClockRepairStore(self.database, actor=self.actor))

    @_OnFirstUse
    def monitors(self) -> "MonitorStore":
        """Return the store of monitors."""
        from registry.store.monitors.monitors import MonitorStore

        return self._without_spool(MonitorStore(self.database, actor=self.actor))

    @_OnFirstUse
    def incidents(self) -> "IncidentStore":
        """Return the store of incidents."""
        from registry.store.incidents.incidents import IncidentStore

        return self._without_spool(IncidentStore(self.database, actor=self.actor, ignore_clock=self._ignore_clock))

    @_OnFirstUse
    def deliveries(self) -> "DeliveryStore":
        """Return the store of triggers' deliveries."""
        from registry.store.incidents.deliveries import DeliveryStore

        return self._without_spool(DeliveryStore(self.database))

    @_OnFirstUse
    def history(self) -> "HistoryStore":
        """Return the store of history."""
        from registry.store.registry import HistoryStore

        return HistoryStore(self.database)

    @_OnFirstUse
    def overview(self) -> "OverviewStore":
        """Return the store of what pages show."""
        from registry.store.registry import OverviewStore

        return OverviewStore(self.database)

    @_OnFirstUse
    def verification(self) -> "VerificationStore":
        """Return the store of the verification of histories."""
        from registry.store.registry import VerificationStore

        return VerificationStore(self.database)

    @_OnFirstUse
    def model_export(self) -> "ModelExportStore":
        """Return the store of exports of models."""
        from registry.store.transfer.model_export import ModelExportStore

        return ModelExportStore(self.database)

    @_OnFirstUse
    def model_import(self) -> "ModelImportStore":
        """Return the store of imports of models."""
        from registry.store.transfer.model_import import ModelImportStore

        return self._without_spool(ModelImportStore(self.database, actor=self.actor))

    @_OnFirstUse
    def run_import(self) -> "RunImportStore":
        """Return the store of imported runs."""
        from registry.store.transfer.run_import import RunImportStore

        return RunImportStore(self.database)

    @_OnFirstUse
    def outside_runs(self) -> "OutsideRunStore":
        """Return the store of runs whose files lie elsewhere."""
        from registry.store.transfer.outside_runs import OutsideRunStore

        return OutsideRunStore(self.database)

    @_OnFirstUse
    def outside_models(self) -> "OutsideModelStore":
        """Return the store of models whose files lie elsewhere."""
        from registry.store.transfer.outside_models import OutsideModelStore

        return OutsideModelStore(self.database, actor=self.actor, ignore_clock=self._ignore_clock)

    @_OnFirstUse
    def run_export(self) -> "RunExportStore":
        """Return the store of exported runs."""
        from registry.store.transfer.run_export import RunExportStore

        return RunExportStore(self.database)

    @_OnFirstUse
    def run_merge(self) -> "RunMergeStore":
        """Return the store of copied runs."""
        from registry.store.transfer.run_merge import RunMergeStore

        return RunMergeStore(self.database)

    @_OnFirstUse
    def run_move(self) -> "RunMoveStore":
        """Return the store of moved runs."""
        from registry.store.transfer.run_move import RunMoveStore

        return RunMoveStore(self.database)

    @_OnFirstUse
    def signatures(self) -> "SignatureStore":
        """Return the store of models' signatures."""
        from registry.store.logged_models.signatures import SignatureStore

        return SignatureStore(self.database)

    @_OnFirstUse
    def resolver(self) -> "Resolver":
        """Return the store of what a URI stands for."""
        from registry.store.registry import Resolver

        return Resolver(self.database)

    @_OnFirstUse
    def gc(self) -> "GcStore":
        """Return the store of garbage collection."""
        from registry.store.gc import GcStore

        return GcStore(self.database)

    @_OnFirstUse
    def search(self) -> "SearchStore":
        """Return the store of searches."""
        from registry.store.search import SearchStore

        return SearchStore(self.database)

    @_OnFirstUse
    def ownership(self) -> "ArtifactOwnership":
        """Return who owns the roots of artifacts."""
        from registry.client.ownership import ArtifactOwnership
        from registry.store.ownership import OwnershipStore

        return ArtifactOwnership(OwnershipStore(self.database), self.experiments.registry_id, self.blobs)

    def write_log(self, entry: Entry) -> None:
        """Write one entry of the log queue, all or nothing."""
        self.runs.log_batch(entry.run_id, metrics=entry.metrics, params=entry.params, tags=entry.tags)

    def blobs(self, root: str) -> BlobStore:
        """Open the byte store below an absolute local path or an S3 prefix."""
        return open_store(root)

    def run_files(self, run_id: str) -> BlobStore:
        """Open the byte store of a run's files; adopted ones are checked when they are read, and never written.

        Raises:
            RunNotFoundError: There is no such run.
        """
        return self.files_at(self.runs.files(run_id))

    def files_at(self, place: "RunFiles") -> BlobStore:
        """Open the byte store of the files of a run that was read."""
        store = self.blobs(place.artifact_uri)
        return store if place.adopted is None else AdoptedBlobStore(store, place.adopted)


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
    if not read_only:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise disk_error(
                f"The spool {str(directory)!r} cannot be created: {error.strerror}. Choose another directory with "
                "REGISTRY_SPOOL_DIR.",
                error,
            ) from None
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
        end_all()
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

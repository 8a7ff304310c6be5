"""Read the tables of MLflow 1.0 to 3.x in SQLite, PostgreSQL and MySQL; columns that a version lacks count as empty.

Guarantees: nothing is written to the source. An SQLite file is copied first, so that MLflow can go on writing to it;
a server is read in one read-only transaction.
"""

import contextlib
import itertools
import math
import shutil
import sqlite3
import tempfile
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Column, Connection, MetaData, Table, create_engine, func, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from registry.entities.portable_model import PortableInput, PortableMetric, PortableRun
from registry.exceptions import InvalidStateError, MissingDependencyError, UnavailableError, UnsupportedStoreError
from registry.mlflow_bridge.files import FilePlaces
from registry.mlflow_bridge.source import (
    EXPERIMENT_TAG,
    MLFLOW,
    Files,
    SourceExperiment,
    SourceLoggedModel,
    SourceModel,
    SourceModelMetric,
    SourceRun,
    SourceVersion,
    model_id_in,
)
from registry.package_name import install_command
from registry.settings import redacted_uri
from registry.store.transfer.outside_runs import Series

_BATCH: Final = 200
_STATUS_OF_MODEL: Final = {1: "PENDING", 2: "READY", 3: "FAILED"}
_SOURCE_TAGS: Final = {
    "source_name": "mlflow.source.name",
    "source_type": "mlflow.source.type",
    "entry_point_name": "mlflow.project.entryPoint",
    "source_version": "mlflow.source.git.commit",
}
_DEFAULT_WORKSPACE: Final = "default"
_WORKSPACES: Final = frozenset({None, _DEFAULT_WORKSPACE})
"""The workspaces that are read: before MLflow 3.10 there are none."""
_DRIVERS: Final = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql"}
_START: Final = {
    "postgresql": ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",),
    "mysql": (
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    ),
}

Row = Mapping[str, Any]


class DatabaseSource:
    """The tables of an MLflow database."""

    system = MLFLOW
    origin_tag = EXPERIMENT_TAG

    def __init__(self, uri: str, places: Callable[[Path], FilePlaces]) -> None:
        self._uri = uri
        self._closing = contextlib.ExitStack()
        try:
            url = _parse(uri)
            if url.get_backend_name() == "sqlite":
                path = Path(url.database or "").absolute()
                self._places = places(path.parent)
                url = URL.create("sqlite", database=str(self._copy(path)))
            else:
                self._places = places(Path.cwd())
            with self._errors():
                self._connection = self._connect(url)
                self._tables = _Tables(self._connection)
        except BaseException:
            self._closing.close()
            raise
        if not {"experiments", "runs", "metrics", "params", "tags"} <= self._tables.names:
            self.close()
            raise InvalidStateError(f"The database {self.uri} has no tables of MLflow's. Check the URI.")

    @property
    def uri(self) -> str:
        """Return the URI of the database, without its password."""
        return redacted_uri(self._uri)

    def remarks(self) -> list[str]:
        """Return an empty list: all is kept as it is."""
        return []

    def close(self) -> None:
        """Close the connection and remove the copy of an SQLite file."""
        self._closing.close()

    def experiments(self) -> list[SourceExperiment]:
        """Return all experiments, deleted ones too."""
        tags = self._pairs("experiment_tags", "experiment_id")
        return [
            SourceExperiment(
                str(row["experiment_id"]),
                row["name"],
                row["artifact_location"] or "",
                row["lifecycle_stage"] == "deleted",
                tags[row["experiment_id"]],
            )
            for row in self._rows("experiments", order="experiment_id")
            if row["workspace"] in _WORKSPACES
        ]

    def left_out(self) -> list[str]:
        """Return what is not read: workspaces other than the default one, whose names may be the same."""
        tables = [self._rows(name) for name in ("experiments", "registered_models")]
        others = sorted({row["workspace"] for rows in tables for row in rows} - _WORKSPACES)
        return [f"The workspace {name!r} was not imported; import it from the running server." for name in others]

    def run_count(self) -> int:
        """Return the number of runs."""
        return self.count("runs")

    def count(self, table: str) -> int:
        """Return the number of rows of a table; 0 if this version has none of that name."""
        if table not in self._tables.names:
            return 0
        with self._errors():
            query = select(func.count()).select_from(self._tables[table])
            return int(self._connection.execute(query).scalar_one())

    def runs(self, experiment: SourceExperiment, *, deleted: bool) -> Iterator[list[SourceRun]]:
        """Yield the runs of an experiment in batches."""
        rows = self._rows("runs", experiment_id=int(experiment.experiment_id), order="run_uuid")
        kept = [row for row in rows if deleted or row["lifecycle_stage"] != "deleted"]
        for start in range(0, len(kept), _BATCH):
            batch = kept[start : start + _BATCH]
            ids = [row["run_uuid"] for row in batch]
            params = self._pairs("params", "run_uuid", ids)
            tags = self._pairs("tags", "run_uuid", ids)
            inputs = self._inputs(ids)
            used, made = self._run_models(ids)
            yield [
                SourceRun(
                    _run(row, experiment.name, params[row["run_uuid"]], tags[row["run_uuid"]], inputs[row["run_uuid"]]),
                    row["artifact_uri"] or "",
                    row["lifecycle_stage"] == "deleted",
                    used[row["run_uuid"]],
                    made[row["run_uuid"]],
                )
                for row in batch
            ]

    def series(self, run_ids: Sequence[str]) -> Iterator[tuple[str, list[Series]]]:
        """Yield the metric histories of runs, in one pass over the table."""
        metrics = self._tables["metrics"]
        columns = metrics.c
        is_nan = columns.get("is_nan")
        query = select(
            columns.run_uuid,
            columns.key,
            columns.step if "step" in columns else text("0 AS step"),
            columns.timestamp,
            columns.value,
            *([] if is_nan is None else [is_nan]),
        ).where(columns.run_uuid.in_(run_ids))
        order = [columns.run_uuid, columns.key, columns.timestamp]
        with self._errors():
            rows = self._connection.execution_options(yield_per=20_000).execute(query.order_by(*order))
            for run_id, points in itertools.groupby(rows, key=lambda row: row[0]):
                yield str(run_id), _series(points)

    def logged_models(self, experiment: SourceExperiment, *, deleted: bool) -> Iterator[SourceLoggedModel]:
        """Yield the logged models of an experiment; none before MLflow 3."""
        if "logged_models" not in self._tables.names:
            return
        for row in self._rows("logged_models", experiment_id=int(experiment.experiment_id), order="model_id"):
            is_deleted = row["lifecycle_stage"] == "deleted"
            if is_deleted and not deleted:
                continue
            model_id = row["model_id"]
            yield SourceLoggedModel(
                model_id=model_id,
                experiment_id=experiment.experiment_id,
                name=row["name"],
                artifact_location=row["artifact_location"],
                status=_STATUS_OF_MODEL.get(int(row["status"]), "FAILED"),
                run_id=row["source_run_id"],
                model_type=row["model_type"] or None,
                status_message=row["status_message"],
                creation_time=row["creation_timestamp_ms"],
                is_deleted=is_deleted,
                params=self._pairs("logged_model_params", "model_id", [model_id], "param_key", "param_value")[model_id],
                tags=self._pairs("logged_model_tags", "model_id", [model_id], "tag_key", "tag_value")[model_id],
                metrics=[_model_metric(metric) for metric in self._rows("logged_model_metrics", model_id=model_id)],
            )

    def registered_models(self) -> Iterator[SourceModel]:
        """Yield the registered models, sorted by name; none before MLflow 1.4."""
        if "registered_models" not in self._tables.names:
            return
        tags = self._pairs("registered_model_tags", "name")
        aliases: dict[str, dict[str, int]] = defaultdict(dict)
        for row in self._rows("registered_model_aliases"):
            if row["workspace"] not in _WORKSPACES:
                continue
            aliases[row["name"]][row["alias"]] = int(row["version"])
        version_tags: dict[tuple[str, int], dict[str, str]] = defaultdict(dict)
        for row in self._rows("model_version_tags"):
            if row["workspace"] not in _WORKSPACES:
                continue
            version_tags[row["name"], int(row["version"])][row["key"]] = row["value"] or ""
        of_workspace = {} if "workspaces" not in self._tables.names else {"workspace": _DEFAULT_WORKSPACE}
        for row in self._rows("registered_models", order="name", **of_workspace):
            name = row["name"]
            yield SourceModel(
                name=name,
                versions=[
                    _version(version, version_tags[name, int(version["version"])])
                    for version in self._rows("model_versions", name=name, order="version", **of_workspace)
                ],
                description=row["description"] or None,
                creation_time=row["creation_time"],
                tags=tags[name],
                aliases=aliases[name],
            )

    def run_files(self, run: SourceRun) -> Files:
        """Return the files of a run."""
        return self._places.open(run.artifact_uri)

    def files(self, location: str, *, run_id: str | None = None, model_id: str | None = None) -> Files:
        """Return the files at a location."""
        del run_id, model_id
        return self._places.open(location)

    def _copy(self, path: Path) -> Path:
        """Copy an SQLite file as it is at one moment, whoever writes to it, and index it by run."""
        if not path.is_file():
            raise InvalidStateError(f"There is no SQLite file {str(path)!r}. Check the path in sqlite:///PATH.")
        directory = Path(tempfile.mkdtemp(prefix="registry-import-"))
        self._closing.callback(shutil.rmtree, directory, ignore_errors=True)
        target = directory / "mlflow.db"
        try:
            with (
                contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=60)) as source,
                contextlib.closing(sqlite3.connect(target)) as copy,
            ):
                source.backup(copy)
                copy.execute("PRAGMA synchronous=OFF")
                tables = {row[0] for row in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
                for table in sorted(tables & {"metrics", "params", "tags"}):
                    copy.execute(f"CREATE INDEX registry_import_{table} ON {table} (run_uuid)")
                copy.commit()
        except sqlite3.Error as error:
            raise UnavailableError(f"The SQLite file {str(path)!r} cannot be read: {error}.") from None
        return target

    def _connect(self, url: URL) -> Connection:
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        self._closing.callback(engine.dispose)
        connection = self._closing.enter_context(engine.connect())
        for statement in _START.get(connection.dialect.name.replace("mariadb", "mysql"), ()):
            connection.exec_driver_sql(statement)
        return connection

    def _rows(self, table: str, *, order: str | None = None, **equal: Any) -> list[Row]:
        """Return the rows of a table with these values, as mappings in which missing columns are None."""
        if table not in self._tables.names:
            return []
        columns = self._tables[table].c
        query = select(self._tables[table]).where(*(columns[name] == value for name, value in equal.items()))
        if order is not None:
            query = query.order_by(columns[order])
        return self._fetch(query)

    def _fetch(self, query: Any) -> list[Row]:
        with self._errors():
            return [defaultdict(_nothing, row._mapping) for row in self._connection.execute(query)]

    def _pairs(
        self, table: str, owner: str, owners: Sequence[Any] | None = None, key: str = "key", value: str = "value"
    ) -> dict[Any, dict[str, str]]:
        """Return the keys and values of a table by the row that they belong to; None means of all rows."""
        pairs: dict[Any, dict[str, str]] = defaultdict(dict)
        if table in self._tables.names:
            columns = self._tables[table].c
            query = select(columns[owner], columns[key], columns[value])
            if "workspace" in columns:
                query = query.where(columns.workspace == _DEFAULT_WORKSPACE)
            with self._errors():
                if owners is not None:
                    query = query.where(columns[owner].in_(owners))
                for of, name, content in self._connection.execute(query):
                    pairs[of][name] = content or ""
        return pairs

    def _inputs(self, run_ids: Sequence[str]) -> dict[str, list[PortableInput]]:
        """Return the data sets that runs used; none before MLflow 2.4."""
        found: dict[str, list[PortableInput]] = defaultdict(list)
        if not {"inputs", "datasets"} <= self._tables.names:
            return found
        use, data = self._tables["inputs"].c, self._tables["datasets"].c
        query = (
            select(use.input_uuid, use.destination_id, *data)
            .where(use.destination_id.in_(run_ids), use.source_type == "DATASET", use.source_id == data.dataset_uuid)
            .order_by(use.destination_id, use.input_uuid)
        )
        rows = self._fetch(query)
        tags = self._pairs("input_tags", "input_uuid", [row["input_uuid"] for row in rows], "name")
        for row in rows:
            found[row["destination_id"]].append(
                PortableInput(
                    row["name"],
                    row["digest"],
                    row["dataset_source_type"],
                    row["dataset_source"],
                    row["dataset_schema"],
                    row["dataset_profile"],
                    tags[row["input_uuid"]],
                )
            )
        return found

    def _run_models(
        self, run_ids: Sequence[str]
    ) -> tuple[dict[str, list[tuple[str, int]]], dict[str, list[tuple[str, int]]]]:
        """Return the logged models that runs used and made, as (id, step)."""
        used: dict[str, list[tuple[str, int]]] = defaultdict(list)
        made: dict[str, list[tuple[str, int]]] = defaultdict(list)
        if "logged_models" in self._tables.names:
            use = self._tables["inputs"].c
            kinds = {"RUN_INPUT": used, "RUN_OUTPUT": made}
            query = select(use.source_type, use.source_id, use.destination_id, use.step)
            for row in self._fetch(query.where(use.source_type.in_(list(kinds)), use.source_id.in_(run_ids))):
                kinds[row["source_type"]][row["source_id"]].append((row["destination_id"], int(row["step"] or 0)))
        return used, made

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Convert SQLAlchemy's errors to one of ours, without SQL or passwords."""
        try:
            yield
        except ModuleNotFoundError as error:
            extra = "mysql" if error.name == "pymysql" else "postgres"
            raise MissingDependencyError(
                f"Reading {self.uri} needs the package {error.name}. Install it: {install_command(extra)}"
            ) from None
        except SQLAlchemyError as error:
            cause = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise UnavailableError(f"The database {self.uri} cannot be read: {redacted_uri(cause)}") from None


class _Tables(dict[str, Table]):
    """The tables that an MLflow database has, by name, with the columns of its version."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._inspector = inspect(connection)
        self.names = set(self._inspector.get_table_names())
        self._metadata = MetaData()

    def __missing__(self, name: str) -> Table:
        columns = [Column(column["name"], column["type"]) for column in self._inspector.get_columns(name)]
        self[name] = Table(name, self._metadata, *columns)
        return self[name]


def _parse(uri: str) -> URL:
    try:
        url = make_url(uri)
    except (ArgumentError, ValueError):
        raise UnsupportedStoreError(f"{redacted_uri(uri)!r} is not the URL of a database.") from None
    backend = "postgresql" if url.drivername == "postgres" else url.get_backend_name()
    if backend not in ("sqlite", *_DRIVERS):
        raise UnsupportedStoreError(f"A {backend!r} database cannot be read. Import from the running MLflow server.")
    return url.set(drivername=_DRIVERS[backend]) if backend in _DRIVERS else url


def _nothing() -> None:
    return None


def _series(rows: Iterable[Any]) -> list[Series]:
    """Return the series of one run. Keys that differ in case may alternate: MySQL sorts them as equal."""
    found: dict[str, Series] = {}
    for _, key, step, timestamp, value, *is_nan in rows:
        if key not in found:
            found[key] = Series(key, array("q"), array("q"), array("d"))
        series: Any = found[key]
        series.steps.append(int(step))
        series.timestamps.append(int(timestamp))
        series.values.append(math.nan if is_nan and is_nan[0] else float(value))
    return list(found.values())


def _run(
    row: Row, experiment: str, params: dict[str, str], tags: dict[str, str], inputs: list[PortableInput]
) -> PortableRun:
    for column, tag in _SOURCE_TAGS.items():
        # The columns of MLflow before 0.9; since then they are tags.
        if row[column] and row[column] != "UNKNOWN":
            tags.setdefault(tag, row[column])
    return PortableRun(
        run_id=row["run_uuid"],
        experiment=experiment,
        name=tags.get("mlflow.runName") or row["name"] or row["run_uuid"][:8],
        user_id=row["user_id"] or tags.get("mlflow.user") or "",
        status=row["status"],
        start_time=int(row["start_time"] or 0),
        end_time=None if row["end_time"] is None else int(row["end_time"]),
        params=params,
        tags=tags,
        inputs=inputs,
    )


def _model_metric(row: Row) -> SourceModelMetric:
    value = float("nan") if row["metric_value"] is None else float(row["metric_value"])
    point = PortableMetric(
        row["metric_name"],
        int(row["metric_step"]),
        int(row["metric_timestamp_ms"]),
        repr(value),
        row["dataset_name"],
        row["dataset_digest"],
    )
    return SourceModelMetric(point, row["run_id"])


def _version(row: Row, tags: Mapping[str, str]) -> SourceVersion:
    location = row["storage_location"] or row["source"] or ""
    return SourceVersion(
        version=int(row["version"]),
        source=row["source"] or "",
        location=location,
        stage=row["current_stage"] or "None",
        run_id=row["run_id"] or None,
        run_link=row["run_link"] or None,
        model_id=model_id_in(location),
        user_id=row["user_id"] or None,
        status=row["status"],
        description=row["description"] or None,
        creation_time=row["creation_time"],
        tags=tags,
    )

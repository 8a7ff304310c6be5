"""Read what trackio wrote: one SQLite file per project, and a directory of media beside it.

Guarantees: nothing is written to the source; each file is copied first, so that trackio can go on writing to it.
"""

import contextlib
import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from registry.entities.portable_model import PortableRun
from registry.exceptions import InvalidStateError, UnavailableError
from registry.mlflow_bridge.flat_values import Histories, params_of, too_long
from registry.mlflow_bridge.runs_only import RunsOnlySource
from registry.mlflow_bridge.source import Files, SourceExperiment, SourceRun

_RUN_ID: Final = re.compile(r"[0-9a-f]{32}")


class TrackioSource(RunsOnlySource):
    """Projects of trackio: an SQLite file, or a directory of them; each is an experiment."""

    system = "trackio"
    origin_tag = "trackio.project"

    def __init__(self, path: Path) -> None:
        super().__init__()
        paths = [path] if path.is_file() else sorted(path.glob("*.db"))
        if not paths:
            raise InvalidStateError(
                f"There is no project of trackio's at {str(path)!r}. Give its directory, such as "
                "~/.cache/huggingface/trackio, or one of the *.db files in it."
            )
        self._path = path.absolute()
        self._media = paths[0].absolute().parent / "media"
        self._names: dict[str, tuple[str, str, str]] = {}
        try:
            self._projects = {one.stem: self._open(one) for one in paths}
        except BaseException:
            self.closing.close()
            raise

    def _open(self, path: Path) -> sqlite3.Connection:
        """Copy a file as it is at one moment, and open the copy."""
        copy = sqlite3.connect(self.make_directory() / "trackio.db")
        self.closing.callback(copy.close)
        uri = f"{path.absolute().as_uri()}?mode=ro"
        try:
            with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=60)) as source:
                source.backup(copy)
            columns = {row[1] for row in copy.execute("PRAGMA table_info(metrics)")}
        except sqlite3.Error as error:
            raise UnavailableError(f"The SQLite file {str(path)!r} cannot be read: {error}.") from None
        if not {"timestamp", "run_name", "step", "metrics"} <= columns:
            raise InvalidStateError(f"The SQLite file {str(path)!r} has no table of trackio's.")
        copy.row_factory = sqlite3.Row
        return copy

    @property
    def uri(self) -> str:
        """Return the path of the file or directory."""
        return str(self._path)

    def experiments(self) -> list[SourceExperiment]:
        """Return the projects, by the names of their files."""
        return [SourceExperiment(project, project, "") for project in self._projects]

    def run_count(self) -> int:
        """Return 0: the runs are counted as they come."""
        return 0

    def runs(self, experiment: SourceExperiment, *, deleted: bool) -> Iterator[list[SourceRun]]:  # noqa: ARG002 - none is deleted
        """Yield the runs of a project, one at a time."""
        connection = self._projects[experiment.experiment_id]
        names: dict[str, str] = {}
        with self._noting(f"The project {experiment.name!r}"):
            names |= {
                _key(row): row["run_name"] for table in ("configs", "metrics") for row in _runs(connection, table)
            }
        for key, name in names.items():
            with self._noting(f"The run {name!r} of {experiment.name!r}"):
                config = next((_parse(row["config"]) for row in _rows(connection, "configs", key)), {})
                yield [self._source_run(experiment.name, key, name, config, connection)]

    def _source_run(
        self, project: str, key: str, name: str, config: dict[str, Any], connection: sqlite3.Connection
    ) -> SourceRun:
        run_id = (
            key if _RUN_ID.fullmatch(key) else hashlib.sha256(f"trackio\0{project}\0{key}".encode()).hexdigest()[:32]
        )
        histories, times = Histories(), []
        for row in _rows(connection, "metrics", key):
            times.append(_milliseconds(row["timestamp"]))
            histories.add_row(_parse(row["metrics"]), row["step"], times[-1])
        for number, row in enumerate(_rows(connection, "system_metrics", key)):
            values = {f"system/{name}": value for name, value in _parse(row["metrics"]).items()}
            histories.add_row(values, number, _milliseconds(row["timestamp"]), moves_step=False)
        self.left_values += histories.left_out
        self.series_of_runs[run_id] = histories.series()
        self._names[run_id] = (project, name, key)
        created = config.get("_Created")
        params = params_of({key: value for key, value in config.items() if not key.startswith("_")})
        tags = {"trackio.project": project, "trackio.run_name": name}
        if group := config.get("_Group"):
            tags["trackio.group"] = str(group)
        self.problems += too_long(f"the run {name!r}", params, tags)
        start = _milliseconds(created) if created else min(times, default=0)
        portable = PortableRun(
            run_id=run_id,
            experiment=project,
            name=name,
            user_id=str(config.get("_Username") or ""),
            status="FINISHED",
            start_time=start,
            end_time=max(times, default=start),
            params=params,
            tags=tags,
        )
        return SourceRun(portable, str(self._media / project / name))

    @contextlib.contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        """Note what cannot be read, and go on."""
        try:
            yield
        except (sqlite3.Error, ValueError, TypeError, OverflowError, RecursionError) as error:
            self.problems.append(f"{what} was left out, as a row cannot be read: {error}")

    def run_files(self, run: SourceRun) -> Files:
        """Return the media of a run."""
        project, name, key = self._names[run.run.run_id]
        of_project = self._media / project
        return self.open_directory(of_project / key if (of_project / key).is_dir() else of_project / name)

    def remarks(self) -> list[str]:
        """Return what trackio does not keep, or keeps that is no metric here."""
        told = "trackio records no ends of runs; they are FINISHED here at the time of their last values."
        return [told, *super().remarks()]


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {row["name"] for row in connection.execute(f"PRAGMA table_info({table})")}


def _runs(connection: sqlite3.Connection, table: str) -> list[sqlite3.Row]:
    """Return the runs that a table names; before version 0.20 a run is known by its name alone."""
    columns = _columns(connection, table)
    if not columns:
        return []
    key = "run_id" if "run_id" in columns else "run_name"
    query = f"SELECT {key} AS run, run_name FROM {table} GROUP BY {key} ORDER BY min(id)"  # noqa: S608 - fixed names
    return connection.execute(query).fetchall()


def _rows(connection: sqlite3.Connection, table: str, run: str | None = None) -> Iterator[sqlite3.Row]:
    columns = _columns(connection, table)
    if not columns:
        return
    key = "run_id" if "run_id" in columns else "run_name"
    where = "" if run is None else f"WHERE {key} = ?"
    query = f"SELECT {key} AS run, * FROM {table} {where} ORDER BY id"  # noqa: S608 - fixed names
    yield from connection.execute(query, () if run is None else (run,))


def _key(row: sqlite3.Row) -> str:
    return str(row["run"])


def _parse(document: bytes | str) -> dict[str, Any]:
    parsed = json.loads(document)
    return parsed if isinstance(parsed, dict) else {}


def _milliseconds(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)

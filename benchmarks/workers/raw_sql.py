"""The baseline in SQL: the rows that `registry` writes and reads, by hand-written SQL through the driver alone.

Nothing is validated and nothing is general. Each call commits, as durably as the others. It works in the database of
`registry`, after `registry` has created it.
"""

import hashlib
import sqlite3
import time
import uuid
from typing import Any

from timing import timed
from tracking import METRICS, PARAMS

_TAGS = ("mlflow.runName", "mlflow.source.name", "mlflow.source.type", "mlflow.user")
_LATEST = """
    INSERT INTO latest_metrics AS old (run_id, experiment_id, key, step, timestamp, value) VALUES (?, 0, ?, ?, ?, ?)
    ON CONFLICT (run_id, key) DO UPDATE
    SET step = excluded.step, timestamp = excluded.timestamp, value = excluded.value
    WHERE (excluded.step, excluded.timestamp, excluded.value) >= (old.step, old.timestamp, old.value)
"""
_POINT = "INSERT INTO metrics (series_id, step, timestamp, value) VALUES (?, ?, ?, ?)"
_SEARCH = """
    SELECT runs.* FROM latest_metrics AS ranked JOIN runs ON runs.id = ranked.run_id
    JOIN latest_metrics AS m0 ON m0.run_id = runs.id AND m0.key = 'm0' AND m0.value > 0.5
    JOIN params AS p0 ON p0.run_id = runs.id AND p0.key = 'p0' AND p0.value = '3'
    WHERE ranked.experiment_id = ? AND ranked.key = 'm1' AND runs.lifecycle_stage = 'active'
    ORDER BY ranked.value DESC, runs.start_time DESC, runs.run_id LIMIT 6
"""  # five, and one more to know whether there is a next page
_NEWEST = """
    SELECT * FROM runs WHERE experiment_id = ? AND lifecycle_stage = 'active'
    ORDER BY start_time DESC, run_id LIMIT ?
"""
_RESOLVE = """
    SELECT version.version, logged.model_id, logged.digest, experiments.artifact_location, logged.location
    FROM registered_models AS model
    JOIN model_versions AS version ON version.model_id = model.id AND version.current_stage = 'Production'
    JOIN logged_models AS logged ON logged.id = version.logged_model_id
    JOIN experiments ON experiments.id = logged.experiment_id
    WHERE model.name = ? AND model.deleted_time IS NULL
"""
_EVENT = """
    INSERT INTO history (id, model_id, seq, kind, version, from_value, to_value, actor, time_us, hash)
    VALUES (?, ?, ?, ?, ?, ?, ?, 'raw', ?, ?)
"""


class RawSql:
    """One connection; the methods are the works."""

    def __init__(self, url: str) -> None:
        self._sqlite = url.startswith("sqlite")
        if self._sqlite:
            self._connection: Any = sqlite3.connect(url.removeprefix("sqlite:///").partition("?")[0])
            self._connection.isolation_level = None
            for pragma in ("synchronous=FULL", "foreign_keys=ON"):
                self._connection.execute(f"PRAGMA {pragma}")
        else:
            import psycopg

            self._connection = psycopg.connect(url)

    def run(self, count: int) -> float:
        """Write a run in four transactions, as many as `registry` makes calls."""

        def one(_: int) -> None:
            self._begin()
            key = self._new_run()
            self._many("INSERT INTO tags (run_id, key, value) VALUES (?, ?, ?)", [(key, tag, "x") for tag in _TAGS])
            self._commit()
            self._begin()
            rows = [(key, name, str(value)) for name, value in PARAMS.items()]
            self._many("INSERT INTO params (run_id, key, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", rows)
            self._commit()
            now = _now()
            self._begin()
            self._many(_LATEST, [(key, name, 0, now, value) for name, value in METRICS.items()])
            series = dict(self._rows("SELECT key, id FROM latest_metrics WHERE run_id = ?", key))
            self._many(_POINT, [(series[name], 0, now, value) for name, value in METRICS.items()])
            self._commit()
            self._begin()
            self._execute("UPDATE runs SET status = 'FINISHED', end_time = ? WHERE id = ?", _now(), key)
            self._commit()

        return timed(count, one)

    def log_metric(self, count: int) -> float:
        """Write one point and its latest value per commit."""
        self._begin()
        key = self._new_run()
        self._commit()

        def one(number: int) -> None:
            now = _now()
            self._begin()
            ((series,),) = self._rows(f"{_LATEST} RETURNING id", key, "loss", number, now, number / 3)
            self._execute(_POINT, series, number, now, number / 3)
            self._commit()

        return timed(count, one)

    def log_batch(self, count: int) -> float:
        """Write 1,000 points of ten series per commit."""
        self._begin()
        key = self._new_run()
        self._commit()

        def one(call: int) -> None:
            now = _now()
            self._begin()
            last = 1000 * (call + 1) - 10
            self._many(_LATEST, [(key, f"m{n}", last + n, now, (last + n) / 3) for n in range(10)])
            series = dict(self._rows("SELECT key, id FROM latest_metrics WHERE run_id = ?", key))
            points = [(series[f"m{n % 10}"], n, now, n / 3) for n in range(1000 * call, 1000 * (call + 1))]
            if self._sqlite:
                self._many(_POINT, points)
            else:
                with self._connection.cursor().copy(
                    "COPY metrics (series_id, step, timestamp, value) FROM STDIN"
                ) as copy:
                    for point in points:
                        copy.write_row(point)
            self._commit()

        return timed(count, one)

    def search(self, count: int, experiment: str) -> float:
        """Find the best five runs, with everything logged to them."""
        return timed(count, lambda _: self._with_data(self._rows(_SEARCH, int(experiment))))

    def frame(self, count: int, experiment: str, runs: int = 1000) -> float:
        """Read runs as a DataFrame."""
        import pandas

        def one(_: int) -> None:
            found = self._rows(_NEWEST, int(experiment), runs)
            metrics, params, tags = self._with_data(found)
            columns: dict[str, dict[int, Any]] = {}
            for kind, values in (("metrics", metrics), ("params", params), ("tags", tags)):
                for run, key, value in values:
                    columns.setdefault(f"{kind}.{key}", {})[run] = value
            keys = [row[0] for row in found]
            data = {name: [column.get(key) for key in keys] for name, column in sorted(columns.items())}
            pandas.DataFrame({"run_id": [row[1] for row in found], **data})

        return timed(count, one)

    def resolve(self, count: int, name: str) -> float:
        """Resolve a name to the version in Production and its location."""
        assert len(self._rows(_RESOLVE, name)) == 1
        return timed(count, lambda _: self._rows(_RESOLVE, name))

    def create_version(self, count: int) -> float:
        """Write a version with its number and its event."""
        model, logged = self._new_model()
        return timed(count, lambda _: self._new_version(model, logged))

    def transition(self, count: int) -> float:
        """Let two versions take Production from each other, with events and periods."""
        model, logged = self._new_model()
        versions = [self._new_version(model, logged) for _ in range(2)]

        def one(number: int) -> None:
            to, holder = versions[number % 2], versions[1 - number % 2]
            now = time.time_ns() // 1000
            self._begin()
            self._execute("UPDATE registered_models SET last_update_time = ? WHERE id = ?", now // 1000, model)
            move = "UPDATE model_versions SET current_stage = '{}' WHERE model_id = ? AND version = ?"
            self._execute(move.format("Archived"), model, holder)
            self._execute(move.format("Production"), model, to)
            closed = "UPDATE stage_periods SET until = ? WHERE model_id = ? AND stage = 'Production' AND until IS NULL"
            self._execute(closed, now, model)
            opened = "INSERT INTO stage_periods (model_id, stage, version, since) VALUES (?, 'Production', ?, ?)"
            self._execute(opened, model, to, now)
            self._rows("SELECT rules FROM promotion_rules WHERE model_id = ? AND stage = 'Production'", model)
            self._event(model, "stage", holder, "Production", "Archived")
            self._event(model, "stage", to, "Archived", "Production")
            self._commit()

        return timed(count, one)

    def _new_version(self, model: int, logged: int) -> int:
        self._begin()
        number = "UPDATE registered_models SET last_version = last_version + 1 WHERE id = ? RETURNING last_version"
        ((version,),) = self._rows(number, model)
        self._execute(
            "INSERT INTO model_versions (model_id, version, logged_model_id, source, creation_time, last_update_time) "
            "VALUES (?, ?, ?, 'models:/m', ?, ?)",
            *(model, version, logged, _now(), _now()),
        )
        self._event(model, "version", version, None, str(version))
        self._commit()
        return int(version)

    def _event(self, model: int, kind: str, version: int, old: str | None, new: str) -> None:
        ((seq,),) = self._rows(
            "UPDATE registered_models SET last_seq = last_seq + 1 WHERE id = ? RETURNING last_seq", model
        )
        ((event,),) = self._rows("UPDATE registry_id SET last_event = last_event + 1 RETURNING last_event")
        digest = hashlib.sha256(f"{seq}{kind}{version}{old}{new}".encode()).hexdigest()
        self._execute(_EVENT, event, model, seq, kind, version, old, new, time.time_ns() // 1000, digest)

    def _new_model(self) -> tuple[int, int]:
        name = uuid.uuid4().hex
        self._begin()
        statement = (
            "INSERT INTO registered_models (uid, name, name_key, creation_time, last_update_time) "
            "VALUES (?, ?, ?, 0, 0) RETURNING id"
        )
        ((model,),) = self._rows(statement, name, name, name)
        ((logged,),) = self._rows("SELECT max(id) FROM logged_models")
        self._commit()
        return model, logged

    def _new_run(self) -> int:
        self._rows("SELECT artifact_location FROM experiments WHERE id = 0")
        statement = (
            "INSERT INTO runs (run_id, experiment_id, name, user_id, status, start_time, lifecycle_stage) "
            "VALUES (?, 0, 'raw', 'raw', 'RUNNING', ?, 'active') RETURNING id"
        )
        ((key,),) = self._rows(statement, uuid.uuid4().hex, _now())
        return int(key)

    def _with_data(self, runs: list[tuple[Any, ...]]) -> list[list[tuple[Any, ...]]]:
        keys = ", ".join(str(row[0]) for row in runs)
        found = [
            self._rows(f"SELECT run_id, key, value FROM {table} WHERE run_id IN ({keys})")
            for table in ("latest_metrics", "params", "tags")
        ]
        self._commit()
        return found

    def _begin(self) -> None:
        if self._sqlite:
            self._connection.execute("BEGIN IMMEDIATE")

    def _commit(self) -> None:
        self._connection.commit()

    def _execute(self, statement: str, *values: Any) -> Any:
        return self._connection.execute(self._placed(statement), values)

    def _rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return list(self._execute(statement, *values).fetchall())

    def _many(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        self._connection.cursor().executemany(self._placed(statement), rows)

    def _placed(self, statement: str) -> str:
        return statement if self._sqlite else statement.replace("?", "%s")


def _now() -> int:
    return time.time_ns() // 1_000_000

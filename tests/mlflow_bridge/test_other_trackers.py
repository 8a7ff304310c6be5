"""Imports of W&B's offline runs and of trackio, from files that both really wrote, and from damaged ones."""

import contextlib
import math
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from mlflow_stores import ARCHIVES
from wandb_logs import BLOCK, HEADER, field, finished, frame, history, items, moment, run, write_run

from registry import MlflowClient
from registry.exceptions import InvalidParameterError, InvalidStateError, RegistryError, UnavailableError
from registry.mlflow_bridge import TransferReport, import_runs
from registry.mlflow_bridge.wandb_log import read_fields, read_records

WANDB = ["wandb-0.16", "wandb-0.31"]
TRACKIO = ["trackio-0.5", "trackio-0.43"]
CURVES = {
    "loss": [(step, 1 / (step + 1)) for step in range(5)],
    "nested.a": [(step, float(step)) for step in range(5)],
    "train/auc": [(step, 0.5 + step / 10) for step in range(5)],
    "far": [(9, math.inf)],
    "good": [(9, 1.0)],
}
PARAMS = {
    "depth": "3",
    "nested.lr": "0.1",
    "nested.layers": "[1, 2]",
    "flag": "True",
    "text": "é",
    "nothing": "None",
}


def unpack(name: str, root: Path) -> Path:
    with zipfile.ZipFile(ARCHIVES / f"{name}.zip") as archive:
        archive.extractall(root / name)
    return root / name


def runs(client: MlflowClient, experiment: str) -> dict[str, Any]:
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    return {run.info.run_name: run for run in client.search_runs([found.experiment_id])}


def curve(client: MlflowClient, run_id: str, key: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client.get_metric_history(run_id, key)]


def own_tags(run: Any) -> dict[str, str]:
    return {key: value for key, value in run.data.tags.items() if not key.startswith("registry.")}


def added(report: TransferReport) -> dict[str, int]:
    return {count.kind: count.added for count in report.counts if count.added}


@pytest.mark.parametrize("name", WANDB)
def test_everything_of_wandbs_offline_runs_arrives_once(name: str, tmp_path: Path, database_url: str) -> None:
    source = unpack(name, tmp_path)
    report = import_runs("wandb", source, tracking_uri=database_url)
    assert (report.problems, report.differences, report.is_complete) == ([], [], True)
    assert "values that are no numbers were left out of the metrics ('bars', 'page', 'text')" in report.notes[0]
    client = MlflowClient(database_url)
    games = runs(client, "games")
    assert (sorted(games), list(runs(client, "nba"))) == (["deep", "long"], ["fail0001"])
    deep = games["deep"]
    assert deep.data.params == {**PARAMS, "late": "7"}
    assert {key: curve(client, deep.info.run_id, key) for key in CURVES} == CURVES
    assert [math.isnan(value) for _, value in curve(client, deep.info.run_id, "odd")] == [True]
    assert curve(client, deep.info.run_id, "best") == [(10, 0.9)]
    assert own_tags(deep) == {
        "mlflow.note.content": "some notes",
        "wandb.group": "season",
        "wandb.host": "host",
        "wandb.job_type": "train",
        "wandb.project": "games",
        "wandb.run_id": "deep0001",
        "wandb.summary.loss": "0.1",
        "wandb.summary.text": "hello",
        "wandb.summary.verdict": "good",
        "wandb.tags": "nba,v1",
    }
    assert (deep.info.status, runs(client, "nba")["fail0001"].info.status) == ("FINISHED", "FAILED")
    assert 0 < deep.info.end_time - deep.info.start_time < 120_000
    assert curve(client, games["long"].info.run_id, "loss") == [(step, step / 3) for step in range(300)]
    store = client.backend.blobs(deep.info.artifact_uri)
    (page,) = [info.path for info in store.walk() if info.path.endswith(".html")]
    assert b"<b>bold</b>" in store.read(page)
    assert added(import_runs("wandb", source, tracking_uri=database_url)) == {}


@pytest.mark.parametrize("name", TRACKIO)
def test_everything_of_trackio_arrives_once(name: str, tmp_path: Path, database_url: str) -> None:
    source = unpack(name, tmp_path)
    before = {path: path.read_bytes() for path in source.rglob("*.db")}
    report = import_runs("trackio", source, tracking_uri=database_url)
    assert (report.problems, report.differences, report.is_complete) == ([], [], True)
    assert report.notes == [
        "trackio records no ends of runs; they are FINISHED here at the time of their last values.",
        "2 values that are no numbers were left out of the metrics ('picture', 'text'); images and other media are "
        "among the files of the runs.",
    ]
    client = MlflowClient(database_url)
    games = runs(client, "games")
    assert (sorted(games), list(runs(client, "nba"))) == (["deep", "other"], ["deep"])
    deep = games["deep"]
    assert deep.data.params == PARAMS
    assert {key: curve(client, deep.info.run_id, key) for key in CURVES} == CURVES
    assert [math.isnan(value) for _, value in curve(client, deep.info.run_id, "odd")] == [True]
    assert own_tags(deep) == {"trackio.project": "games", "trackio.run_name": "deep"}
    assert deep.info.start_time <= deep.info.end_time
    (picture,) = client.backend.blobs(deep.info.artifact_uri).walk()
    assert picture.path.startswith("10/")
    assert picture.path.endswith(".png")
    assert added(import_runs("trackio", source / "games.db", tracking_uri=database_url)) == {}
    assert {path: path.read_bytes() for path in source.rglob("*.db")} == before

    with contextlib.closing(sqlite3.connect(source / "games.db")) as connection, connection:
        connection.execute("INSERT INTO metrics SELECT max(id) + 1, " + later(connection) + " FROM metrics")
    report = import_runs("trackio", source / "games.db", tracking_uri=database_url)
    assert added(report)["runs"] == 1
    assert curve(client, games["other"].info.run_id, "loss") == [(0, 1.0), (11, 0.25)]


def later(connection: sqlite3.Connection) -> str:
    """Return the values of a later row of the run ``other``, in the columns that this version has."""
    values = {
        "timestamp": "'2030-01-01T00:00:00+00:00'",
        "run_name": "'other'",
        "step": "11",
        "metrics": """'{"loss": 0.25}'""",
    }
    values["run_id"] = "(SELECT run_id FROM metrics WHERE run_name = 'other')"
    columns = [row[1] for row in connection.execute("PRAGMA table_info(metrics)")][1:]
    return ", ".join(values.get(column, "NULL") for column in columns)


def test_what_the_client_of_wandb_writes_besides_rows_arrives(tmp_path: Path, registry_url: str) -> None:
    git = field(1, "git@example.org:games") + field(2, "abc123")
    typed = [field(4, 1), field(5, 2 * 7), field(6, 0.5), field(7, "word"), field(8, "[1]"), field(3, 1)]
    keys = ["boolean", "integer", "number", "text", "list", "none"]
    newer = b"".join(
        field(1, field(2, "typed") + field(2, key) + value) for key, value in zip(keys, typed, strict=True)
    )
    first = frame(
        field(21, field(1, field(1, "0.31"))),
        run("resumed1"),
        field(26, field(6, "train.py") + field(13, "ann") + field(9, git)),
        field(5, items({"depth": 3, "old": 1}) + items({"old": 0}, number=2)),
        field(5, field(1, field(2, "a") + field(2, "b") + field(16, "2"))),
        history(0, {"loss": 1.0, "broken": "{"}),
        field(2, newer + field(2, field(1, 4))),
        field(7, field(2, moment(1_700_000_007)) + items({"disk.\\.usageGB": 47.5}, number=3)),
        finished(),
    )
    write_run(tmp_path / "wandb", "resumed1", first)
    again = frame(run("resumed1"), history(1, {"loss": 0.5}))
    log = write_run(tmp_path / "wandb", "resumed1", again, day="20260302")
    report = import_runs("wandb", tmp_path, tracking_uri=registry_url)
    assert (report.problems, report.differences) == ([], [])
    assert report.notes[-1] == (
        "1 runs have no end in their logs: they still run, or their process was killed. They are RUNNING here."
    )
    client = MlflowClient(registry_url)
    found = runs(client, "games")["resumed1"]
    assert found.data.params == {"depth": "3", "a.b": "2"}
    assert found.data.metrics == {
        "loss": 0.5,
        "system/disk._.usageGB": 47.5,
        "typed.boolean": 1.0,
        "typed.integer": 7.0,
        "typed.number": 0.5,
    }
    assert curve(client, found.info.run_id, "typed.number") == [(4, 0.5)]
    assert (found.info.user_id, found.info.status, found.info.end_time) == ("ann", "RUNNING", None)
    assert found.data.tags["mlflow.source.git.commit"] == "abc123"
    assert found.data.tags["mlflow.source.name"] == "train.py"

    log.write_bytes(again + frame(history(2, {"loss": 0.25}), finished(code=1))[len(HEADER) :])
    assert added(import_runs("wandb", tmp_path / "wandb", tracking_uri=registry_url))["runs"] == 1
    found = runs(client, "games")["resumed1"]
    assert (found.data.metrics["loss"], found.info.status) == (0.25, "FAILED")
    assert found.info.end_time == 1_700_000_060_000


def test_a_log_of_a_killed_process_ends_with_its_last_whole_record(tmp_path: Path, registry_url: str) -> None:
    whole = frame(run("killed01"), *(history(step, {"loss": step / 3}) for step in range(1_000)))
    write_run(tmp_path, "killed01", whole[:-3])
    write_run(tmp_path, "killed02", whole[: 2 * BLOCK].replace(b"killed01", b"killed01") + b"\0" * 100)
    report = import_runs("wandb", tmp_path, tracking_uri=registry_url)
    assert report.differences == report.problems == []
    client = MlflowClient(registry_url)
    assert len(curve(client, runs(client, "games")["killed01"].info.run_id, "loss")) >= 999


def test_a_damaged_log_is_told_and_the_others_are_imported(tmp_path: Path, registry_url: str) -> None:
    whole = frame(run("damaged1"), history(0, {"loss": 1.0}), finished())
    damaged = write_run(tmp_path, "damaged1", whole.replace(b"loss", b"lost"))
    empty = write_run(tmp_path, "empty001", HEADER)
    other = write_run(tmp_path, "other001", b":W&B\xe1\xbe\x07" + whole[7:])
    deep = frame(run("deep0001"), field(5, field(1, b"".join(field(2, "a") for _ in range(5_000)) + field(16, "1"))))
    write_run(tmp_path, "deep0001", deep)
    write_run(tmp_path, "good0001", frame(run("good0001"), finished()))
    report = import_runs("wandb", tmp_path, tracking_uri=registry_url)
    assert sorted(report.problems) == sorted(
        [
            f"The W&B log {str(damaged)!r} is damaged at byte {len(frame(run('damaged1')))}; its run was left out.",
            f"The W&B log {str(empty)!r} names no run; it was left out.",
            f"{str(other)!r} is no W&B log of a format that is known.",
            "A run of W&B's has values that are nested too deep; it was left out.",
        ]
    )
    assert list(runs(MlflowClient(registry_url), "games")) == ["good0001"]


def test_files_that_a_script_saved_are_copied_from_where_they_are(tmp_path: Path, registry_url: str) -> None:
    files = write_run(tmp_path / "wandb", "saved001", frame(run("saved001"), finished())).parent / "files"
    (tmp_path / "note.txt").write_text("a note")
    (files / "note.txt").symlink_to(tmp_path / "note.txt")
    (files / "gone.txt").symlink_to(tmp_path / "gone.txt")
    (tmp_path / "wandb" / "latest-run").symlink_to(files.parent)
    report = import_runs("wandb", tmp_path, tracking_uri=registry_url)
    assert report.problems == [f"The file '{files}/gone.txt' is a link to a file that is gone; it was left out."]
    client = MlflowClient(registry_url)
    (found,) = runs(client, "games").values()
    assert {info.path: info.file_size for info in client.list_artifacts(found.info.run_id)} == {"note.txt": 6}


def test_values_that_are_too_long_are_left_out_and_told(tmp_path: Path, registry_url: str) -> None:
    record = field(17, field(1, "longer01") + field(9, "n" * 8_001) + field(4, items({"config": "c" * 6_001})))
    summary = field(3, items({"verdict": "v" * 8_001, "media": {"_type": "table", "rows": 3}}))
    write_run(tmp_path, "longer01", frame(record, summary, finished()))
    report = import_runs("wandb", tmp_path, tracking_uri=registry_url)
    assert report.problems == [
        "The param 'config' of the run longer01 was left out: it has 6001 characters, at most 6000 are kept.",
        "The tag 'mlflow.note.content' of the run longer01 was left out: it has 8001 characters, at most 8000 are "
        "kept.",
    ]
    assert "('verdict')" in report.notes[0]
    assert runs(MlflowClient(registry_url), "uncategorized")["longer01"].data.params == {}


def test_what_is_no_source_is_told(tmp_path: Path, registry_url: str) -> None:
    with pytest.raises(InvalidStateError, match="There are no runs of W&B's"):
        import_runs("wandb", tmp_path, tracking_uri=registry_url)
    with pytest.raises(InvalidStateError, match="There is no project of trackio's"):
        import_runs("trackio", tmp_path, tracking_uri=registry_url)
    with pytest.raises(InvalidParameterError, match="tracker must be 'wandb' or 'trackio', got 'neptune'"):
        import_runs("neptune", tmp_path, tracking_uri=registry_url)  # type: ignore[arg-type]
    (tmp_path / "text.db").write_text("no database, only a text that is longer than a header of SQLite would be" * 20)
    with pytest.raises(UnavailableError, match="cannot be read: file is not a database"):
        import_runs("trackio", tmp_path, tracking_uri=registry_url)
    sqlite3.connect(tmp_path / "empty.db").execute("CREATE TABLE games (id)").connection.close()
    with pytest.raises(InvalidStateError, match="has no table of trackio's"):
        import_runs("trackio", tmp_path / "empty.db", tracking_uri=registry_url)


def test_a_row_of_trackio_that_cannot_be_read_leaves_out_its_run_only(tmp_path: Path, registry_url: str) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "games.db")) as connection, connection:
        connection.execute(
            "CREATE TABLE metrics (id INTEGER, timestamp TEXT, run_name TEXT, step INTEGER, metrics TEXT)"
        )
        connection.execute("CREATE TABLE configs (id INTEGER, run_name TEXT, config TEXT)")
        connection.execute("INSERT INTO metrics VALUES (1, '2026-03-01T12:00:00+00:00', 'good', 0, '{\"auc\": 0.9}')")
        connection.execute("INSERT INTO metrics VALUES (2, 'soon', 'bad', 0, '{}')")
        connection.execute("""INSERT INTO configs VALUES (1, 'good', '{"_Group": "season", "_Username": "ann"}')""")
        connection.execute("INSERT INTO configs VALUES (2, 'list', '[1]')")
    report = import_runs("trackio", tmp_path, tracking_uri=registry_url)
    assert report.problems == [
        "The run 'bad' of 'games' was left out, as a row cannot be read: Invalid isoformat string: 'soon'"
    ]
    found = runs(MlflowClient(registry_url), "games")
    assert sorted(found) == ["good", "list"]
    assert (found["good"].data.tags["trackio.group"], found["good"].info.user_id) == ("season", "ann")
    assert found["good"].info.end_time == 1_772_366_400_000


@given(st.binary(max_size=300), st.integers(0, 400))
def test_no_bytes_make_the_reader_of_wandbs_logs_raise_anything_else(
    tmp_path_factory: Any, noise: bytes, at: int
) -> None:
    whole = frame(run("fuzzed01"), history(0, {"loss": 1.0}), field(5, items({"depth": 3})), finished())
    log = tmp_path_factory.mktemp("fuzz") / "run-fuzzed01.wandb"
    for content in (HEADER + noise, whole[:at] + noise + whole[at:], frame(noise)):
        log.write_bytes(content)
        with contextlib.suppress(RegistryError):
            for record in read_records(log):
                list(read_fields(record))

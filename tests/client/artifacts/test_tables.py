"""Tables of runs: rows are appended and nothing that is there changes."""

import json
import logging
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import registry
from registry import artifacts
from registry.exceptions import ArtifactNotFoundError, InvalidParameterError, InvalidPathError, InvalidTypeError
from registry.tracking import MlflowClient

FORMS = pytest.mark.parametrize("name", ["t.json", "deep/t.parquet"])


def load(client: MlflowClient, name: str, **options: Any) -> pd.DataFrame:
    return client.load_table("0", name, **options)


def rows_of(frame: pd.DataFrame) -> list[list[Any]]:
    return [[None if pd.isna(cell) else cell for cell in row] for row in frame.astype(object).to_numpy().tolist()]


@FORMS
def test_rows_are_appended(client: MlflowClient, run_id: str, name: str) -> None:
    client.log_table(run_id, {"a": [1, 2], "b": ["x", "y"]}, name)
    client.log_table(run_id, pd.DataFrame({"a": [3], "b": ["z"]}, index=[7]), name)
    client.log_table(run_id, {"a": 4, "b": "w"}, name)
    frame = load(client, name)
    assert list(frame.columns) == ["a", "b"]
    assert rows_of(frame) == [[1, "x"], [2, "y"], [3, "z"], [4, "w"]]
    assert str(frame["a"].dtype) == "int64"


@FORMS
def test_columns_that_one_part_lacks_are_empty_there(client: MlflowClient, run_id: str, name: str) -> None:
    client.log_table(run_id, {"a": [1]}, name)
    client.log_table(run_id, {"b": ["x"], "a": [2.5]}, name)
    frame = load(client, name)
    assert list(frame.columns) == ["a", "b"]
    assert rows_of(frame) == [[1, None], [2.5, "x"]]


@FORMS
def test_appending_changes_no_text_and_no_digit(client: MlflowClient, run_id: str, name: str) -> None:
    there = {"id": ["001", "1e5"], "date": ["2026-03-01", "x"], "n": [0.1 + 0.2, 1e-20], "big": [2**62 + 1, -1]}
    client.log_table(run_id, there, name)
    client.log_table(run_id, {"id": ["2"], "date": ["y"], "n": [1 / 3], "big": [0]}, name)
    assert rows_of(load(client, name)) == [
        ["001", "2026-03-01", 0.30000000000000004, 2**62 + 1],
        ["1e5", "x", 1e-20, -1],
        ["2", "y", 1 / 3, 0],
    ]


def test_the_json_is_pandas_split_orientation(client: MlflowClient, run_id: str) -> None:
    frame = pd.DataFrame(
        {
            "time": [datetime(2026, 3, 1, 12, tzinfo=UTC), None],
            "float": [np.nan, np.inf],
            "kind": pd.Categorical(["a", "b"]),
            "list": [[np.int64(1), 2], {"k": np.float32(0.5)}],
        }
    )
    client.log_table(run_id, frame, "t.json")
    assert json.loads(artifacts.load_text(f"runs:/{run_id}/t.json")) == {
        "columns": ["time", "float", "kind", "list"],
        "data": [["2026-03-01T12:00:00+00:00", None, "a", [1, 2]], [None, None, "b", {"k": 0.5}]],
    }
    copy = client.download_artifacts(run_id, "t.json")
    assert pd.read_json(copy, orient="split").shape == (2, 4)


def test_the_callers_frame_stays_as_it_is(client: MlflowClient, run_id: str) -> None:
    picture = Image.new("RGB", (2, 2))
    frame = pd.DataFrame({"image": [picture]})
    client.log_table(run_id, frame, "t.json")
    assert frame["image"][0] is picture


@FORMS
def test_pictures_are_stored_beside_the_table(client: MlflowClient, run_id: str, name: str) -> None:
    pictures = [Image.new("RGB", (4, 2)), registry.Image(np.zeros((2, 4)))]
    client.log_table(run_id, {"q": ["a", "b"], "image": pictures}, name)
    cells = load(client, name)["image"].tolist()
    assert [cell["type"] for cell in cells] == ["image", "image"]
    for cell in cells:
        assert cell["filepath"].startswith(f"table_images/{name.rpartition('.')[0]}/")
        assert artifacts.load_image(f"runs:/{run_id}/{cell['filepath']}").size == (4, 2)
        assert artifacts.load_image(f"runs:/{run_id}/{cell['compressed_filepath']}").size == (256, 128)
    with pytest.raises(InvalidParameterError, match="mix of images"):
        client.log_table(run_id, {"image": [pictures[0], "text"]}, name)


def test_the_tag_lists_tables_once_and_as_mlflow_writes_it(client: MlflowClient, run_id: str) -> None:
    for name in ("a.json", "b.json", "a.json"):
        client.log_table(run_id, {"a": 1}, name)
    assert client.get_run(run_id).data.tags["mlflow.loggedArtifacts"] == (
        '[{"path": "a.json", "type": "table"}, {"path": "b.json", "type": "table"}]'
    )


def test_a_table_is_logged_and_found_when_the_tag_is_full(client: MlflowClient, run_id: str) -> None:
    full = json.dumps([{"path": "x" * 7_950, "type": "table"}])
    client.set_tag(run_id, "mlflow.loggedArtifacts", full)
    client.log_table(run_id, {"a": 1}, "late.json")
    assert client.get_run(run_id).data.tags["mlflow.loggedArtifacts"] == full
    assert rows_of(load(client, "late.json")) == [[1]]


def test_a_tag_that_someone_spoilt_is_written_anew(client: MlflowClient, run_id: str) -> None:
    for text in ("junk", "{}", "[" * 5_000):
        client.set_tag(run_id, "mlflow.loggedArtifacts", text)
        client.log_table(run_id, {"a": 1}, "t.json")
        assert client.get_run(run_id).data.tags["mlflow.loggedArtifacts"] == '[{"path": "t.json", "type": "table"}]'
    assert rows_of(load(client, "t.json")) == [[1], [1], [1]]


@FORMS
def test_tables_of_several_runs_are_one_newest_run_first(client: MlflowClient, name: str) -> None:
    runs = [client.create_run("0", start_time=1_000 + step).info.run_id for step in range(3)]
    for number, run in enumerate(runs[:2]):
        client.log_param(run, "depth", number)
        client.log_metric(run, "acc", 0.5 + number)
        client.log_table(run, {"a": [number], "status": ["mine"]}, name)
    frame = load(client, name, extra_columns=["run_id", "params.depth", "metrics.acc", "tags.none", "status"])
    assert list(frame.columns) == ["a", "status", "run_id", "params.depth", "metrics.acc", "tags.none", "status_"]
    assert rows_of(frame) == [
        [1, "mine", runs[1], "1", 1.5, None, "RUNNING"],
        [0, "mine", runs[0], "0", 0.5, None, "RUNNING"],
    ]
    assert rows_of(load(client, name, run_ids=[runs[0]], extra_columns=["start_time"])) == [
        [0, "mine", pd.Timestamp(1_000, unit="ms", tz="UTC")]
    ]


def test_runs_without_the_table_are_skipped_with_a_warning(
    client: MlflowClient, run_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    client.log_table(run_id, {"a": 1}, "t.json")
    other = client.create_run("0").info.run_id
    with caplog.at_level(logging.WARNING, "registry"):
        assert rows_of(load(client, "t.json", run_ids=[run_id, other])) == [[1]]
    assert "Not all runs have the table" in caplog.text


def test_a_table_that_no_run_has_is_named(client: MlflowClient, run_id: str) -> None:
    client.log_table(run_id, {"a": 1}, "t.json")
    for options in ({}, {"run_ids": [run_id]}):
        with pytest.raises(ArtifactNotFoundError, match=r"'other\.json'"):
            load(client, "other.json", **options)
    with pytest.raises(InvalidParameterError, match="no column 'colour'"):
        load(client, "t.json", extra_columns=["colour"])
    client.delete_run(run_id)
    with pytest.raises(ArtifactNotFoundError):
        load(client, "t.json")


def test_what_is_no_table_is_refused_and_changes_nothing(client: MlflowClient, run_id: str) -> None:
    for data, error in (
        ([1, 2], InvalidTypeError),
        ("text", InvalidTypeError),
        ({"a": [1], "b": [1, 2]}, InvalidParameterError),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), InvalidParameterError),
        (pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])), InvalidParameterError),
    ):
        with pytest.raises(error):
            client.log_table(run_id, data, "t.json")  # type: ignore[arg-type]  # what is refused
    for name in ("t.csv", "t", "t.JSON"):
        with pytest.raises(InvalidParameterError, match=r"must end in '\.json' or '\.parquet'"):
            client.log_table(run_id, {"a": 1}, name)
    for name in ("a,b.json", "a:b.json", 'a".json', "a'.json", "[a].json", "{a}.json", "../a.json"):
        with pytest.raises(InvalidPathError):
            client.log_table(run_id, {"a": 1}, name)
    assert client.list_artifacts(run_id) == []
    assert "mlflow.loggedArtifacts" not in client.get_run(run_id).data.tags


_ODD_COLUMNS = ('{"columns": [["a"]], "data": [[1]]}', '{"columns": ["a", "a"], "data": [[1, 2]]}')


@FORMS
def test_a_file_that_is_no_table_is_left_as_it_is(client: MlflowClient, run_id: str, name: str) -> None:
    for text in ("junk", "{}", "[]", "1", '{"columns": ["a"], "data": [[1, 2]]}', '{"columns": 1}', *_ODD_COLUMNS):
        client.log_text(run_id, text, name)
        with pytest.raises(InvalidParameterError, match="is not a table"):
            client.log_table(run_id, {"a": 1}, name)
        assert artifacts.load_text(f"runs:/{run_id}/{name}") == text


def test_rows_that_do_not_fit_a_parquet_table_are_refused(client: MlflowClient, run_id: str) -> None:
    client.log_table(run_id, {"a": [1]}, "t.parquet")
    for rows in ({"a": ["text"]}, {"a": [1, "mixed"]}):
        with pytest.raises(InvalidParameterError):
            client.log_table(run_id, rows, "t.parquet")
    assert rows_of(load(client, "t.parquet")) == [[1]]


def test_threads_that_append_at_once_lose_no_row(client: MlflowClient, run_id: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: client.log_table(run_id, {"n": number}, "t.json"), range(24)))
    assert sorted(load(client, "t.json")["n"]) == list(range(24))


def append(place: Path, run_id: str, start: int) -> None:
    client = MlflowClient(f"sqlite:///{place}/registry.db")
    for number in range(start, start + 6):
        client.log_table(run_id, {"n": number}, "t.json")


@pytest.mark.slow
def test_processes_that_append_at_once_lose_no_row(own_place: Path) -> None:
    client = MlflowClient(f"sqlite:///{own_place}/registry.db")
    run_id = client.create_run("0").info.run_id
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=append, args=(own_place, run_id, 6 * number)) for number in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert sorted(load(client, "t.json")["n"]) == list(range(12))


def test_the_active_run_takes_tables_and_the_active_experiment_shows_them(artifact_root: str) -> None:
    registry.set_experiment("nba")
    with registry.start_run() as run:
        registry.log_table({"a": [1, 2]}, "t.json")
        registry.log_table({"a": 3}, "t.json", run_id=run.info.run_id)
    assert rows_of(registry.load_table("t.json")) == [[1], [2], [3]]
    assert rows_of(registry.load_table("t.json", [run.info.run_id], ["status"])) == [
        [1, "FINISHED"],
        [2, "FINISHED"],
        [3, "FINISHED"],
    ]

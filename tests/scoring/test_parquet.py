"""Files scored whole: which become which, what is gone on with, and what never looks finished."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scored_games import games, log_version, train

import registry
from registry.blobs.locks import FileLock
from registry.exceptions import (
    AccessDeniedError,
    ArtifactNotFoundError,
    InvalidModelError,
    InvalidParameterError,
    PathExistsError,
    SchemaEnforcementError,
)
from registry.scoring import ScoringReport, parts, score_parquet
from registry.scoring.storage import open_files

SUPPORT = str(Path(__file__).parents[1] / "support")


def expected(rows: int) -> list[int]:
    return registry.pyfunc.load_model("models:/churn/Production").predict(games(rows)).tolist()  # type: ignore[no-any-return]


def scores(path: str) -> list[int]:
    return pd.read_parquet(path)["prediction"].tolist()


def write_games(path: str, rows: int) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    games(rows).to_parquet(path, row_group_size=7)


def test_a_file_becomes_a_file_with_a_row_per_row(churn: str) -> None:
    write_games("games.parquet", 40)

    report = score_parquet(churn, "games.parquet", "scores.parquet", keep=["game"], with_model=True)

    digest = registry.resolve(churn).digest
    assert report == ScoringReport("churn", 1, digest, parts=1, skipped=0, rows=40)
    scored = pd.read_parquet("scores.parquet")
    assert scored["game"].tolist() == list(range(40))
    assert scored["prediction"].tolist() == expected(40)
    assert scored[["model_name", "model_version", "model_digest"]].drop_duplicates().values.tolist() == [
        ["churn", 1, digest]
    ]
    assert sorted(path.name for path in Path().iterdir()) == ["games.parquet", "mlruns", "scores.parquet"]


def test_the_umask_decides_who_may_read_a_result(churn: str) -> None:
    write_games("games.parquet", 3)
    before = os.umask(0o027)
    try:
        score_parquet(churn, "games.parquet", "scores.parquet")
    finally:
        os.umask(before)

    assert stat.S_IMODE(Path("scores.parquet").stat().st_mode) == 0o640


def test_a_file_goes_into_a_directory_that_is_there_or_named_as_one(churn: str) -> None:
    write_games("games.parquet", 3)
    Path("there").mkdir()

    score_parquet(churn, "games.parquet", "there")
    score_parquet(churn, Path("games.parquet").absolute(), "new/")

    assert scores("there/games.parquet") == scores("new/games.parquet") == expected(3)


def test_a_directory_becomes_a_directory_with_the_same_names(churn: str) -> None:
    for name in ["a.parquet", "2026/b.parquet", "2026/_temporary/c.parquet", ".hidden/d.parquet", "notes.txt"]:
        write_games(f"data/{name}", 5)

    report = score_parquet(churn, "data", "scores")

    assert (report.parts, report.rows) == (2, 10)
    assert sorted(path.as_posix() for path in Path("scores").rglob("*.parquet")) == [
        "scores/2026/b.parquet",
        "scores/a.parquet",
    ]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("data/*.parquet", ["a.parquet"]),
        ("data/**/*.parquet", ["2025/b.parquet", "2026/b.parquet", "a.parquet"]),
        ("data/202?/b.parquet", ["2025/b.parquet", "2026/b.parquet"]),
        ("data/2026/*", ["b.parquet"]),
        ("data/[0-9]*5/*", ["2025/b.parquet"]),
    ],
)
def test_a_glob_picks_files(churn: str, pattern: str, names: list[str]) -> None:
    for name in ["a.parquet", "2025/b.parquet", "2026/b.parquet"]:
        write_games(f"data/{name}", 2)

    found = parts.list_parts(pattern, "scores")

    assert [part.target_path for part in found] == names


def test_a_name_with_signs_of_a_glob_is_a_name_if_it_is_there(churn: str) -> None:
    write_games("games[1].parquet", 2)

    assert [part.source_path for part in parts.list_parts("games[1].parquet", "s.parquet")] == ["games[1].parquet"]


@pytest.mark.parametrize("source", ["missing.parquet", "empty", "missing/*.parquet"])
def test_no_data_is_an_error(churn: str, source: str) -> None:
    Path("empty").mkdir()

    with pytest.raises(ArtifactNotFoundError, match="There is no Parquet file at"):
        score_parquet(churn, source, "scores")


def test_results_never_become_data_of_the_next_run(churn: str) -> None:
    write_games("data/a.parquet", 2)

    with pytest.raises(InvalidParameterError, match="is inside the data"):
        score_parquet(churn, "data", "data/scores")
    with pytest.raises(InvalidParameterError, match="is the data and the target"):
        score_parquet(churn, "data/a.parquet", "data/../data/a.parquet")


def test_a_file_without_rows_has_the_columns_and_types_of_others(churn: str) -> None:
    write_games("data/a.parquet", 0)
    write_games("data/b.parquet", 3)

    score_parquet(churn, "data", "scores", keep=["game"], with_model=True)

    assert pq.read_schema("scores/a.parquet").equals(pq.read_schema("scores/b.parquet"))
    assert pq.read_metadata("scores/a.parquet").num_rows == 0


def test_what_is_finished_is_not_scored_again(churn: str) -> None:
    write_games("data/a.parquet", 2)
    score_parquet(churn, "data", "scores")
    before = Path("scores/a.parquet").stat().st_mtime_ns
    write_games("data/b.parquet", 3)

    report = score_parquet(churn, "data", "scores")

    assert (report.parts, report.skipped, report.rows) == (2, 1, 5)
    assert Path("scores/a.parquet").stat().st_mtime_ns == before
    assert scores("scores/b.parquet") == expected(3)


def test_what_something_else_made_is_not_taken_for_finished_and_not_overwritten(churn: str) -> None:
    write_games("games.parquet", 2)
    score_parquet(churn, "games.parquet", "scores.parquet")

    with pytest.raises(PathExistsError, match="was scored with the model .*the stage or alias may have moved"):
        score_parquet("models:/churn/2", "games.parquet", "scores.parquet")
    with pytest.raises(PathExistsError, match="was scored with other options"):
        score_parquet(churn, "games.parquet", "scores.parquet", keep=["game"])
    write_games("games.parquet", 3)
    with pytest.raises(PathExistsError, match="was scored from other data"):
        score_parquet(churn, "games.parquet", "scores.parquet")
    for content in [b"", b"some text that is no Parquet", b"\xff\xff\xff\xffPAR1", b"12345\x01\x00\x00\x00PAR1"]:
        Path("scores.parquet").write_bytes(content)
        with pytest.raises(PathExistsError, match="is not the result of scoring"):
            score_parquet(churn, "games.parquet", "scores.parquet")
    write_games("scores.parquet", 1)
    with pytest.raises(PathExistsError, match=r"is not the result of scoring.*overwrite=True, --overwrite"):
        score_parquet(churn, "games.parquet", "scores.parquet")

    score_parquet(churn, "games.parquet", "scores.parquet", overwrite=True)

    assert scores("scores.parquet") == expected(3)


def test_a_directory_in_the_place_of_a_result_is_an_error_of_ours(churn: str) -> None:
    write_games("games.parquet", 2)
    Path("scores/games.parquet").mkdir(parents=True)

    with pytest.raises(PathExistsError, match=r"scores/games.parquet is a directory"):
        score_parquet(churn, "games.parquet", "scores")


def test_a_symlink_to_a_directory_that_holds_it_makes_no_file_data_twice(churn: str) -> None:
    write_games("data/week/a.parquet", 2)
    write_games("elsewhere/b.parquet", 3)
    Path("data/week/again").symlink_to(Path("data").absolute())
    Path("data/linked").symlink_to(Path("elsewhere").absolute())
    Path("data/week/nothing.parquet").symlink_to("missing.parquet")

    report = score_parquet(churn, "data", "scores")

    assert (report.parts, report.rows) == (2, 5)
    assert sorted(path.as_posix() for path in Path("scores").rglob("*.parquet")) == [
        "scores/linked/b.parquet",
        "scores/week/a.parquet",
    ]


def test_a_footer_that_is_longer_than_the_first_look_is_read(churn: str) -> None:
    columns = {f"column_{number}": [0] for number in range(600)}
    pq.write_table(pa.table({**games(1).to_dict("list"), **columns}), "games.parquet")

    for skipped in (0, 1):
        report = score_parquet(churn, "games.parquet", "scores.parquet", keep=sorted(columns))
        assert report.skipped == skipped


def test_rows_that_do_not_fit_are_named(churn: str) -> None:
    frame = games(10).astype({"rest_days": object})
    frame["rest_days"] = frame["rest_days"].astype(str)
    frame.to_parquet("games.parquet")

    with pytest.raises(SchemaEnforcementError, match=r"^rows 0 to 10 of .*games\.parquet: Failed to enforce schema"):
        score_parquet(churn, "games.parquet", "scores.parquet")
    assert not Path("scores.parquet").exists()
    frame.drop(columns="rest_days").to_parquet("games.parquet")
    with pytest.raises(SchemaEnforcementError, match="missing"):
        score_parquet(churn, "games.parquet", "scores.parquet")


class Moody(registry.pyfunc.PythonModel):
    """A model that fails, or changes the type of its predictions, late in the data."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        last = model_input["game"].max()
        if last == 2999:
            return [f"game {number}" for number in model_input["game"]]
        if last > 3000:
            raise RuntimeError("no more\nand more lines")
        return model_input["game"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [(3000, "change their type"), (4000, r"The model failed on rows 2048 to 3072.*: RuntimeError: no more$")],
)
def test_a_model_that_fails_late_leaves_no_file(
    own_place: Path, monkeypatch: pytest.MonkeyPatch, rows: int, message: str
) -> None:
    registry.pyfunc.save_model("moody", python_model=Moody())
    monkeypatch.setattr(parts, "_BATCH_ROWS", 1024)
    write_games("games.parquet", rows)

    with pytest.raises(InvalidModelError, match=message):
        score_parquet("moody", "games.parquet", "out/scores.parquet", allow_code=True)

    assert list(Path("out").iterdir()) == []


def test_a_damaged_file_is_named(churn: str) -> None:
    Path("games.parquet").write_bytes(b"PAR1 but not really PAR1")

    with pytest.raises(InvalidParameterError, match=r"games\.parquet cannot be read as Parquet"):
        score_parquet(churn, "games.parquet", "scores.parquet")


def test_a_target_that_cannot_be_written_is_an_error_of_ours(churn: str) -> None:
    write_games("games.parquet", 2)
    Path("file").write_text("in the way")

    with pytest.raises(registry.RegistryError, match="cannot be written"):
        score_parquet(churn, "games.parquet", "file/scores.parquet")


def test_wide_files_are_read_in_fewer_rows(churn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_BATCH_BYTES", 8 * 2 * 1500)
    write_games("games.parquet", 4000)

    score_parquet(churn, "games.parquet", "scores.parquet")

    metadata = pq.read_metadata("scores.parquet")
    assert [metadata.row_group(at).num_rows for at in range(metadata.num_row_groups)] == [1500, 1500, 1000]
    assert scores("scores.parquet") == expected(4000)


def test_progress_adds_up_to_the_size_of_the_file(churn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_BATCH_ROWS", 1024)
    write_games("games.parquet", 3000)
    (part,) = parts.list_parts("games.parquet", "scores.parquet")
    told: list[int] = []

    scored = parts.score_part(part, registry.scoring.Predictor(churn), told.append)

    assert scored == parts.ScoredPart(3000, Path("games.parquet").stat().st_size)
    assert sum(told) == scored.size
    assert len(told) == 3


def test_leftovers_of_dead_writers_go_and_those_of_living_ones_stay(churn: str) -> None:
    write_games("games.parquet", 2)
    dead, living = Path(".scores.parquet.00.incomplete"), Path(".scores.parquet.11.incomplete")
    dead.touch()
    with FileLock.acquire(living, create=True):
        score_parquet(churn, "games.parquet", "scores.parquet")

        assert (dead.exists(), living.exists()) == (False, True)


KILLED = """
import sys
from registry.scoring import parts, score_parquet
parts._BATCH_ROWS = 1024
score_parquet("models:/churn/Production", "data", "scores")
"""


@pytest.mark.slow
def test_a_killed_run_leaves_whole_files_and_is_gone_on_with(churn: str) -> None:
    for number in range(6):
        write_games(f"data/{number}.parquet", 30_000)
    process = subprocess.Popen([sys.executable, "-c", KILLED])
    while len(list(Path("scores").glob("*.parquet"))) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()

    finished = len(list(Path("scores").glob("*.parquet")))
    assert all(pq.read_metadata(path).num_rows == 30_000 for path in Path("scores").glob("*.parquet"))
    report = score_parquet(churn, "data", "scores")

    assert (report.parts, report.skipped, report.rows) == (6, finished, 180_000)
    assert sorted(path.name for path in Path("scores").iterdir()) == [f"{number}.parquet" for number in range(6)]


MEMORY = """
import sys
sys.path.append(sys.argv[1])
from peak_memory import peak_memory
from registry.scoring import score_parquet
score_parquet("first", "small.parquet", "small-scores.parquet", nthread=1, allow_code=True)
before = peak_memory()
score_parquet("first", "large.parquet", "large-scores.parquet", nthread=1, allow_code=True)
print((peak_memory() - before) // 2**20)
"""


@pytest.mark.slow
def test_memory_stays_flat_however_large_a_file_or_its_row_groups_are(own_place: Path) -> None:
    class First(registry.pyfunc.PythonModel):
        """Predicts the first column."""

        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return model_input.iloc[:, 0]

    registry.pyfunc.save_model("first", python_model=First())
    rows = 131_072
    columns = np.random.default_rng(1).normal(size=(24, rows))
    table = pa.table({f"column_{number}": values for number, values in enumerate(columns)})
    pq.write_table(table, "small.parquet")
    pq.write_table(pa.concat_tables([table] * 12), "large.parquet", row_group_size=rows * 12, use_dictionary=False)
    assert Path("large.parquet").stat().st_size > 280 * 2**20

    done = subprocess.run([sys.executable, "-c", MEMORY, SUPPORT], capture_output=True, text=True, check=True)

    assert int(done.stdout) < 120


WITH_WORKERS = """
from registry.scoring import score_parquet
if __name__ == "__main__":
    score_parquet("models:/churn/Production", "data", "scores", workers=2)
"""


@pytest.mark.slow
def test_workers_end_with_a_parent_that_is_killed(churn: str) -> None:
    for number in range(6):
        write_games(f"data/{number}.parquet", 30_000)
    Path("program.py").write_text(WITH_WORKERS)
    process = subprocess.Popen([sys.executable, "program.py"])
    while not list(Path("scores").glob("*.parquet")):
        assert process.poll() is None
        time.sleep(0.01)
    workers = [child for child in psutil.Process(process.pid).children() if "--multiprocessing-fork" in child.cmdline()]
    process.send_signal(signal.SIGKILL)
    process.wait()

    assert len(workers) == 2
    gone, alive = psutil.wait_procs(workers, timeout=60)
    for worker in alive:
        worker.kill()
    assert (len(gone), alive) == (2, [])


@pytest.mark.slow
def test_several_processes_score_as_one(churn: str) -> None:
    for number in range(3):
        write_games(f"data/{number}.parquet", 100)

    report = score_parquet(churn, "data", "scores", workers=2)

    assert (report.parts, report.rows) == (3, 300)
    assert scores("scores/2.parquet") == expected(100)
    write_games("data/3.parquet", 2)
    pd.DataFrame({"other": [1]}).to_parquet("data/4.parquet")
    with pytest.raises(SchemaEnforcementError, match=r"4\.parquet"):
        score_parquet(churn, "data", "scores", workers=2)


def test_data_and_results_can_be_on_s3(churn_on_s3: str) -> None:
    write_games("data/a.parquet", 4)
    write_games("data/deep/b.parquet", 5)
    files = open_files(f"{churn_on_s3}/data")
    for path in ("a.parquet", "deep/b.parquet"):
        with files.writing(path) as local:
            local.write_bytes(Path("data", path).read_bytes())
    uri = "models:/churn/Production"

    report = score_parquet(uri, f"{churn_on_s3}/data", f"{churn_on_s3}/scores")
    again = score_parquet(uri, f"{churn_on_s3}/data/**/*.parquet", f"{churn_on_s3}/scores")
    one = score_parquet(uri, f"{churn_on_s3}/data/a.parquet", f"{churn_on_s3}/one.parquet")

    assert (report.parts, report.skipped, report.rows) == (2, 0, 9)
    assert (again.skipped, again.rows) == (2, 9)
    assert (one.parts, one.rows) == (1, 4)
    with open_files(f"{churn_on_s3}/scores").reading("deep/b.parquet") as local:
        assert scores(str(local)) == expected(5)
    with files.writing("a.parquet") as local:
        local.write_bytes(Path("data/deep/b.parquet").read_bytes())
    with pytest.raises(PathExistsError, match="other data"):
        score_parquet(uri, f"{churn_on_s3}/data", f"{churn_on_s3}/scores")


def test_files_on_s3_answer_as_local_ones(churn_on_s3: str) -> None:
    remote, local = open_files(churn_on_s3), open_files("here")
    for files in (remote, local):
        assert (files.kind(""), files.kind("a")) == ("nothing", "nothing")
        for path, content in (("a/b.txt", b"0123456789"), ("empty", b"")):
            with files.writing(path) as place:
                place.write_bytes(content)
        assert (files.kind(""), files.kind("a"), files.kind("a/b.txt")) == ("directory", "directory", "file")
        assert files.walk() == [("a/b.txt", 10), ("empty", 0)]
        assert files.size("a/b.txt") == 10
        assert [files.read_end("a/b.txt", size) for size in (3, 100)] == [b"789", b"0123456789"]
        assert files.read_end("empty", 3) == b""
        with files.reading("a/b.txt") as place:
            assert place.read_bytes() == b"0123456789"
        with pytest.raises(ArtifactNotFoundError, match="There is no file"):
            files.size("c")
        with pytest.raises(ArtifactNotFoundError, match="There is no file"):
            files.stamp("c")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_data_that_may_not_be_read_are_an_error_of_ours(churn: str) -> None:
    write_games("games.parquet", 2)
    Path("games.parquet").chmod(0)

    with pytest.raises(AccessDeniedError):
        score_parquet(churn, "games.parquet", "scores.parquet")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "flink"}, "Unknown engine 'flink'; use one of local, ray, dask, spark"),
        ({"workers": 0}, "workers is"),
        ({"address": "ray://head:10001"}, "address 'ray://head:10001' is that of a cluster, but the engine is 'local'"),
        ({"source": ""}, "The source is empty"),
        ({"target": ""}, "The target is empty"),
    ],
)
def test_wrong_options_are_refused(own_place: Path, options: Any, message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        score_parquet("models:/churn/1", **{"source": "a", "target": "b", **options})


def test_a_column_to_keep_that_is_not_in_the_file_is_named_with_those_that_are(churn: str) -> None:
    games(10).to_parquet("games.parquet")

    with pytest.raises(InvalidParameterError) as raised:
        score_parquet(churn, "games.parquet", "scores.parquet", keep=["venue"])

    assert raised.value.message == (
        f"{Path.cwd()}/games.parquet has no column 'venue' to keep; it has {sorted(games(10).columns)}."
    )


def test_all_columns_are_read_for_a_model_without_a_signature(own_place: Path) -> None:
    registry.xgboost.save_model(train(2), "unsigned")
    games(4).drop(columns="game").to_parquet("games.parquet")

    assert score_parquet("unsigned", "games.parquet", "scores.parquet").rows == 4


def test_the_file_says_what_made_it(churn: str) -> None:
    write_games("games.parquet", 2)
    score_parquet(churn, "games.parquet", "scores.parquet")

    said = json.loads(pq.read_schema("scores.parquet").metadata[b"registry.scoring"])

    assert said["digest"] == registry.resolve(churn).digest
    assert said["source"] == "games.parquet"


def test_a_scikit_learn_model_scores_files_too(own_place: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    data = games(60)
    log_version(LogisticRegression().fit(data[["rest_days", "rating_gap"]], data["rating_gap"] > 0))
    write_games("games.parquet", 60)

    score_parquet("models:/churn/1", "games.parquet", "scores.parquet", nthread=1)

    predicted = registry.pyfunc.load_model("models:/churn/1").predict(data)
    assert scores("scores.parquet") == predicted.tolist()

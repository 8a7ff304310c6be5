"""Real engines: Ray, Dask with two workers, and Spark, each on this machine."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scored_games import COLUMNS, games

import registry
from registry.exceptions import NotSupportedError, SchemaEnforcementError, UnavailableError
from registry.scoring import Predictor, score_parquet
from registry.scoring.engines import run

# Engines warn of their own deprecations, and leave sockets and processes to the garbage collector.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

needs_java = pytest.mark.skipif(
    shutil.which("java") is None, reason="needs Java: apt-get install openjdk-17-jre-headless"
)


def expected(rows: int) -> list[int]:
    return registry.pyfunc.load_model("models:/churn/1").predict(games(rows)).tolist()  # type: ignore[no-any-return]


def write_files(count: int, rows: int = 50) -> None:
    Path("data").mkdir()
    for number in range(count):
        games(rows).to_parquet(f"data/{number}.parquet")


def promote_and_score(engine: str) -> None:
    """Score files on an engine, while another version takes the stage; then look at what came."""
    write_files(3)
    with pytest.raises(UnavailableError, match=f"The engine {engine} failed"):
        list(run(engine, [Unpicklable()], object(), workers=1, address=None, advance=int))  # type: ignore[arg-type,list-item]
    report = score_parquet("models:/churn/Production", "data", "scores", engine=engine, workers=2, with_model=True)
    assert (report.model_version, report.parts, report.rows) == (1, 3, 150)
    for number in range(3):
        scored = pd.read_parquet(f"scores/{number}.parquet")
        assert scored["prediction"].tolist() == expected(50)
        assert set(scored["model_version"]) == {1}
    pd.DataFrame({"other": [1.0]}).to_parquet("data/wrong.parquet")
    with pytest.raises(SchemaEnforcementError, match=r"wrong\.parquet"):
        score_parquet("models:/churn/1", "data", "scores", engine=engine, workers=2, with_model=True)


class Unpicklable:
    """A part that no engine can send."""

    def __reduce__(self) -> Any:
        raise TypeError("this does not travel")


def test_ray_scores_batches_and_files(churn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    ray.init(num_cpus=2, include_dashboard=False, logging_level="error", log_to_driver=False)
    try:
        predictor = Predictor(churn, keep=["game"], with_model=True, nthread=1)
        registry.MlflowClient().transition_model_version_stage("churn", 2, "Production")
        data = ray.data.from_pandas([games(50), games(50)])
        for batch_format in ("numpy", "pandas", "pyarrow"):
            scored = data.map_batches(predictor, batch_format=batch_format).to_pandas()
            assert scored["prediction"].tolist() == expected(50) * 2
            assert set(scored["model_version"]) == {1}
        registry.MlflowClient().transition_model_version_stage("churn", 1, "Production")
        promote_and_score("ray")
        assert ray.is_initialized()
    finally:
        ray.shutdown()


def test_dask_scores_partitions_and_files(churn: str) -> None:
    import dask.dataframe as dd
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster),
    ):
        predictor = Predictor(churn, keep=["game"], with_model=True, nthread=1)
        registry.MlflowClient().transition_model_version_stage("churn", 2, "Production")
        data = dd.from_pandas(games(100), npartitions=4)
        scored = data.map_partitions(predictor, meta=predictor(games(0))).compute()
        assert scored["prediction"].tolist() == expected(100)
        assert set(scored["model_version"]) == {1}
        assert scored.index.tolist() == list(range(100))
        registry.MlflowClient().transition_model_version_stage("churn", 1, "Production")
        promote_and_score("dask")


@pytest.fixture
def spark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A session on this machine that listens on loopback alone."""
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").appName("test").config("spark.ui.enabled", "false")
    for name, value in {
        "spark.local.dir": str(tmp_path / "spark"),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.warehouse.dir": str(tmp_path / "warehouse"),
        "spark.sql.shuffle.partitions": "2",
    }.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    yield session
    session.stop()


@needs_java
def test_spark_scores_columns_batches_and_files(churn: str, spark: Any) -> None:
    from pyspark.sql.functions import col, struct

    data = spark.createDataFrame(games(50)).repartitionByRange(2, "game")
    predictor = Predictor(churn, keep=["game"], with_model=True, nthread=1)
    predict = registry.pyfunc.spark_udf(spark, churn, result_type="double")
    registry.MlflowClient().transition_model_version_stage("churn", 2, "Production")

    def values(column: Any) -> list[Any]:
        return [row[0] for row in data.orderBy("game").select(column).collect()]

    schema = "game long, prediction long, model_name string, model_version long, model_digest string"
    scored = data.mapInPandas(predictor.stream, schema).orderBy("game").collect()
    assert [row.prediction for row in scored] == expected(50)
    assert {row.model_version for row in scored} == {1}

    # By position, by name and without arguments; of the version that held the stage then.
    numbers = [float(number) for number in expected(50)]
    assert values(predict("rest_days", "rating_gap")) == numbers
    assert values(predict(struct("game", "rating_gap", "rest_days"))) == numbers
    assert values(predict()) == numbers
    assert predict.metadata.get_input_schema().input_names() == COLUMNS
    # Without a type: the signature's output is an array, as MLflow has it.
    assert values(registry.pyfunc.spark_udf(spark, "models:/churn/1")()) == [[number] for number in expected(50)]
    text = registry.pyfunc.spark_udf(spark, "models:/churn/1", result_type="string")
    assert values(text(*map(col, COLUMNS))) == [str(number) for number in expected(50)]

    class Two(registry.pyfunc.PythonModel):
        """Two columns: a label, and a number, larger by what configuration and environment say."""

        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            total = model_input.iloc[:, 0] + int(os.environ["ADDED"]) + context.model_config["offset"]
            return pd.DataFrame({"label": [f"no {number:.0f}" for number in total], "total": total.astype("int64")})

    registry.pyfunc.save_model("two", python_model=Two(), model_config={"offset": 0})
    Path("config.yaml").write_text("offset: 5\n")
    two = registry.pyfunc.spark_udf(
        spark,
        "two",
        result_type="label string, total int",
        extra_env={"ADDED": "100"},
        model_config="config.yaml",
        allow_code=True,
    )
    assert values(two("game"))[:2] == [("no 105", 105), ("no 106", 106)]
    with pytest.raises(NotSupportedError, match="Environments are not restored"):
        registry.pyfunc.spark_udf(spark, "two", env_manager="conda")

    registry.MlflowClient().transition_model_version_stage("churn", 1, "Production")
    promote_and_score("spark")


@pytest.mark.storm
def test_ray_starts_and_stops_a_cluster_of_its_own(churn: str) -> None:
    import ray

    write_files(20)

    assert score_parquet(churn, "data", "scores", engine="ray", workers=2).rows == 1000
    assert not ray.is_initialized()


def test_dask_starts_and_stops_a_cluster_of_its_own(churn: str) -> None:
    write_files(20)

    assert score_parquet(churn, "data", "scores", engine="dask", workers=2).rows == 1000


@pytest.mark.storm
def test_dask_uses_the_cluster_of_an_address(churn: str) -> None:
    from distributed import LocalCluster

    write_files(2)
    with LocalCluster(n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster:
        report = score_parquet(churn, "data", "scores", engine="dask", address=cluster.scheduler_address)

    assert report.rows == 100


@needs_java
@pytest.mark.storm
def test_spark_starts_and_stops_a_session_of_its_own(churn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyspark.sql import SparkSession

    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    write_files(20)

    assert score_parquet(churn, "data", "scores", engine="spark", workers=2).rows == 1000
    assert SparkSession.getActiveSession() is None


@pytest.mark.storm
@pytest.mark.parametrize("engine", ["local", "ray", "dask", pytest.param("spark", marks=needs_java)])
def test_a_worker_that_dies_is_an_error_of_the_engine_and_the_repeated_call_ends_the_work(
    own_place: Path, engine: str
) -> None:
    may_live = str(Path("may-live").absolute())

    class Deadly(registry.pyfunc.PythonModel):
        """A model that kills its process at the last file, unless it may live."""

        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            if len(model_input) == 7 and not os.path.exists(may_live):  # noqa: PTH110
                os.kill(os.getpid(), 9)
            return model_input["game"]

    registry.pyfunc.save_model("deadly", python_model=Deadly())
    write_files(3)
    games(7).to_parquet("data/9.parquet")

    with pytest.raises(UnavailableError, match=f"The engine {engine} failed.*Finished files stay"):
        score_parquet("deadly", "data", "scores", engine=engine, workers=2, allow_code=True)
    assert not Path("scores/9.parquet").exists()
    Path(may_live).touch()
    report = score_parquet("deadly", "data", "scores", engine=engine, workers=2, allow_code=True)

    assert report.rows == 157
    assert sorted(path.name for path in Path("scores").iterdir()) == [
        "0.parquet",
        "1.parquet",
        "2.parquet",
        "9.parquet",
    ]

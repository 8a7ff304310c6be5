"""A predictor: one sealed model, wherever its pickle goes, and batches of every kind."""

import logging
import os
import pickle
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scored_games import COLUMNS, games, log_version, train
from xgboost import XGBClassifier

import registry
from registry.exceptions import (
    CodeExecutionRefusedError,
    IntegrityError,
    InvalidModelError,
    InvalidParameterError,
    InvalidTypeError,
    UntrustedModelError,
)
from registry.scoring import Predictor, pinned
from registry.scoring.batches import empty_columns, prediction_columns
from registry.types import ColSpec, Schema, TensorSpec

SUPPORT = str(Path(__file__).parents[1] / "support")
CHILD = """
import pickle, sys
from scored_games import COLUMNS, games
predictor = pickle.loads(open(sys.argv[1], "rb").read())
print(predictor(games(4)[COLUMNS])["prediction"].tolist(), predictor.model_version)
"""


def in_another_process(predictor: Predictor, **variables: str) -> str:
    """Predict four games in a new process that gets the pickle and these variables, and return what it prints."""
    Path("predictor.pickle").write_bytes(pickle.dumps(predictor))
    environment = {**os.environ, "PYTHONPATH": SUPPORT, **variables}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD, "predictor.pickle"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def test_a_promotion_meanwhile_does_not_change_the_model(churn: str) -> None:
    predictor = Predictor(churn, with_model=True)

    registry.MlflowClient().transition_model_version_stage("churn", 2, "Production")

    result = pickle.loads(pickle.dumps(predictor))(games(2)[COLUMNS])
    assert result["model_version"].tolist() == [1, 1]
    assert result["model_name"].tolist() == ["churn", "churn"]
    assert set(result["model_digest"]) == {registry.resolve("models:/churn/1").digest}
    assert Predictor(churn).model_version == 2


def test_a_worker_needs_no_database_and_no_store_once_the_machine_has_the_files(churn_on_s3: str) -> None:
    predictor = Predictor("models:/churn/1")
    expected = f"{predictor(games(4)[COLUMNS])['prediction'].tolist()} 1"
    nowhere = {"REGISTRY_TRACKING_URI": "sqlite:////nowhere/at/all.db"}

    first = in_another_process(predictor, REGISTRY_CACHE_DIR="other-machine", **nowhere)
    second = in_another_process(
        predictor, REGISTRY_CACHE_DIR="other-machine", AWS_ENDPOINT_URL="http://127.0.0.1:9", **nowhere
    )

    assert (first, second) == (expected, expected)


def test_a_worker_imports_neither_the_client_nor_what_a_database_takes(churn: str, tmp_path: Path) -> None:
    (tmp_path / "predictor.pickle").write_bytes(pickle.dumps(Predictor(churn)))
    games(2)[COLUMNS].to_parquet(tmp_path / "games.parquet")
    program = f"""
import pickle, sys
from pathlib import Path
import pandas as pd
from registry.scoring.engines import attempt
predictor = pickle.loads(Path({str(tmp_path / "predictor.pickle")!r}).read_bytes())
print(len(predictor(pd.read_parquet({str(tmp_path / "games.parquet")!r}))))
unused = ["sqlalchemy", "alembic", "boto3", "registry.client.mlflow_client", "registry.client.backend"]
print([name for name in unused if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "2\n[]\n"


def test_a_worker_refuses_files_that_differ_from_what_was_sealed(churn: str) -> None:
    predictor = Predictor(churn)
    file = Path(registry.resolve(churn).location, "model.ubj")
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-1] + b"\0")

    assert in_another_process(predictor).startswith("registry.exceptions.IntegrityError: ")


def test_a_pickle_is_small_and_holds_no_password(churn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    monkeypatch.setenv("REGISTRY_S3_UPLOAD_EXTRA_ARGS", '{"SSECustomerKey": "hush-hush"}')

    pickled = pickle.dumps(Predictor(churn))

    assert len(pickled) < 10_000
    assert b"hush-hush" not in pickled


def test_a_process_loads_a_model_once_for_all_copies_and_threads(churn: str) -> None:
    predictor = Predictor(churn)
    copies = [pickle.loads(pickle.dumps(predictor)) for _ in range(8)]
    models: list[Any] = []
    threads = [threading.Thread(target=lambda copy=copy: models.append(copy.load())) for copy in copies]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {id(model) for model in models} == {id(predictor.load())}
    assert Predictor(churn, nthread=1).load() is not predictor.load()


def test_a_process_keeps_the_models_that_it_used_last(churn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinned, "_KEPT", 1)
    first, second = Predictor("models:/churn/1"), Predictor("models:/churn/2")

    model = first.load()
    second.load()

    assert first.load() is not model


@pytest.mark.slow
def test_a_forked_child_predicts_though_its_parent_used_threads(churn: str) -> None:
    program = """
import logging, os, sys
from scored_games import COLUMNS, games
from registry.scoring import Predictor
logging.basicConfig(format="%(message).40s")
predictor = Predictor("models:/churn/Production", nthread=2)
expected = predictor(games(50_000)[COLUMNS])["prediction"]
if os.fork() == 0:
    same = predictor(games(50_000)[COLUMNS])["prediction"].equals(expected)
    print(same, predictor.load().get_raw_model().n_jobs, flush=True)
    os._exit(0)
os.wait()
print(predictor.load().get_raw_model().n_jobs)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": SUPPORT},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.stdout.split() == ["True", "1", "2"]
    assert "This process was forked from one that ha" in done.stderr


def test_threads_are_those_of_the_predictor(churn: str) -> None:
    booster = Predictor(churn, nthread=1).load().get_raw_model().get_booster()

    assert re.findall(r'"nthread":"(\d+)"', booster.save_config()) == ["1"]


def test_threads_of_a_classifier_with_several_metrics_can_be_limited(own_place: Path) -> None:
    data = games(60)
    target = (data["rating_gap"] > 0).astype(int)
    model = XGBClassifier(n_estimators=2, eval_metric=["auc", "logloss"]).fit(data[COLUMNS], target)
    log_version(model)

    predictor = Predictor("models:/churn/1", nthread=1)

    assert predictor(data[COLUMNS])["prediction"].tolist() == model.predict(data[COLUMNS]).tolist()
    loaded = predictor.load().get_raw_model()
    assert (loaded.n_jobs, loaded.eval_metric) == (1, ["auc", "logloss"])


def test_threads_reach_the_estimators_inside_an_estimator(own_place: Path) -> None:
    from sklearn.ensemble import RandomForestClassifier, VotingClassifier

    data = games(60)
    target = (data["rating_gap"] > 0).astype(int)
    forest = RandomForestClassifier(n_estimators=2, n_jobs=2, random_state=0)
    log_version(VotingClassifier([("forest", forest), ("boosted", train(2))]).fit(data[COLUMNS], target))

    predictor = Predictor("models:/churn/1", nthread=1)

    assert predictor(data[COLUMNS])["prediction"].tolist() == predictor.load().predict(data[COLUMNS]).tolist()
    fitted = predictor.load().get_raw_model().estimators_
    assert [fitted[0].n_jobs, fitted[1].n_jobs] == [1, 1]


def test_threads_reach_estimators_whose_template_was_never_fitted(own_place: Path) -> None:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import StackingClassifier, VotingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    data = games(60)
    target = (data["rating_gap"] > 0).astype(int)
    template = XGBClassifier(n_estimators=2, eval_metric=["auc", "logloss"])
    parts = [("boosted", template), ("linear", LogisticRegression())]
    models = [
        CalibratedClassifierCV(template, cv=2),
        StackingClassifier(parts, cv=2),
        VotingClassifier(parts, voting="soft"),
        GridSearchCV(template, {"max_depth": [1, 2]}, cv=2),
    ]
    for version, model in enumerate(models, 1):
        log_version(model.fit(data[COLUMNS], target))

        predictor = Predictor(f"models:/churn/{version}", nthread=1)

        assert predictor(data[COLUMNS])["prediction"].tolist() == model.predict(data[COLUMNS]).tolist()
    search = predictor.load().get_raw_model()
    assert [search.estimator.n_jobs, search.best_estimator_.n_jobs] == [1, 1]
    assert '"nthread":"1"' in search.best_estimator_.get_booster().save_config()


@pytest.mark.parametrize("nthread", [0, -1, 1.0, True, "2"])
def test_a_wrong_number_of_threads_is_refused(churn: str, nthread: Any) -> None:
    with pytest.raises(InvalidParameterError, match="nthread is a number of threads from 1"):
        Predictor(churn, nthread=nthread)


@pytest.mark.parametrize(
    "batch_of",
    [
        lambda frame: frame,
        pa.Table.from_pandas,
        pa.RecordBatch.from_pandas,
        lambda frame: {name: frame[name].to_numpy() for name in frame},
    ],
    ids=["pandas", "table", "record batch", "arrays"],
)
def test_a_result_has_the_type_of_its_batch(churn: str, batch_of: Any) -> None:
    batch = batch_of(games(3))

    result = Predictor(churn, keep=["game"], with_model=True)(batch)

    assert type(result) is type(batch)
    frame = result.to_pandas() if hasattr(result, "to_pandas") else pd.DataFrame(result)
    assert frame.columns.tolist() == ["game", "prediction", "model_name", "model_version", "model_digest"]
    assert frame["game"].tolist() == [0, 1, 2]
    assert frame["prediction"].tolist() == registry.pyfunc.load_model(churn).predict(games(3)).tolist()
    assert frame["model_version"].tolist() == [1, 1, 1]


def test_a_result_keeps_the_index(churn: str) -> None:
    assert Predictor(churn)(games(4).iloc[[3, 1]]).index.tolist() == [3, 1]


def test_a_model_without_a_name_has_empty_columns(churn: str) -> None:
    predictor = Predictor(registry.resolve(churn).location, with_model=True)

    result = predictor(pa.Table.from_pandas(games(1)))

    assert result.select(["model_name", "model_version"]).to_pylist() == [{"model_name": None, "model_version": None}]
    assert result.schema.field("model_version").type == pa.int64()
    assert predictor(games(1))["model_version"].tolist() == [None]


def test_a_batch_without_rows_has_the_columns_and_types_of_one_with_rows(churn: str) -> None:
    predictor = Predictor(churn, keep=["game"], with_model=True)

    assert predictor(games(0)).dtypes.to_dict() == predictor(games(2)).dtypes.to_dict()
    table = pa.Table.from_pandas(games(2))
    assert predictor(table.slice(0, 0)).schema.types == predictor(table).schema.types


def test_a_batch_that_is_none_is_refused(churn: str) -> None:
    with pytest.raises(InvalidTypeError, match="A batch is a pandas DataFrame.*got list"):
        Predictor(churn)([[1.0, 2.0]])


def test_a_column_to_keep_must_be_there_and_must_not_be_one_that_is_added(churn: str) -> None:
    with pytest.raises(InvalidParameterError, match="no column 'day' to keep; they have"):
        Predictor(churn, keep=["day"])(games(1))
    with pytest.raises(InvalidParameterError, match="'prediction' is a column to keep and one that scoring adds"):
        Predictor(churn, keep=["prediction"])(games(1).assign(prediction=0))


@pytest.mark.parametrize(
    ("predictions", "columns"),
    [
        ([1, 2], {"prediction": [1, 2]}),
        (np.array([[1], [2]]), {"prediction": [1, 2]}),
        (np.array([[1, 3], [2, 4]]), {"prediction_0": [1, 2], "prediction_1": [3, 4]}),
        (pd.Series([1, 2], index=[7, 8], name="x"), {"prediction": [1, 2]}),
        (pd.DataFrame({"low": [1, 2], 5: [3, 4]}), {"low": [1, 2], "5": [3, 4]}),
        ({"low": [1, 2]}, {"low": [1, 2]}),
    ],
)
def test_predictions_become_columns(predictions: Any, columns: dict[str, list[int]]) -> None:
    assert {name: values.tolist() for name, values in prediction_columns(predictions, 2).items()} == columns


def test_predictions_of_more_dimensions_are_arrays_of_one_column() -> None:
    columns = prediction_columns(np.zeros((2, 3, 4)), 2)

    assert [value.shape for value in columns["prediction"]] == [(3, 4), (3, 4)]


def test_sparse_predictions_become_columns() -> None:
    from scipy.sparse import csr_matrix

    assert prediction_columns(csr_matrix([[0, 1]]), 1)["prediction_1"].tolist() == [1]


@pytest.mark.parametrize("predictions", [[1], {"a": [1, 2], "b": [1]}, {}])
def test_a_model_that_does_not_predict_each_row_is_refused(predictions: Any) -> None:
    with pytest.raises(InvalidModelError, match="scoring needs one per row"):
        prediction_columns(predictions, 2)


def test_columns_of_one_name_are_refused_since_one_would_be_lost() -> None:
    with pytest.raises(InvalidModelError, match="two columns named '0'"):
        prediction_columns(pd.DataFrame([[1, 2]], columns=[0, "0"]), 1)


@pytest.mark.parametrize(
    ("schema", "types"),
    [
        (None, {"prediction": "float64"}),
        (Schema([TensorSpec(np.dtype("float32"), (-1,))]), {"prediction": "float32"}),
        (Schema([TensorSpec(np.dtype("int64"), (-1, 2))]), {"prediction_0": "int64", "prediction_1": "int64"}),
        (Schema([ColSpec("long")]), {"prediction": "int64"}),
        (Schema([ColSpec("string", "a"), ColSpec("double", "b")]), {"a": "object", "b": "float64"}),
    ],
)
def test_no_rows_have_the_columns_of_the_signature(schema: Schema | None, types: dict[str, str]) -> None:
    assert {name: str(values.dtype) for name, values in empty_columns(schema).items()} == types


def test_a_directory_outside_the_registry_is_pinned_by_its_bytes(churn: str, own_place: Path) -> None:
    shutil.copytree(registry.resolve(churn).location, "plain")
    Path("plain").chmod(0o700)
    predictor = Predictor("plain")
    assert (predictor.model_name, predictor.model_version) == (None, None)
    assert predictor(games(2))["prediction"].tolist() == Predictor(churn)(games(2))["prediction"].tolist()

    Path("plain", "more.txt").write_text("more")

    with pytest.raises(IntegrityError, match=r"more\.txt was not sealed"):
        pinned.load_once(predictor._pinned, pinned.LoadOptions(False, (), "{}", 7))


def test_a_run_s_model_and_a_run_s_plain_directory_are_models_too(churn: str, own_place: Path) -> None:
    with registry.start_run() as run:
        registry.xgboost.log_model(train(2), name="boosted")
        registry.log_artifacts(registry.resolve(churn).location, "plain")

    logged = Predictor(f"runs:/{run.info.run_id}/boosted")
    plain = Predictor(f"runs:/{run.info.run_id}/plain")

    assert len(logged(games(2)[COLUMNS])) == 2
    assert plain.model_digest == Predictor(churn).model_digest
    assert len(plain(games(2))) == 2


def test_code_of_a_model_needs_the_driver_s_consent(own_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.pyfunc.log_model(
        name="model", python_model=lambda model_input: model_input["game"] * 2, registered_model_name="code"
    )
    with pytest.raises(CodeExecutionRefusedError):
        Predictor("models:/code/1")(games(2))

    monkeypatch.setenv("REGISTRY_ALLOW_CODE", "true")
    predictor = Predictor("models:/code/1")
    monkeypatch.delenv("REGISTRY_ALLOW_CODE")

    assert predictor(games(3))["prediction"].tolist() == [0, 2, 4]


def test_a_signature_can_be_required(churn: str, own_place: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = ec.generate_private_key(ec.SECP256R1())
    Path("key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    Path("public.pem").write_bytes(public)

    with pytest.raises(UntrustedModelError):
        Predictor(churn, require_signature="public.pem")
    with pytest.raises(UntrustedModelError, match="only models of a registry have signatures"):
        Predictor(".", require_signature="public.pem")
    registry.MlflowClient().sign_model(churn, private_key="key.pem")

    assert Predictor(churn, require_signature="public.pem").model_version == 1


def test_params_reach_the_model(own_place: Path) -> None:
    class Scaled(registry.pyfunc.PythonModel):
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return model_input["game"] * params["factor"] + context.model_config["offset"]

    signature = registry.models.infer_signature(games(2).astype(float), [1.0], params={"factor": 1})
    registry.pyfunc.log_model(
        name="model",
        python_model=Scaled(),
        signature=signature,
        model_config={"offset": 0},
        registered_model_name="scaled",
    )

    predictor = Predictor("models:/scaled/1", params={"factor": 10}, model_config={"offset": 5}, allow_code=True)

    assert predictor(games(3))["prediction"].tolist() == [5, 15, 25]
    with pytest.raises(InvalidParameterError, match="model_config travels to workers as JSON"):
        Predictor("models:/scaled/1", model_config={"offset": object()})


def test_a_stream_is_lazy_and_in_order(churn: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    results = Predictor(churn).stream(games(10).iloc[at : at + 3] for at in range(0, 9, 3))

    assert next(results).index.tolist() == [0, 1, 2]
    assert [result.index.tolist() for result in results] == [[3, 4, 5], [6, 7, 8]]


def test_only_columns_that_all_batches_have_are_read(churn: str, own_place: Path) -> None:
    assert Predictor(churn, keep=["game"]).columns_to_read == [*COLUMNS, "game"]
    registry.xgboost.save_model(train(2), "unsigned")
    assert Predictor("unsigned").columns_to_read is None

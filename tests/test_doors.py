"""The public doors: MLflow's signatures, and that each door leads where it says."""

import contextvars
import importlib
import importlib.metadata
import inspect
from contextvars import Context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.linear_model import LogisticRegression

import registry as mlflow
from registry.exceptions import (
    CodeExecutionRefusedError,
    InvalidParameterError,
    InvalidStateError,
    MlflowException,
    NotFoundError,
    PathExistsError,
    RegistryError,
    RestException,
)
from registry.fluent.run_context_tags import context_tags

# The parameters of mlflow 3.17.2 that are here, in order; ours come after them.
SIGNATURES = {
    "artifacts.download_artifacts": "artifact_uri run_id artifact_path dst_path tracking_uri registry_uri",
    "create_experiment": "name artifact_location tags",
    "create_external_model": "name source_run_id tags params model_type experiment_id",
    "data.from_pandas": "df source targets name digest predictions",
    "data.get_source": "dataset",
    "end_run": "status",
    "finalize_logged_model": "model_id status",
    "get_experiment": "experiment_id",
    "get_logged_model": "model_id",
    "initialize_logged_model": "name source_run_id tags params model_type experiment_id",
    "log_artifact": "local_path artifact_path run_id",
    "log_artifacts": "local_dir artifact_path run_id",
    "log_dict": "dictionary artifact_file run_id",
    "log_figure": "figure artifact_file save_kwargs",
    "log_image": "image artifact_file key step timestamp synchronous",
    "log_input": "dataset context tags model",
    "log_metric": "key value step synchronous timestamp run_id model_id dataset",
    "log_metrics": "metrics step synchronous run_id timestamp model_id dataset",
    "log_model_params": "params model_id",
    "log_param": "key value synchronous",
    "log_params": "params synchronous run_id",
    "log_table": "data artifact_file run_id",
    "log_text": "text artifact_file run_id",
    "models.get_model_info": "model_uri",
    "models.infer_signature": "model_input model_output params",
    "models.set_model": "model",
    "models.validate_schema": "data expected_schema",
    "prophet.get_default_conda_env": "",
    "prophet.get_default_pip_requirements": "",
    "prophet.load_model": "model_uri dst_path",
    "prophet.log_model": (
        "pr_model artifact_path conda_env code_paths registered_model_name signature input_example "
        "await_registration_for pip_requirements extra_pip_requirements metadata extra_files name params tags "
        "model_type step model_id"
    ),
    "prophet.save_model": (
        "pr_model path conda_env code_paths signature input_example pip_requirements extra_pip_requirements metadata "
        "extra_files"
    ),
    "pyfunc.get_default_conda_env": "",
    "pyfunc.get_default_pip_requirements": "",
    "pyfunc.load_model": "model_uri suppress_warnings dst_path model_config",
    "pyfunc.log_model": (
        "artifact_path loader_module data_path code_paths infer_code_paths conda_env python_model artifacts "
        "registered_model_name signature input_example await_registration_for pip_requirements extra_pip_requirements "
        "metadata model_config name params tags model_type step model_id"
    ),
    "pyfunc.save_model": (
        "path loader_module data_path code_paths infer_code_paths conda_env python_model artifacts signature "
        "input_example pip_requirements extra_pip_requirements metadata model_config"
    ),
    "pytorch.get_default_conda_env": "",
    "pytorch.get_default_pip_requirements": "",
    "pytorch.load_model": "model_uri dst_path",
    "pytorch.log_model": (
        "pytorch_model artifact_path conda_env code_paths registered_model_name signature input_example "
        "await_registration_for extra_files pip_requirements extra_pip_requirements metadata name params tags "
        "model_type step model_id serialization_format kwargs"
    ),
    "pytorch.save_model": (
        "pytorch_model path conda_env code_paths signature input_example extra_files pip_requirements "
        "extra_pip_requirements metadata serialization_format kwargs"
    ),
    "register_model": "model_uri name await_registration_for tags env_pack",
    "restore_experiment": "experiment_id",
    "search_experiments": "view_type max_results filter_string order_by",
    "search_model_versions": "max_results filter_string order_by",
    "search_registered_models": "max_results filter_string order_by",
    "search_runs": (
        "experiment_ids filter_string run_view_type max_results order_by output_format search_all_experiments "
        "experiment_names"
    ),
    "set_model_version_tag": "name version key value",
    "sklearn.get_default_conda_env": "include_cloudpickle include_skops",
    "sklearn.get_default_pip_requirements": "include_cloudpickle include_skops",
    "sklearn.load_model": "model_uri dst_path",
    "sklearn.log_model": (
        "sk_model artifact_path conda_env code_paths serialization_format registered_model_name signature "
        "input_example await_registration_for pip_requirements extra_pip_requirements pyfunc_predict_fn metadata "
        "extra_files params tags model_type step model_id name skops_trusted_types"
    ),
    "sklearn.save_model": (
        "sk_model path conda_env code_paths serialization_format signature input_example pip_requirements "
        "extra_pip_requirements pyfunc_predict_fn metadata skops_trusted_types extra_files"
    ),
    "start_run": "run_id experiment_id run_name nested parent_run_id tags description log_system_metrics",
    "xgboost.get_default_conda_env": "",
    "xgboost.get_default_pip_requirements": "",
    "xgboost.load_model": "model_uri dst_path",
    "xgboost.log_model": (
        "xgb_model artifact_path conda_env code_paths registered_model_name signature input_example "
        "await_registration_for pip_requirements extra_pip_requirements model_format metadata extra_files name params "
        "tags model_type step model_id kwargs"
    ),
    "xgboost.save_model": (
        "xgb_model path conda_env code_paths signature input_example pip_requirements extra_pip_requirements "
        "model_format metadata extra_files kwargs"
    ),
}


def function(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(f"registry.{module}" if module else "registry"), attribute)


@pytest.mark.parametrize("name", sorted(SIGNATURES))
def test_a_function_has_the_parameters_of_mlflow_and_those_that_go_by_position_in_their_order(name: str) -> None:
    theirs = SIGNATURES[name].split()
    ours = inspect.signature(function(name)).parameters
    head = [each.name for each in ours.values() if each.kind is each.POSITIONAL_OR_KEYWORD]

    assert head[: len(theirs)] == theirs[: len(head)]
    assert set(theirs) <= set(ours)


@pytest.mark.parametrize("name", [name for name in SIGNATURES if name.endswith(("save_model", "log_model"))])
def test_the_signature_that_is_shown_has_every_keyword_and_its_default(name: str) -> None:
    shown = inspect.signature(function(name)).parameters

    assert {"pip_requirements", "extra_pip_requirements", "metadata", "signature", "input_example"} <= set(shown)
    assert all(shown[key].default is None for key in ("pip_requirements", "metadata", "signature"))
    if name.endswith("log_model"):
        assert (shown["await_registration_for"].default, shown["step"].default, shown["name"].default) == (300, 0, None)


@pytest.mark.parametrize("name", ["sklearn.save_model", "sklearn.log_model", "pyfunc.save_model", "pyfunc.log_model"])
def test_a_keyword_that_there_is_not_is_refused_before_anything_is_saved(name: str, regression, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=rf"^{name.partition('.')[2]}\(\) got an unexpected keyword argument 'nmae'$"):
        function(name)(regression, str(tmp_path / "model"), nmae="model")
    assert list(tmp_path.glob("model")) == []


def test_the_parameters_are_those_of_the_installed_mlflow(run_mlflow) -> None:
    script = """
import inspect, functools
answer = {}
for name in sys.argv[1].split():
    found = functools.reduce(getattr, name.split("."), mlflow)
    answer[name] = list(inspect.signature(found).parameters)
"""
    theirs = run_mlflow(script, " ".join(sorted(SIGNATURES)))

    for name, signature in SIGNATURES.items():
        shared = signature.split()
        assert [parameter for parameter in theirs[name] if parameter in shared] == shared, name


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(3).normal(size=(40, 3)), columns=["pace", "rest", "form"])


@pytest.fixture(scope="module")
def wins(frame: pd.DataFrame) -> pd.Series:
    return (frame["pace"] + frame["form"] > 0).astype(int)


@pytest.fixture(scope="module")
def booster(frame: pd.DataFrame, wins: pd.Series) -> xgboost.XGBClassifier:
    return xgboost.XGBClassifier(n_estimators=3, max_depth=2, n_jobs=1).fit(frame, wins)


@pytest.fixture(scope="module")
def regression(frame: pd.DataFrame, wins: pd.Series) -> LogisticRegression:
    return LogisticRegression().fit(frame, wins)


class Doubled(mlflow.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return model_input * context.model_config.get("factor", 2)


def test_the_xgboost_door_saves_and_loads(booster, frame, tmp_path: Path) -> None:
    mlflow.xgboost.save_model(booster, tmp_path / "model")

    assert (tmp_path / "model" / "model.ubj").is_file()
    assert mlflow.xgboost.load_model(str(tmp_path / "model")).predict(frame).tolist() == booster.predict(frame).tolist()


def test_the_sklearn_door_saves_and_loads(regression, frame, tmp_path: Path) -> None:
    mlflow.sklearn.save_model(regression, tmp_path / "model")

    loaded = mlflow.sklearn.load_model(str(tmp_path / "model"))
    assert (tmp_path / "model" / "model.skops").is_file()
    assert loaded.predict(frame).tolist() == regression.predict(frame).tolist()


def test_saving_into_a_filled_directory_is_refused(regression, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(PathExistsError):
        mlflow.sklearn.save_model(regression, tmp_path)


@pytest.mark.parametrize("argument", ["name", "artifact_path"])
def test_both_words_for_the_name_of_a_model_work(argument: str, regression) -> None:
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(regression, **{argument: "model"})

    assert info.name == "model"
    assert mlflow.resolve(f"runs:/{run.info.run_id}/model").model_id == info.model_id


def test_the_second_argument_is_the_name_as_in_older_scripts(booster) -> None:
    with mlflow.start_run() as run:
        mlflow.xgboost.log_model(booster, "model")

    assert mlflow.resolve(f"runs:/{run.info.run_id}/model").name is None


def test_both_words_for_the_name_at_once_are_refused(booster) -> None:
    with pytest.raises(InvalidParameterError):
        mlflow.xgboost.log_model(booster, artifact_path="a", name="b")


def test_logging_without_a_run_starts_none(booster) -> None:
    def log() -> tuple[Any, ...]:
        info = mlflow.xgboost.log_model(booster, name="model")
        return info.run_id, mlflow.active_run(), mlflow.last_active_run()

    # An empty context: fixtures of earlier tests may have left a last run in this one.
    assert contextvars.Context().run(log) == (None, None, None)


def test_logging_registers_if_asked_to(booster) -> None:
    first = mlflow.xgboost.log_model(booster, name="model", registered_model_name="nba")
    second = mlflow.xgboost.log_model(booster, name="model", registered_model_name="nba")

    assert (first.registered_model_version, second.registered_model_version) == (1, 2)
    assert mlflow.resolve("models:/nba/latest").model_id == second.model_id


def test_a_pickled_estimator_loads_with_consent_only(regression, frame) -> None:
    info = mlflow.sklearn.log_model(regression, name="model", serialization_format="cloudpickle")

    with pytest.raises(CodeExecutionRefusedError):
        mlflow.sklearn.load_model(info.model_uri)
    loaded = mlflow.sklearn.load_model(info.model_uri, allow_code=True)
    assert loaded.predict(frame).tolist() == regression.predict(frame).tolist()


def test_consent_may_come_from_the_environment(regression, frame, monkeypatch: pytest.MonkeyPatch) -> None:
    info = mlflow.sklearn.log_model(regression, name="model", serialization_format="cloudpickle")
    monkeypatch.setenv("REGISTRY_ALLOW_CODE", "true")

    assert mlflow.pyfunc.load_model(info.model_uri).predict(frame).tolist() == regression.predict(frame).tolist()
    with pytest.raises(CodeExecutionRefusedError):
        mlflow.pyfunc.load_model(info.model_uri, allow_code=False)


def test_a_python_model_comes_back_with_its_configuration(frame) -> None:
    info = mlflow.pyfunc.log_model(name="model", python_model=Doubled(), model_config={"factor": 3})

    loaded = mlflow.pyfunc.load_model(info.model_uri, allow_code=True)
    other = mlflow.pyfunc.load_model(info.model_uri, allow_code=True, model_config={"factor": 5})
    assert loaded.predict(frame).equals(frame * 3)
    assert other.predict(frame).equals(frame * 5)


def test_a_loader_module_reads_its_own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "doors_constant_loader.py").write_text(
        "from pathlib import Path\n"
        "class Constant:\n"
        "    def __init__(self, value): self.value = value\n"
        "    def predict(self, data): return [self.value] * len(data)\n"
        "def _load_pyfunc(path): return Constant(Path(path).read_text())\n"
    )
    (tmp_path / "value.txt").write_text("7")
    monkeypatch.syspath_prepend(str(tmp_path))
    mlflow.pyfunc.save_model(tmp_path / "m", loader_module="doors_constant_loader", data_path=tmp_path / "value.txt")

    assert mlflow.pyfunc.load_model(str(tmp_path / "m"), allow_code=True).predict([1, 2]) == ["7", "7"]


def test_model_info_of_a_version_has_its_number_and_its_logged_model(booster, frame) -> None:
    logged = mlflow.xgboost.log_model(
        booster, name="model", input_example=frame[:2], tags={"kind": "tree"}, registered_model_name="nba"
    )

    info = mlflow.models.get_model_info("models:/nba/1")

    assert (info.model_id, info.registered_model_version, info.name) == (logged.model_id, 1, "model")
    assert info.tags is not None
    assert (info.tags["kind"], info.tags["mlflow.modelVersions"]) == ("tree", '[{"name": "nba", "version": 1}]')
    assert sorted(info.flavors) == ["python_function", "xgboost"]
    assert info.signature == logged.signature
    assert info.model_uri == "models:/nba/1"


def test_model_info_of_a_local_directory_needs_no_database(regression, tmp_path: Path, own_place: Path) -> None:
    mlflow.sklearn.save_model(regression, tmp_path / "model")

    info = mlflow.models.get_model_info(str(tmp_path / "model"))

    assert sorted(info.flavors) == ["python_function", "sklearn"]
    assert (info.model_id, info.registered_model_version) == (None, None)
    assert list(own_place.iterdir()) == []


def test_model_info_of_plain_files_of_a_run(regression, tmp_path: Path) -> None:
    mlflow.sklearn.save_model(regression, tmp_path / "model")
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(tmp_path / "model"), "copied")

    info = mlflow.models.get_model_info(f"runs:/{run.info.run_id}/copied")

    assert info.model_id is None
    assert sorted(info.flavors) == ["python_function", "sklearn"]


def test_model_info_of_nothing_is_an_error() -> None:
    with pytest.raises(NotFoundError):
        mlflow.models.get_model_info("models:/nba/1")


def test_where_nothing_was_logged_there_is_no_last_model() -> None:
    assert Context().run(mlflow.last_logged_model) is None


def test_the_last_logged_model_is_the_one_that_was_logged_last(booster) -> None:
    mlflow.xgboost.log_model(booster, name="first")
    second = mlflow.xgboost.log_model(booster, name="second")

    last = mlflow.last_logged_model()

    assert last is not None
    assert (last.model_id, last.name) == (second.model_id, "second")


def test_an_initialised_model_gets_its_files_later(booster, frame) -> None:
    with mlflow.start_run() as run:
        pending = mlflow.initialize_logged_model("later", tags={"a": 1}, model_type="booster")
        info = mlflow.xgboost.log_model(booster, model_id=pending.model_id, params={"depth": 2})

    model = mlflow.get_logged_model(pending.model_id)
    assert (pending.status, model.status) == ("PENDING", "READY")
    assert (info.model_id, model.name, model.source_run_id) == (pending.model_id, "later", run.info.run_id)
    assert (model.tags["a"], model.params, model.model_type) == ("1", {"depth": "2"}, "booster")
    loaded = mlflow.pyfunc.load_model(info.model_uri)
    assert loaded.predict(frame).tolist() == booster.predict(frame).tolist()
    with pytest.raises(InvalidStateError):
        mlflow.xgboost.log_model(booster, model_id=pending.model_id)


def test_labels_and_params_of_logged_models(booster) -> None:
    info = mlflow.xgboost.log_model(booster, name="model")
    mlflow.log_model_params({"depth": 3})
    mlflow.set_logged_model_tags(info.model_id, {"a": 1, "b": 2})
    mlflow.delete_logged_model_tag(info.model_id, "a")

    model = mlflow.get_logged_model(info.model_id)

    assert (model.params, model.tags["b"], "a" in model.tags) == ({"depth": "3"}, "2", False)


def test_a_model_that_is_given_up_is_failed() -> None:
    pending = mlflow.initialize_logged_model("later")

    assert mlflow.finalize_logged_model(pending.model_id, "FAILED").status == "FAILED"
    with pytest.raises(InvalidParameterError):
        mlflow.finalize_logged_model(pending.model_id, "DONE")


def test_params_of_no_model_at_all_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match="model_id"):
        Context().run(mlflow.log_model_params, {"depth": 3})


def test_a_label_of_a_version_can_be_set(booster) -> None:
    mlflow.xgboost.log_model(booster, name="model", registered_model_name="nba")
    mlflow.set_model_version_tag("nba", 1, "validated", True)

    assert mlflow.MlflowClient().get_model_version("nba", 1).tags == {"validated": "True"}


def test_a_deleted_experiment_can_be_restored() -> None:
    identifier = mlflow.create_experiment("games")
    mlflow.delete_experiment(identifier)
    mlflow.restore_experiment(identifier)

    assert mlflow.get_experiment(identifier).lifecycle_stage == "active"


def test_a_data_set_of_a_frame_is_recorded_with_its_source_and_schema(frame) -> None:
    with mlflow.start_run() as run:
        mlflow.log_input(mlflow.data.from_pandas(frame, source="s3://panel/games.parquet", name="panel"), "training")

    used = mlflow.get_run(run.info.run_id).inputs.dataset_inputs[0]

    assert (used.dataset.name, used.dataset.source_type) == ("panel", "s3")
    assert used.dataset.profile == '{"num_rows": 40, "num_elements": 120}'
    assert '"name": "pace"' in str(used.dataset.schema)
    assert mlflow.data.get_source(used).to_dict() == {"uri": "s3://panel/games.parquet"}
    assert mlflow.data.get_source(used.dataset).to_dict() == {"uri": "s3://panel/games.parquet"}


def test_a_data_set_without_a_source_comes_from_the_program(frame) -> None:
    source = mlflow.data.get_source(mlflow.data.from_pandas(frame))

    assert source.source_type == "code"
    assert {"mlflow.user", "mlflow.source.name", "mlflow.source.type"} <= source.to_dict()["tags"].keys()


def test_data_are_held_against_a_schema(frame) -> None:
    schema = mlflow.models.infer_signature(frame).inputs

    mlflow.models.validate_schema(frame, schema)
    with pytest.raises(MlflowException, match="pace"):
        mlflow.models.validate_schema(frame.drop(columns="pace"), schema)


def test_error_codes_have_names_and_numbers_of_mlflow() -> None:
    codes = importlib.import_module("registry.protos.databricks_pb2")

    assert codes.ErrorCode.Name(codes.RESOURCE_DOES_NOT_EXIST) == "RESOURCE_DOES_NOT_EXIST"
    assert codes.ErrorCode.Value("RESOURCE_ALREADY_EXISTS") == codes.RESOURCE_ALREADY_EXISTS == 3001
    with pytest.raises(ValueError, match="9999"):
        codes.ErrorCode.Name(9999)
    with pytest.raises(ValueError, match="NO_SUCH"):
        codes.ErrorCode.Value("NO_SUCH")


def test_every_error_code_is_a_constant() -> None:
    codes = importlib.import_module("registry.protos.databricks_pb2")

    assert {name: getattr(codes, name) for name in codes.ErrorCode.keys()} == dict(codes.ErrorCode.items())  # noqa: SIM118  # not a dict
    assert codes.ErrorCode.values() == list(dict(codes.ErrorCode.items()).values())


def test_error_codes_are_those_of_the_installed_mlflow(run_mlflow) -> None:
    codes = importlib.import_module("registry.protos.databricks_pb2")
    theirs = dict(run_mlflow("from mlflow.protos.databricks_pb2 import ErrorCode\nanswer = ErrorCode.items()"))

    assert {name: theirs[name] for name in codes.ErrorCode.keys()} == dict(codes.ErrorCode.items())  # noqa: SIM118  # not a dict


def test_errors_are_caught_by_every_name_that_scripts_know() -> None:
    assert MlflowException is RegistryError is RestException is mlflow.MlflowException


def test_a_version_status_goes_to_and_from_its_name() -> None:
    status = importlib.import_module("registry.entities.model_registry.model_version_status").ModelVersionStatus

    assert status.from_string("READY") == status.READY
    assert status.to_string(status.READY) == "READY"
    assert [str(one) for one in status.all_status()] == ["PENDING_REGISTRATION", "FAILED_REGISTRATION", "READY"]
    with pytest.raises(InvalidParameterError, match="READY"):
        status.from_string("DONE")


def test_the_small_names_of_the_doors_have_the_values_of_mlflow(run_mlflow) -> None:
    expected = {
        "keys": ["env", "data", "code", "loader_module"],
        "formats": ["skops", "pickle", "cloudpickle"],
        "sklearn": [["scikit-learn"], ["scikit-learn", "cloudpickle", "skops"]],
        "xgboost": ["xgboost"],
        "pyfunc": ["cloudpickle"],
        "conda": ["name", "channels", "dependencies"],
    }
    script = """
names = lambda lines: [line.partition("==")[0] for line in lines]
answer = {
    "keys": [mlflow.pyfunc.ENV, mlflow.pyfunc.DATA, mlflow.pyfunc.CODE, mlflow.pyfunc.MAIN],
    "formats": mlflow.sklearn.SUPPORTED_SERIALIZATION_FORMATS,
    "sklearn": [
        names(mlflow.sklearn.get_default_pip_requirements()),
        names(mlflow.sklearn.get_default_pip_requirements(include_cloudpickle=True, include_skops=True)),
    ],
    "xgboost": names(mlflow.xgboost.get_default_pip_requirements()),
    "pyfunc": names(mlflow.pyfunc.get_default_pip_requirements()),
    "conda": list(mlflow.sklearn.get_default_conda_env()),
}
"""
    ours: dict[str, Any] = {"mlflow": mlflow}
    exec(script, ours)

    assert ours["answer"] == expected
    assert run_mlflow(script) == expected


def test_default_requirements_are_pinned_to_what_is_installed() -> None:
    version = importlib.metadata.version("scikit-learn")

    assert mlflow.sklearn.get_default_pip_requirements() == [f"scikit-learn=={version}"]
    assert mlflow.sklearn.get_default_conda_env()["dependencies"][-1] == {"pip": [f"scikit-learn=={version}"]}


def test_the_input_example_comes_back_from_the_directory_of_a_model(regression, frame, tmp_path: Path) -> None:
    mlflow.sklearn.save_model(regression, tmp_path / "with", input_example=frame[:2])
    mlflow.sklearn.save_model(regression, tmp_path / "without")

    example = mlflow.models.Model.load(tmp_path / "with").load_input_example(tmp_path / "with")
    pd.testing.assert_frame_equal(example, frame[:2])
    assert mlflow.models.Model.load(tmp_path / "without").load_input_example(tmp_path / "without") is None


def test_the_input_example_of_a_uri_is_refused_with_the_way_out(regression, frame, tmp_path: Path) -> None:
    info = mlflow.sklearn.log_model(regression, name="model", input_example=frame[:2])
    directory = mlflow.artifacts.download_artifacts(info.model_uri, dst_path=tmp_path / "copy")
    model = mlflow.models.Model.load(directory)

    with pytest.raises(InvalidParameterError, match="artifacts.download_artifacts"):
        model.load_input_example(info.model_uri)
    pd.testing.assert_frame_equal(model.load_input_example(directory), frame[:2])


def test_an_external_model_is_ready_and_registers_but_does_not_load() -> None:
    with mlflow.start_run() as run:
        model = mlflow.create_external_model("agent", tags={"a": 1}, params={"depth": 3}, model_type="agent")

    assert (model.status, model.name, model.source_run_id) == ("READY", "agent", run.info.run_id)
    assert model.tags == {"a": "1", "mlflow.model.isExternal": "true", **context_tags()}
    assert (model.params, model.model_type) == ({"depth": "3"}, "agent")
    last = mlflow.last_logged_model()
    assert last is not None
    assert last.model_id == model.model_id
    assert mlflow.register_model(f"models:/{model.model_id}", "agents").version == 1
    with pytest.raises(NotFoundError, match="python_function"):
        mlflow.pyfunc.load_model("models:/agents/1")


def test_scripts_that_wait_for_files_go_on() -> None:
    with mlflow.start_run() as run:
        mlflow.log_text("a", "a.txt")
        mlflow.flush_artifact_async_logging()

    assert [file.path for file in mlflow.artifacts.list_artifacts(run_id=run.info.run_id)] == ["a.txt"]

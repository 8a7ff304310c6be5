"""The same mistakes beside mlflow's: where people search for MLflow's message, ours contains its first sentence."""

from typing import Any

import pytest

import registry

# Run with `mlflow` bound, in a directory of its own: each key of `answer` is a mistake, each value its message.
SCRIPT = r"""
import importlib, re
import pandas as pd
from sklearn.linear_model import LogisticRegression

client = mlflow.MlflowClient()
estimator = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
run, deleted = client.create_run("0").info.run_id, client.create_run("0").info.run_id
client.delete_run(deleted)
client.log_param(run, "depth", "1")
client.create_experiment("taken")
client.delete_experiment(client.create_experiment("gone"))
client.create_registered_model("m")
signature = importlib.import_module(mlflow.__name__ + ".models").infer_signature(pd.DataFrame({"a": [1.0]}))
mlflow.sklearn.save_model(estimator, "saved", signature=signature)
loaded = mlflow.pyfunc.load_model("saved")
frame = pd.DataFrame({"a": [1]})
save = mlflow.sklearn.save_model


def start_twice():
    mlflow.start_run()
    mlflow.start_run()


MISTAKES = {
    "a run that is not there": lambda: client.get_run("0" * 32),
    "a malformed run id": lambda: client.get_run("../x"),
    "an experiment that is not there": lambda: client.get_experiment("999"),
    "an experiment's name that is taken": lambda: client.create_experiment("taken"),
    "neither name nor id of an experiment": lambda: mlflow.set_experiment(),
    "a deleted experiment made active": lambda: mlflow.set_experiment("gone"),
    "a run in no experiment": lambda: client.create_run("999"),
    "a param with another value": lambda: client.log_param(run, "depth", "2"),
    "a bad character in a param's key": lambda: client.log_param(run, "a*b", "1"),
    "a param's key that climbs": lambda: client.log_param(run, "../a", "1"),
    "a bad character in a metric's key": lambda: client.log_metric(run, "a*b", 1.0),
    "a metric of no run": lambda: client.log_metric("0" * 32, "f1", 1.0),
    "a key that is too long": lambda: client.log_metric(run, "k" * 300, 1.0),
    "a tag without a key": lambda: client.set_tag(run, None, "x"),
    "a tag that is not there": lambda: client.delete_tag(run, "nosuch"),
    "a metric of a deleted run": lambda: client.log_metric(deleted, "f1", 1.0),
    "a second active run": start_twice,
    "a deleted run resumed": lambda: mlflow.start_run(deleted),
    "a status that there is not": lambda: client.set_terminated(run, "DONE"),
    "a registered model that exists": lambda: client.create_registered_model("m"),
    "a registered model with a slash": lambda: client.create_registered_model("a/b"),
    "a registered model without a name": lambda: client.create_registered_model(""),
    "a registered model that is not there": lambda: client.get_registered_model("nosuch"),
    "a version that is not there": lambda: client.get_model_version("m", 7),
    "a version that is no number": lambda: client.get_model_version("m", "seven"),
    "a stage that there is not": lambda: client.transition_model_version_stage("m", 1, "Live"),
    "the alias latest": lambda: client.set_registered_model_alias("m", "latest", 1),
    "an alias like a version": lambda: client.set_registered_model_alias("m", "v1", 1),
    "a bad character in an alias": lambda: client.set_registered_model_alias("m", "a b", 1),
    "an alias that is not there": lambda: client.get_model_version_by_alias("m", "nosuch"),
    "a version loaded that is not there": lambda: mlflow.pyfunc.load_model("models:/m/7"),
    "a directory without a model": lambda: mlflow.pyfunc.load_model("."),
    "a flavor that a model lacks": lambda: mlflow.xgboost.load_model("saved"),
    "too many results": lambda: client.search_runs(["0"], max_results=100_000),
    "a negative number of results": lambda: client.search_experiments(max_results=-1),
    "a page token that is none": lambda: client.search_runs(["0"], page_token="nosuch"),
    "ids and names of experiments": lambda: mlflow.search_runs(["0"], experiment_names=["a"]),
    "a format that there is not": lambda: mlflow.search_runs(["0"], output_format="csv"),
    "neither URI nor run of an artifact": lambda: mlflow.artifacts.download_artifacts(),
    "a model saved over another": lambda: save(estimator, "saved"),
    "two kinds of requirements": lambda: save(estimator, "b", pip_requirements=["a"], extra_pip_requirements=["b"]),
    "data without a column": lambda: loaded.predict(pd.DataFrame({"b": [1.0]})),
    "a logged model that is not there": lambda: client.get_logged_model("m-" + "0" * 32),
    "a target that is no column": lambda: mlflow.data.from_pandas(frame, targets="nosuch"),
    "a Python function without a model": lambda: mlflow.pyfunc.save_model("empty"),
}


def message_of(act):
    try:
        act()
    except Exception as error:
        return re.sub(r"[\"'`]", "", re.sub(r"[0-9a-f]{32}", "ID", str(error)))
    finally:
        while mlflow.active_run():
            mlflow.end_run()


answer = {mistake: message_of(act) for mistake, act in MISTAKES.items()}
"""
# What both say; quotation marks are left out, and ids are cut.
SAID = {
    "a run that is not there": "Run with id=ID not found",
    "a malformed run id": "Invalid value ../x for parameter run_id supplied",
    "an experiment that is not there": "No Experiment with id=999 exists",
    "an experiment's name that is taken": "Experiment(name=taken) already exists",
    "neither name nor id of an experiment": "Must specify exactly one of: experiment_id or experiment_name",
    "a deleted experiment made active": "Cannot set a deleted experiment gone as the active experiment",
    "a run in no experiment": "No Experiment with id=999 exists",
    "a param with another value": "Changing param values is not allowed",
    "a bad character in a param's key": (
        "Invalid value a*b for parameter key supplied: Names may only contain alphanumerics, underscores (_),"
        " dashes (-), periods (.), spaces ( ), colon(:) and slashes (/)"
    ),
    "a param's key that climbs": (
        "Invalid value ../a for parameter key supplied: Names may be treated as files in certain cases, and "
        "must not resolve to other names when treated as such"
    ),
    "a bad character in a metric's key": (
        "Invalid value a*b for parameter name supplied: Names may only contain alphanumerics, underscores "
        "(_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/)"
    ),
    "a metric of no run": "Run with id=ID not found",
    "a key that is too long": "exceeds the maximum length of 250 characters",
    "a tag without a key": "Missing value for required parameter key",
    "a tag that is not there": "No tag with name: nosuch in run with id ID",
    "a metric of a deleted run": "The run ID must be in the active state",
    "a second active run": "Run with UUID ID is already active",
    "a deleted run resumed": "Cannot start run with ID ID because it is in the deleted state",
    "a status that there is not": "Could not get run status corresponding to string DONE",
    "a registered model that exists": "Registered Model (name=m) already exists",
    "a registered model with a slash": "Invalid model name a/b",
    "a registered model without a name": "Missing value for required parameter name",
    "a registered model that is not there": "Registered Model with name=nosuch not found",
    "a version that is not there": "Model Version (name=m, version=7) not found",
    "a version that is no number": "Parameter version must be an integer, got seven",
    "a stage that there is not": "Invalid Model Version stage: Live",
    "the alias latest": "latest alias name (case insensitive) is reserved",
    "an alias like a version": "Version alias name v1 is reserved",
    "a bad character in an alias": "Invalid alias name: a b",
    "an alias that is not there": "Registered model alias nosuch not found",
    "a version loaded that is not there": "Model Version (name=m, version=7) not found",
    "a directory without a model": "Could not find an MLmodel configuration file at",
    "a flavor that a model lacks": "Model does not have the xgboost flavor",
    "too many results": "Invalid value 100000 for parameter max_results supplied",
    "a negative number of results": "Invalid value -1 for parameter max_results supplied",
    "a page token that is none": "Invalid page token",
    "ids and names of experiments": "Only experiment_ids or experiment_names can be used, but not both",
    "a format that there is not": "Unsupported output format: csv",
    "neither URI nor run of an artifact": "Exactly one of run_id or artifact_uri must be specified",
    "a model saved over another": "Path saved already exists and is not empty",
    "two kinds of requirements": "Only one of conda_env, pip_requirements, and extra_pip_requirements can be specified",
    "data without a column": "Failed to enforce schema of data",
    "a logged model that is not there": "Logged model with ID m-ID not found",
    "a target that is no column": "The specified pandas DataFrame does not contain the specified targets column nosuch",
    "a Python function without a model": "Either loader_module or python_model must be specified",
}


@pytest.fixture
def messages() -> dict[str, str]:
    """What registry says of each mistake."""
    names: dict[str, Any] = {"mlflow": registry}
    exec(SCRIPT, names)
    return names["answer"]


def test_a_message_contains_the_first_sentence_of_that_of_mlflow(messages: dict[str, str]) -> None:
    assert {mistake: said for mistake, said in SAID.items() if said not in messages[mistake]} == {}
    assert messages.keys() == SAID.keys()


def test_those_are_sentences_of_the_installed_mlflow(run_mlflow) -> None:
    theirs = run_mlflow(SCRIPT)

    assert {mistake: said for mistake, said in SAID.items() if said not in theirs[mistake]} == {}

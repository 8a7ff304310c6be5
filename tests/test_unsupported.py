"""Names of MLflow's: each is here, or says that it is not and what to do instead."""

import importlib
import json
import subprocess
import sys

import pytest

import registry
from registry.exceptions import ModuleNotSupportedError, NotSupportedError
from registry.unsupported import ABSENT

# `mlflow.__all__` and the modules of the package, of mlflow 3.17.2.
MLFLOW_NAMES = """
ActiveModel ActiveRun Image MlflowClient MlflowException active_run add_trace autolog clear_active_model context
create_experiment create_external_model create_workspace delete_assessment delete_experiment delete_experiment_tag
delete_logged_model_tag delete_prompt_alias delete_run delete_tag delete_trace_tag delete_workspace
disable_system_metrics_logging doctor enable_system_metrics_logging end_run evaluate finalize_logged_model
flush_artifact_async_logging flush_async_logging flush_trace_async_logging gateway get_active_model_id
get_active_trace_id get_artifact_uri get_assessment get_current_active_span get_experiment get_experiment_by_name
get_last_active_trace_id get_logged_model get_parent_run get_registry_uri get_run get_trace get_tracking_uri
get_workspace import_checkpoints initialize_logged_model is_tracking_uri_set last_active_run last_logged_model
list_workspaces load_prompt load_table log_artifact log_artifacts log_assessment log_dict log_expectation log_feedback
log_figure log_image log_input log_inputs log_issue log_metric log_metrics log_model_params log_outputs log_param
log_params log_stream log_table log_text log_trace login override_feedback pyfunc register_model register_prompt
restore_experiment restore_run run search_experiments search_logged_models search_model_versions search_prompts
search_registered_models search_runs search_sessions search_traces set_active_model set_experiment set_experiment_tag
set_experiment_tags set_logged_model_tags set_model_version_tag set_prompt_alias set_registry_uri
set_system_metrics_node_id set_system_metrics_samples_before_logging set_system_metrics_sampling_interval set_tag
set_tags set_trace_tag set_tracking_uri set_workspace start_run start_span start_span_no_context test trace
update_assessment update_current_trace update_workspace validate_evaluation_results
""".split()
MLFLOW_MODULES = """
ag2 agent agno ai_commands anthropic artifacts assistant autogen azure bedrock catboost claude_code cli client config
crewai data db demo deployments diffusers dspy entities environment_variables error_classification evaluation
exceptions experiments gateway gemini genai groq h2o haystack johnsnowlabs keras langchain legacy_databricks_cli
lightgbm litellm llama_index mcp metrics mismatch mistral ml_package_versions models onnx openai optuna otel paddle
pmdarima projects prompt prophet protos pydantic_ai pyfunc pyspark pytest pytorch rfunc runs sagemaker semantic_kernel
sentence_transformers server shap sklearn smolagents spacy spark statsmodels store strands system_metrics telemetry
tensorflow tracing tracking transformers types typesafe utils version webhooks xgboost
""".split()
# Rooms of ours that have the name of one of MLflow's modules; neither is public.
OURS = {"cli", "store"}


@pytest.mark.parametrize("name", sorted({*MLFLOW_NAMES, *MLFLOW_MODULES} - OURS))
def test_a_name_of_mlflow_is_here_or_says_that_it_is_not(name: str) -> None:
    assert (name in registry.__all__) != (name in ABSENT)


def test_every_name_of_the_installed_mlflow_is_here_or_says_that_it_is_not(run_mlflow) -> None:
    script = """
import pkgutil
answer = [*mlflow.__all__, *(module.name for module in pkgutil.iter_modules(mlflow.__path__))]
"""
    names = {name for name in run_mlflow(script) if not name.startswith("_")}

    assert sorted(names - {*registry.__all__, *ABSENT} - OURS) == []


@pytest.mark.parametrize("name", sorted(name for name in ABSENT if "." not in name))
def test_an_absent_name_is_no_attribute_and_says_what_to_do_instead(name: str) -> None:
    assert not hasattr(registry, name)
    with pytest.raises(NotSupportedError) as caught:
        getattr(registry, name)
    assert str(caught.value) == f"mlflow.{name} is not part of registry. {ABSENT[name]}"
    assert caught.value.error_code == "NOT_IMPLEMENTED"


@pytest.mark.parametrize("name", sorted(name for name in ABSENT if not name.startswith("MlflowClient.")))
def test_an_absent_name_is_no_module_and_says_what_to_do_instead(name: str) -> None:
    with pytest.raises(ModuleNotSupportedError) as caught:
        importlib.import_module(f"registry.{name}")
    assert str(caught.value) == f"mlflow.{name} is not part of registry. {ABSENT[name]}"


@pytest.mark.parametrize(
    ("door", "name"),
    [
        name.split(".")
        for name in sorted(ABSENT)
        if name.count(".") == 1 and not name.startswith(("store.", "MlflowClient."))
    ],
)
def test_an_absent_name_of_a_module_is_no_attribute_of_it(door: str, name: str) -> None:
    with pytest.raises(NotSupportedError):
        getattr(importlib.import_module(f"registry.{door}"), name)


@pytest.mark.parametrize("name", sorted(name for name in ABSENT if name.startswith("MlflowClient.")))
def test_an_absent_method_of_the_client_says_what_to_do_instead(name: str) -> None:
    method = name.partition(".")[2]

    assert not hasattr(registry.MlflowClient, method)
    with pytest.raises(NotSupportedError) as caught:
        getattr(registry.MlflowClient(), method)
    assert str(caught.value) == f"mlflow.{name} is not part of registry. {ABSENT[name]}"


def test_the_client_lists_only_what_it_has_and_guesses_at_slips() -> None:
    client = registry.MlflowClient()

    assert [name for name in dir(client) if f"MlflowClient.{name}" in ABSENT] == []
    with pytest.raises(AttributeError) as caught:
        client.transition_model_version_stages  # noqa: B018 - to touch it is the test
    assert str(caught.value) == (
        "'MlflowClient' object has no attribute 'transition_model_version_stages'; "
        "did you mean 'transition_model_version_stage'?"
    )


# Modules of MLflow's that scripts import names from; each has what we lack, which must say so or be a slip for us.
DOORS = """
artifacts data data.pandas_dataset entities entities.model_registry models models.signature pyfunc pyfunc.model sklearn
tracking tracking.fluent types types.schema xgboost
""".split()


def test_every_public_name_of_the_installed_mlflow_s_modules_is_here_or_says_that_it_is_not(run_mlflow) -> None:
    script = f"""
import importlib
answer = []
for door in {DOORS!r}:
    module = importlib.import_module("mlflow." + door)
    answer += [f"{{door}}.{{name}}" for name in getattr(module, "__all__", []) if not name.startswith("_")]
"""
    silent = []
    for dotted in run_mlflow(script):
        door, _, name = dotted.rpartition(".")
        try:
            getattr(importlib.import_module(f"registry.{door}"), name)
        except NotSupportedError:
            continue
        except AttributeError:
            silent.append(dotted)
    assert silent == []


def test_every_method_of_the_installed_mlflow_client_is_here_or_says_that_it_is_not(run_mlflow) -> None:
    theirs = run_mlflow("answer = [name for name in dir(mlflow.MlflowClient) if not name.startswith('_')]")

    absent = {name.partition(".")[2] for name in ABSENT if name.startswith("MlflowClient.")}
    assert sorted(name for name in theirs if name not in absent and not hasattr(registry.MlflowClient, name)) == []


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("from registry import autolog", "autolog"),
        ("from registry import start_run, trace", "trace"),
        ("import registry.lightgbm", "lightgbm"),
        ("import registry.pytorch as torch_models", "pytorch"),
        ("from registry.utils import mlflow_tags", "utils"),
        ("from registry.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID", "utils"),
        ("from registry.store.tracking import SEARCH_MAX_RESULTS_DEFAULT", "store.tracking"),
        ("from registry.xgboost import autolog", "xgboost.autolog"),
        ("from registry.models import set_signature", "models.set_signature"),
        ("from registry.data import from_spark", "data.from_spark"),
        ("from registry.deployments import get_deploy_client", "deployments"),
        ("from registry.models.signature import set_signature", "models.set_signature"),
        ("from registry.models import set_retriever_schema", "models.set_retriever_schema"),
        ("from registry.pyfunc.model import ChatModel", "pyfunc.ChatModel"),
        ("from registry.tracking.fluent import autolog", "autolog"),
        ("from registry.tracking.fluent import start_run, set_active_model", "set_active_model"),
        ("from registry.entities import Metric, Trace", "entities.Trace"),
        ("from registry.entities.metric import Metric", "entities.metric"),
        ("from registry.entities.model_registry import PromptVersion", "entities.model_registry.PromptVersion"),
        ("import registry.entities.span_event", "entities.span_event"),
    ],
)
def test_an_import_statement_says_what_is_absent_and_what_to_do_instead(statement: str, name: str) -> None:
    with pytest.raises(ModuleNotSupportedError, match=rf"^mlflow\.{name} is not part of registry\. .+"):
        exec(statement)


@pytest.mark.parametrize(
    ("door", "name", "message"),
    [
        ("registry", "log_metrix", "module 'registry' has no attribute 'log_metrix'; did you mean 'log_metric'?"),
        ("registry", "strat_run", "module 'registry' has no attribute 'strat_run'; did you mean 'start_run'?"),
        ("registry", "zzz", "module 'registry' has no attribute 'zzz'"),
        ("registry", "__wrapped__", "module 'registry' has no attribute '__wrapped__'"),
        (
            "registry.models",
            "infer_signatur",
            "module 'registry.models' has no attribute 'infer_signatur'; did you mean 'infer_signature'?",
        ),
    ],
)
def test_a_misspelt_name_is_a_plain_attribute_error_with_a_guess(door: str, name: str, message: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(importlib.import_module(door), name)
    assert type(caught.value) is AttributeError
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["registry.zzz", "registry.models.zzz"])
def test_a_misspelt_module_is_a_plain_import_error(name: str) -> None:
    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module(name)
    assert type(caught.value) is ModuleNotFoundError


def test_modules_of_other_packages_are_left_alone() -> None:
    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module("registrylike.autolog")
    assert type(caught.value) is ModuleNotFoundError


@pytest.mark.parametrize(
    "statement",
    [
        "from registry import MlflowClient, MlflowException, ActiveRun",
        "from registry.artifacts import download_artifacts, list_artifacts, load_dict, load_image, load_text",
        "from registry.client import MlflowClient",
        "from registry.data import from_pandas, get_source",
        "from registry.data.dataset import Dataset",
        "from registry.data.dataset_source import DatasetSource",
        "from registry.data.pandas_dataset import PandasDataset, from_pandas",
        "from registry.entities import Dataset, DatasetInput, Experiment, ExperimentTag, FileInfo, InputTag",
        "from registry.entities import LifecycleStage, LoggedModel, LoggedModelStatus, Metric, Param, Run, RunData",
        "from registry.entities import RunInfo, RunInputs, RunStatus, RunTag, SourceType, ViewType",
        "from registry.entities.model_registry import ModelVersion, ModelVersionTag, RegisteredModel",
        "from registry.entities.model_registry import RegisteredModelAlias, RegisteredModelTag",
        "from registry.entities.model_registry.model_version import ModelVersion",
        "from registry.entities.model_registry.model_version_stages import ALL_STAGES, STAGE_PRODUCTION",
        "from registry.entities.model_registry.model_version_status import ModelVersionStatus",
        "from registry.entities.model_registry.model_version_tag import ModelVersionTag",
        "from registry.entities.model_registry.registered_model import RegisteredModel",
        "from registry.entities.model_registry.registered_model_alias import RegisteredModelAlias",
        "from registry.entities.model_registry.registered_model_tag import RegisteredModelTag",
        "from registry.entities.run import Run",
        "from registry.exceptions import MlflowException, RestException",
        "from registry.models import Model, ModelSignature, get_model_info, infer_signature, validate_schema",
        "from registry.models.model import Model, ModelInfo, get_model_info",
        "from registry.models.signature import ModelSignature, infer_signature",
        "from registry.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST, ErrorCode",
        "from registry.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE, NOT_FOUND",
        "from registry.pyfunc import PyFuncModel, PythonModel, PythonModelContext, load_model",
        "from registry.pyfunc.model import PythonModel, PythonModelContext",
        "from registry.sklearn import load_model, log_model, save_model",
        "from registry.tracking import MlflowClient, get_tracking_uri, set_tracking_uri",
        "from registry.tracking.client import MlflowClient",
        "from registry.tracking.fluent import active_run, log_metric, search_runs, start_run",
        "from registry.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec",
        "from registry.types.schema import Array, ColSpec, DataType, Map, Object, Property, Schema, TensorSpec",
        "from registry.xgboost import load_model, log_model, save_model",
    ],
)
def test_a_classic_import_works(statement: str) -> None:
    names: dict[str, object] = {}
    exec(statement, names)
    assert all(value is not None for value in names.values())


def test_a_classic_import_works_first_thing_in_a_process() -> None:
    program = """
import json
from registry.tracking.client import MlflowClient
from registry.models.signature import infer_signature
import registry.sklearn
import registry
print(json.dumps([MlflowClient is registry.MlflowClient, registry.sklearn.log_model.__module__]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout) == [True, "registry.sklearn"]

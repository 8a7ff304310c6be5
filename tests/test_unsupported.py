"""Names of MLflow's: each is here, or says that it is not and what to do instead."""

import importlib
import json
import subprocess
import sys

import pytest

import registry
from registry.exceptions import ModuleNotSupportedError, NotSupportedError
from registry.unsupported import REMOVED, find_message

# Names of mlflow 3.17 that are not here, by what to do instead.
ADVICE = {
    (
        "Autologging is here for xgboost, lightgbm and sklearn. Log by hand otherwise: log_params and log_metrics in "
        "a run, and log_model of a flavor after training."
    ): """
pyfunc.autolog pytorch.autolog
""",
    "Give evaluate(extra_metrics=[models.make_metric(eval_fn=…)]) a function; models.MetricValue is its result.": """
metrics models.evaluation
""",
    "There is no tracing. Log figures with log_metrics, texts with log_text and log_table.": """
trace tracing add_trace context delete_trace_tag flush_trace_async_logging get_active_trace_id
get_current_active_span get_last_active_trace_id get_trace log_trace otel search_sessions search_traces
set_trace_tag start_span start_span_no_context update_current_trace delete_assessment get_assessment
log_assessment log_expectation log_feedback log_issue override_feedback update_assessment
MlflowClient.delete_trace_tag MlflowClient.delete_traces MlflowClient.end_span MlflowClient.end_trace
MlflowClient.get_trace MlflowClient.link_traces_to_run MlflowClient.search_traces MlflowClient.set_trace_tag
MlflowClient.start_span MlflowClient.start_trace MlflowClient.unlink_traces_from_run
""",
    "There is no prompt registry. Keep prompts as artifacts: log_text, or files of a model.": """
delete_prompt_alias genai load_prompt prompt register_prompt search_prompts set_prompt_alias
MlflowClient.create_prompt MlflowClient.create_prompt_version MlflowClient.delete_prompt
MlflowClient.delete_prompt_alias MlflowClient.delete_prompt_tag MlflowClient.delete_prompt_version
MlflowClient.delete_prompt_version_tag MlflowClient.detach_prompt_from_run MlflowClient.get_prompt
MlflowClient.get_prompt_version MlflowClient.get_prompt_version_by_alias
MlflowClient.link_prompt_version_to_model MlflowClient.link_prompt_version_to_run
MlflowClient.link_prompt_versions_to_trace MlflowClient.list_logged_prompts MlflowClient.load_prompt
MlflowClient.parse_prompt_uri MlflowClient.register_prompt MlflowClient.search_prompt_versions
MlflowClient.search_prompts MlflowClient.set_prompt_alias MlflowClient.set_prompt_tag
MlflowClient.set_prompt_version_tag
""",
    "There are no workspaces or logins: each database is one. Choose it with set_tracking_uri.": """
create_workspace delete_workspace get_workspace legacy_databricks_cli list_workspaces login set_workspace
update_workspace MlflowClient.create_workspace MlflowClient.delete_workspace MlflowClient.get_workspace
MlflowClient.get_workspace_store_uri MlflowClient.list_workspaces MlflowClient.update_workspace
""",
    "Give start_run(log_system_metrics=True), or call enable_system_metrics_logging().": """
system_metrics.metrics system_metrics.system_metrics_monitor
""",
    "Projects are not run from here. Start the script itself; REGISTRY_RUN_ID lets it resume a run.": """
projects run
""",
    (
        "There is no tracking server: every program opens the database itself. To serve a model, run registry models "
        "serve URI, or call serving.follow(uri) in your own service."
    ): """
deployments sagemaker server gateway mcp models.build_docker models.predict pyfunc.backend
pyfunc.scoring_server
""",
    "Events of models are delivered by `registry events watch`, or from a program by WebhookSink.": """
webhooks MlflowClient.create_webhook MlflowClient.delete_webhook MlflowClient.get_webhook
MlflowClient.list_webhooks MlflowClient.test_webhook MlflowClient.update_webhook
""",
    (
        "Log weights with pytorch.log_model(module, serialization_format='safetensors'), and load them with "
        "pytorch.load_model(uri, module=…)."
    ): "pytorch.log_state_dict pytorch.save_state_dict pytorch.load_state_dict",
    (
        "There are no checkpoints of Lightning. Log the file with log_artifact, and get it back with "
        "artifacts.download_artifacts."
    ): "pytorch.load_checkpoint pytorch.MlflowModelCheckpointCallback",
    (
        "There is no such flavor here. Save the model with pyfunc.log_model(python_model=…), log its file "
        "with log_artifact, or add the flavor by an entry point in the group 'registry.flavors'."
    ): """
diffusers h2o johnsnowlabs keras paddle pmdarima pyspark rfunc
sentence_transformers shap spacy spark statsmodels tensorflow transformers optuna
""",
    "There is no support for language-model frameworks; plain runs, artifacts and pyfunc models work.": """
ag2 agent agno ai_commands anthropic assistant autogen bedrock claude_code crewai dspy gemini groq haystack
langchain litellm llama_index mistral openai pydantic_ai semantic_kernel smolagents strands txtai typesafe
pyfunc.ChatAgent pyfunc.ChatModel pyfunc.ResponsesAgent pyfunc.set_prediction_context
models.set_retriever_schema models.rag_signatures models.resources models.ModelConfig models.auth_policy
models.Resource models.ResourceType MlflowClient.create_mcp_access_endpoint MlflowClient.create_mcp_server
MlflowClient.create_mcp_server_version MlflowClient.delete_mcp_access_endpoint MlflowClient.delete_mcp_server
MlflowClient.delete_mcp_server_alias MlflowClient.delete_mcp_server_tag MlflowClient.delete_mcp_server_version
MlflowClient.delete_mcp_server_version_tag MlflowClient.get_latest_mcp_server_version
MlflowClient.get_mcp_access_endpoint MlflowClient.get_mcp_server MlflowClient.get_mcp_server_version
MlflowClient.get_mcp_server_version_by_alias MlflowClient.refresh_mcp_server_version_tools
MlflowClient.search_mcp_access_endpoints MlflowClient.search_mcp_server_versions
MlflowClient.search_mcp_servers MlflowClient.set_mcp_server_alias MlflowClient.set_mcp_server_tag
MlflowClient.set_mcp_server_version_tag MlflowClient.update_mcp_access_endpoint MlflowClient.update_mcp_server
MlflowClient.update_mcp_server_version
""",
    "Stores are not public. The tracking URI chooses them; MlflowClient has every operation.": """
azure db store.artifact store.db store.entities store.model_registry tracking._model_registry
tracking._tracking_service tracking.registry tracking.context tracking.request_header
""",
    "MLflow's internals are not here. Tags are plain strings, such as 'mlflow.parentRunId'.": """
utils.rest_utils config error_classification import_checkpoints mismatch ml_package_versions pytest telemetry test
models.flavor_backend models.FlavorBackend sklearn.utils protos.model_registry_pb2 protos.service_pb2
""",
    "The command line is `registry` (`registry --help`); scripts use the functions and MlflowClient.": """
demo experiments runs models.cli
""",
    "Settings are environment variables, REGISTRY_… or MLFLOW_…; see docs/operations/settings.md.": """
environment_variables
""",
    "Use registry.__version__, or registry.version.VERSION for MLflow's.": "VERSION",
    ("Logged models are sealed. Give signature= or pip_requirements= to log_model, and log the model again."): """
models.add_libraries_to_model models.update_model_requirements models.wheeled_model
pyfunc.add_to_model
""",
    "Make a DataFrame and use data.from_pandas; a source of any kind can be given as its URI.": """
data.from_huggingface data.from_spark data.from_tensorflow data.load_delta
data.load_dataset data.spark_dataset data.tensorflow_dataset
data.huggingface_dataset data.delta_dataset_source data.dataset_registry
MlflowClient.add_dataset_to_experiments MlflowClient.create_dataset MlflowClient.delete_dataset
MlflowClient.delete_dataset_tag MlflowClient.get_dataset MlflowClient.remove_dataset_from_experiments
MlflowClient.search_datasets MlflowClient.set_dataset_tags
""",
    "Environments are not built. The model's requirements.txt says what to install.": """
models.infer_pip_requirements models.container models.docker_utils pyfunc.get_model_dependencies
""",
    "Use artifacts.download_artifacts.": "tracking.artifact_utils",
    "Describe inputs and outputs by models.infer_signature or a types.schema.Schema.": """
types.agent types.chat types.llm types.responses types.type_hints types.utils models.ModelInputExample
models.convert_input_example_to_serving_input models.validate_serving_input
""",
}
ABSENT = {name: advice for advice, names in ADVICE.items() for name in names.split()}

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
    assert (name in registry.__all__) != (find_message(name) is not None)


def test_every_name_of_the_installed_mlflow_is_here_or_says_that_it_is_not(run_mlflow) -> None:
    script = """
import pkgutil
answer = [*mlflow.__all__, *(module.name for module in pkgutil.iter_modules(mlflow.__path__))]
"""
    names = {name for name in run_mlflow(script) if not name.startswith("_")}

    assert sorted(name for name in names - {*registry.__all__} - OURS if find_message(name) is None) == []


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

    assert [name for name in dir(client) if f"MlflowClient.{name}" in {*ABSENT, *REMOVED}] == []
    with pytest.raises(AttributeError) as caught:
        client.transition_model_version_stages  # noqa: B018 - to touch it is the test
    assert str(caught.value) == (
        "'MlflowClient' object has no attribute 'transition_model_version_stages'; "
        "did you mean 'transition_model_version_stage'?"
    )


# Modules of MLflow's that scripts import names from; each has what we lack, which must say so or be a slip for us.
DOORS = """
artifacts data data.pandas_dataset entities entities.model_registry models models.signature prophet pyfunc pyfunc.model
pytorch sklearn tracking tracking.fluent types types.schema xgboost
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

    silent = [name for name in theirs if find_message(f"MlflowClient.{name}") is None]
    assert sorted(name for name in silent if not hasattr(registry.MlflowClient, name)) == []


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("from registry import search_traces", "search_traces"),
        ("from registry import start_run, trace", "trace"),
        ("import registry.keras", "keras"),
        ("import registry.keras as keras_models", "keras"),
        ("from registry.pytorch import log_state_dict", "pytorch.log_state_dict"),
        ("from registry.utils import rest_utils", "utils.rest_utils"),
        ("from registry.utils.mlflow_tags import MLFLOW_DOCKER", "utils.mlflow_tags.MLFLOW_DOCKER"),
        ("from registry.store.tracking import SEARCH_MAX_RESULTS_DEFAULT", "store.tracking.SEARCH_MAX_RESULTS_DEFAULT"),
        ("from registry.pyfunc import autolog", "pyfunc.autolog"),
        ("from registry.models import add_libraries_to_model", "models.add_libraries_to_model"),
        ("from registry.data import from_spark", "data.from_spark"),
        ("from registry.deployments import get_deploy_client", "deployments"),
        ("from registry.models import set_retriever_schema", "models.set_retriever_schema"),
        ("from registry.pyfunc.model import ChatModel", "pyfunc.ChatModel"),
        ("from registry.tracking.fluent import search_traces", "search_traces"),
        ("from registry.tracking.fluent import start_run, search_traces", "search_traces"),
        ("from registry.entities import Metric, Trace", "entities.Trace"),
        ("from registry.entities.metric import Metric", "entities.metric"),
        ("from registry.entities.model_registry import PromptVersion", "entities.model_registry.PromptVersion"),
        ("import registry.entities.span_event", "entities.span_event"),
    ],
)
def test_an_import_statement_says_what_is_absent_and_what_to_do_instead(statement: str, name: str) -> None:
    with pytest.raises(ModuleNotSupportedError, match=rf"^mlflow\.{name} is not part of registry\. .+"):
        exec(statement)


# Every public name that mlflow 1.0, 1.10, 1.20, 1.30, 2.0, 2.9, 2.22, 3.1 or 3.7 had and mlflow 3.17 has not.
REMOVED_BY_MLFLOW = """
alembic azureml delete_expectation delete_feedback delete_prompt diviner fastai get_last_active_trace gluon keras_core
list_experiments list_run_infos llm mleap pipelines promptflow recipes temporary_db_migrations_for_pre_1_users
update_expectation update_feedback MlflowClient.delete_assessment MlflowClient.list_experiments
MlflowClient.list_registered_models MlflowClient.list_run_infos MlflowClient.log_assessment MlflowClient.log_prompt
MlflowClient.update_assessment data.DBFS_PREFIX data.DBFS_REGEX data.DownloadException data.GS_PREFIX data.GS_REGEX
data.S3_PREFIX data.S3_REGEX data.download_uri data.is_uri data.parse_gs_uri data.parse_s3_uri entities.TraceInfoV2
models.signature.MlflowInferableDataset pyfunc.cli pyfunc.loader_template pyfunc.mlserver sklearn.eval_and_log_metrics
tracking.llm_utils tracking.service tracking.sinks tracking.utils
""".split()


def test_the_names_that_mlflow_removed_are_all_in_the_table() -> None:
    assert sorted(REMOVED) == sorted(REMOVED_BY_MLFLOW)


@pytest.mark.parametrize("name", REMOVED_BY_MLFLOW)
def test_a_name_that_mlflow_removed_says_so_and_what_to_call(name: str) -> None:
    owner, _, attribute = name.rpartition(".")
    holder = (
        registry.MlflowClient() if owner == "MlflowClient" else importlib.import_module(f"registry.{owner}".rstrip("."))
    )
    with pytest.raises(NotSupportedError) as caught:
        getattr(holder, attribute)
    last, call = REMOVED[name]
    assert str(caught.value) == f"mlflow.{name} is not part of registry; MLflow removed it after {last}. {call}"


@pytest.mark.parametrize(
    ("owner", "name", "call"),
    [
        (registry, "list_experiments", "Call search_experiments(view_type, max_results)."),
        (
            registry,
            "list_run_infos",
            'Call search_runs([experiment_id], output_format="list"); each run has .info.',
        ),
        (
            registry.MlflowClient(),
            "list_registered_models",
            "Call search_registered_models(max_results=max_results, page_token=page_token).",
        ),
        (
            registry.MlflowClient(),
            "list_run_infos",
            "Call search_runs([experiment_id], run_view_type=…, max_results=…, order_by=…, page_token=…); each run has "
            ".info.",
        ),
    ],
)
def test_a_name_of_mlflow_1_names_the_call_that_took_its_place(owner: object, name: str, call: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(owner, name)
    assert str(caught.value).endswith(f"MLflow removed it after 1.30. {call}")


@pytest.mark.parametrize("name", ["tracing_of_mine", "get_mcp_prompt", "start_span_later"])
def test_a_name_like_those_of_a_family_gets_the_advice_for_the_family(name: str) -> None:
    assert str(find_message(name)).startswith(f"mlflow.{name} is not part of registry. There is no ")


@pytest.mark.parametrize("name", ["__span__", "_trace", "start_rum", "log_spam", "log_param_tracker"])
def test_private_names_and_slips_are_not_taken_for_names_of_mlflow(name: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(registry, name)
    assert type(caught.value) is AttributeError


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

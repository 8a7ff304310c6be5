"""Names of MLflow's that are not here, and what to do instead.

Owns the table and the errors that are made of it; `registry.__getattr__`, the packages below and the client
raise them. Invariant:
no name in the table exists. Names are those of mlflow 3.17, dotted below ``mlflow``.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NoReturn

from registry.exceptions import ModuleNotSupportedError, NotSupportedError

_BY_HAND: Final = "Log by hand: log_params and log_metrics in a run, and log_model of the flavor after training."
_EVALUATE: Final = (
    "Compute the metrics with scikit-learn and log them with log_metrics; rules on promotion can demand their values."
)
_TRACING: Final = "There is no tracing. Log figures with log_metrics, texts with log_text and log_table."
_PROMPTS: Final = "There is no prompt registry. Keep prompts as artifacts: log_text, or files of a model."
_ACTIVE_MODEL: Final = "Say which model is meant: log_metric(…, model_id=…), search_logged_models, last_logged_model."
_WORKSPACES: Final = "There are no workspaces or logins: each database is one. Choose it with set_tracking_uri."
_SYSTEM_METRICS: Final = "System metrics are not sampled. Log what you need with log_metric."
_PROJECTS: Final = "Projects are not run from here. Start the script itself; REGISTRY_RUN_ID lets it resume a run."
_SERVING: Final = (
    "There is no server. Serve the directory that MlflowClient().get_model_version_download_uri names, or load the "
    "model with pyfunc.load_model in your own service."
)
_EVENTS: Final = "Events of models are delivered by `registry watch`, or from a program by WebhookSink."
_FLAVOR: Final = (
    "There is no such flavor here. Save the model with pyfunc.log_model(python_model=…), log its file with "
    "log_artifact, or add the flavor by an entry point in the group 'registry.flavors'."
)
_GENERATIVE: Final = "There is no support for language-model frameworks; plain runs, artifacts and pyfunc models work."
_STORES: Final = "Stores are not public. The tracking URI chooses them; MlflowClient has every operation."
_UTILS: Final = "MLflow's internals are not here. Tags are plain strings, such as 'mlflow.parentRunId'."
_COMMANDS: Final = "The command line is `registry` (`registry --help`); scripts use the functions and MlflowClient."
_VARIABLES: Final = "Settings are environment variables, REGISTRY_… or MLFLOW_…; the README lists them."
_VERSION: Final = "Use registry.__version__."
_SYNCHRONOUS: Final = "Files are stored when the call returns; leave the line out."
_SEALED: Final = "Logged models are sealed. Give signature= or pip_requirements= to log_model, and log the model again."
_DATASETS: Final = "Make a DataFrame and use data.from_pandas; a source of any kind can be given as its URI."
_ENVIRONMENTS: Final = "Environments are not built. The model's requirements.txt says what to install."
_REQUIREMENTS: Final = "Requirements are found by themselves; add yours with extra_pip_requirements=."
_DOWNLOAD: Final = "Use artifacts.download_artifacts."
_ENTITIES: Final = (
    "Runs, experiments, metrics, models and data sets are imported from registry.entities itself; entities of tracing, "
    "gateways, prompts and webhooks are not here."
)
_TYPES: Final = "Describe inputs and outputs by models.infer_signature or a types.schema.Schema."

# What to do instead, by the names that it is said of.
_TABLE: Final[tuple[tuple[str, str], ...]] = (
    (_BY_HAND, "autolog xgboost.autolog sklearn.autolog pyfunc.autolog"),
    (
        _EVALUATE,
        "evaluate evaluation metrics validate_evaluation_results models.evaluate models.evaluation "
        "models.list_evaluators models.make_metric models.EvaluationArtifact models.EvaluationMetric "
        "models.EvaluationResult models.MetricThreshold",
    ),
    (
        _TRACING,
        "trace tracing add_trace context delete_trace_tag flush_trace_async_logging get_active_trace_id "
        "get_current_active_span get_last_active_trace_id get_trace log_trace otel search_sessions search_traces "
        "set_trace_tag start_span start_span_no_context update_current_trace delete_assessment get_assessment "
        "log_assessment log_expectation log_feedback log_issue override_feedback update_assessment "
        "MlflowClient.delete_trace_tag MlflowClient.delete_traces MlflowClient.end_span MlflowClient.end_trace "
        "MlflowClient.get_trace MlflowClient.link_traces_to_run MlflowClient.search_traces MlflowClient.set_trace_tag "
        "MlflowClient.start_span MlflowClient.start_trace MlflowClient.unlink_traces_from_run",
    ),
    (
        _PROMPTS,
        "delete_prompt_alias genai load_prompt prompt register_prompt search_prompts set_prompt_alias "
        "MlflowClient.create_prompt MlflowClient.create_prompt_version MlflowClient.delete_prompt "
        "MlflowClient.delete_prompt_alias MlflowClient.delete_prompt_tag MlflowClient.delete_prompt_version "
        "MlflowClient.delete_prompt_version_tag MlflowClient.detach_prompt_from_run MlflowClient.get_prompt "
        "MlflowClient.get_prompt_version MlflowClient.get_prompt_version_by_alias "
        "MlflowClient.link_prompt_version_to_model MlflowClient.link_prompt_version_to_run "
        "MlflowClient.link_prompt_versions_to_trace MlflowClient.list_logged_prompts MlflowClient.load_prompt "
        "MlflowClient.parse_prompt_uri MlflowClient.register_prompt MlflowClient.search_prompt_versions "
        "MlflowClient.search_prompts MlflowClient.set_prompt_alias MlflowClient.set_prompt_tag "
        "MlflowClient.set_prompt_version_tag",
    ),
    (_ACTIVE_MODEL, "ActiveModel clear_active_model create_external_model get_active_model_id set_active_model"),
    (
        _WORKSPACES,
        "create_workspace delete_workspace get_workspace legacy_databricks_cli list_workspaces login set_workspace "
        "update_workspace MlflowClient.create_workspace MlflowClient.delete_workspace MlflowClient.get_workspace "
        "MlflowClient.get_workspace_store_uri MlflowClient.list_workspaces MlflowClient.update_workspace",
    ),
    (
        _SYSTEM_METRICS,
        "disable_system_metrics_logging enable_system_metrics_logging set_system_metrics_node_id "
        "set_system_metrics_samples_before_logging set_system_metrics_sampling_interval system_metrics",
    ),
    (_PROJECTS, "projects run"),
    (
        _SERVING,
        "deployments sagemaker server gateway mcp models.build_docker models.predict pyfunc.backend "
        "pyfunc.scoring_server pyfunc.spark_udf",
    ),
    (
        _EVENTS,
        "webhooks MlflowClient.create_webhook MlflowClient.delete_webhook MlflowClient.get_webhook "
        "MlflowClient.list_webhooks MlflowClient.test_webhook MlflowClient.update_webhook",
    ),
    (
        _FLAVOR,
        "catboost diffusers fastai gluon h2o johnsnowlabs keras lightgbm mleap onnx paddle pmdarima prophet pyspark "
        "pytorch rfunc sentence_transformers shap spacy spark statsmodels tensorflow transformers optuna",
    ),
    (
        _GENERATIVE,
        "ag2 agent agno ai_commands anthropic assistant autogen bedrock claude_code crewai dspy gemini groq haystack "
        "langchain litellm llama_index mistral openai promptflow pydantic_ai semantic_kernel smolagents strands txtai "
        "typesafe pyfunc.ChatAgent pyfunc.ChatModel pyfunc.ResponsesAgent pyfunc.set_prediction_context "
        "models.set_retriever_schema models.rag_signatures models.resources models.ModelConfig "
        "models.auth_policy models.Resource models.ResourceType "
        "MlflowClient.create_mcp_access_endpoint MlflowClient.create_mcp_server "
        "MlflowClient.create_mcp_server_version MlflowClient.delete_mcp_access_endpoint MlflowClient.delete_mcp_server "
        "MlflowClient.delete_mcp_server_alias MlflowClient.delete_mcp_server_tag "
        "MlflowClient.delete_mcp_server_version MlflowClient.delete_mcp_server_version_tag "
        "MlflowClient.get_latest_mcp_server_version MlflowClient.get_mcp_access_endpoint MlflowClient.get_mcp_server "
        "MlflowClient.get_mcp_server_version MlflowClient.get_mcp_server_version_by_alias "
        "MlflowClient.refresh_mcp_server_version_tools MlflowClient.search_mcp_access_endpoints "
        "MlflowClient.search_mcp_server_versions MlflowClient.search_mcp_servers MlflowClient.set_mcp_server_alias "
        "MlflowClient.set_mcp_server_tag MlflowClient.set_mcp_server_version_tag "
        "MlflowClient.update_mcp_access_endpoint MlflowClient.update_mcp_server "
        "MlflowClient.update_mcp_server_version",
    ),
    (
        _STORES,
        "azure db store.artifact store.db store.entities store.model_registry store.tracking "
        "tracking._model_registry tracking._tracking_service tracking.registry tracking.context "
        "tracking.request_header",
    ),
    (
        _UTILS,
        "utils config error_classification import_checkpoints mismatch ml_package_versions pytest telemetry test "
        "models.flavor_backend models.FlavorBackend sklearn.utils protos.model_registry_pb2 protos.service_pb2",
    ),
    (_COMMANDS, "demo doctor experiments runs models.cli"),
    (_VARIABLES, "environment_variables"),
    (_VERSION, "VERSION version"),
    (_SYNCHRONOUS, "flush_artifact_async_logging"),
    (
        _SEALED,
        "models.set_signature models.add_libraries_to_model "
        "models.update_model_requirements models.wheeled_model pyfunc.add_to_model",
    ),
    (
        _DATASETS,
        "data.from_huggingface data.from_numpy data.from_polars data.from_spark data.from_tensorflow data.load_delta "
        "data.load_dataset data.numpy_dataset data.spark_dataset data.polars_dataset data.tensorflow_dataset "
        "data.huggingface_dataset data.delta_dataset_source data.dataset_registry "
        "MlflowClient.add_dataset_to_experiments MlflowClient.create_dataset MlflowClient.delete_dataset "
        "MlflowClient.delete_dataset_tag MlflowClient.get_dataset MlflowClient.remove_dataset_from_experiments "
        "MlflowClient.search_datasets MlflowClient.set_dataset_tags",
    ),
    (
        _REQUIREMENTS,
        "xgboost.get_default_pip_requirements xgboost.get_default_conda_env sklearn.get_default_pip_requirements "
        "sklearn.get_default_conda_env pyfunc.get_default_pip_requirements pyfunc.get_default_conda_env",
    ),
    (_ENVIRONMENTS, "models.infer_pip_requirements models.container models.docker_utils pyfunc.get_model_dependencies"),
    (_DOWNLOAD, "tracking.artifact_utils"),
    (
        _TYPES,
        "types.agent types.chat types.llm types.responses types.type_hints types.utils models.ModelInputExample "
        "models.convert_input_example_to_serving_input models.validate_serving_input",
    ),
)
ABSENT: Final[dict[str, str]] = {name: advice for advice, names in _TABLE for name in names.split()}


def attribute_error(module: str, name: str, known: Iterable[str]) -> AttributeError:
    """What to raise for an attribute that a module of this package lacks; `known` are those it has."""
    message = _message(f"{module}.{name}")
    if message:
        return NotSupportedError(message)
    return AttributeError(f"module {module!r} has no attribute {name!r}{_guess(name, known)}")


def module_error(name: str) -> ModuleNotSupportedError | None:
    """What to raise for a module that nobody found, ``registry.…``; None where it is no name of MLflow's.

    The error has no ``name``: the import statement passes over a ModuleNotFoundError that names what it looked for.
    """
    message = _message(name)
    return ModuleNotSupportedError(message) if message else None


def attributes(module: str, known: Iterable[str]) -> Callable[[str], Any]:
    """A ``__getattr__`` for a module that has the names `known` and no others.

    A module that is no package gets an empty ``__path__``: only then does ``from module import name`` ask the finder of
    modules for what `module` lacks, and with it `module_error`.
    """
    vars(sys.modules[module]).setdefault("__path__", [])

    def refuse(name: str) -> NoReturn:
        raise attribute_error(module, name, known)

    return refuse


def refuse_method(owner: type, name: str) -> NoReturn:
    """What ``__getattr__`` of a class of MLflow's does about a method that ours lacks."""
    message = _message(f"{owner.__name__}.{name}")
    if message:
        raise NotSupportedError(message)
    raise AttributeError(f"{owner.__name__!r} object has no attribute {name!r}{_guess(name, dir(owner))}")


def _message(dotted: str) -> str | None:
    path = dotted.removeprefix("registry.").split(".")
    for name in _spellings(path):
        if name in ABSENT:
            return f"mlflow.{name} is not part of registry. {ABSENT[name]}"
    if path[0] == "entities" and len(path) > 1 and not path[-1].startswith("_"):
        return f"mlflow.{'.'.join(path)} is not part of registry. {_ENTITIES}"
    return None


def _spellings(path: Sequence[str]) -> Iterator[str]:
    """The names that one thing of MLflow's goes by: with its file, with its package only, at the top."""
    yield ".".join(path)
    if len(path) == 3:
        yield f"{path[0]}.{path[2]}"
    if path[0] == "tracking":
        yield path[-1]


def _guess(name: str, known: Iterable[str]) -> str:
    if name.startswith("_"):
        return ""
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""

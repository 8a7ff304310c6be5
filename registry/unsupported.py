"""Explain names of MLflow that registry does not have, and say what to do instead.

`registry.__getattr__`, MLflow's module paths and the client raise these errors. Names are those of mlflow 1.0 to 3.17,
dotted below ``mlflow``. A name is looked up only after it was not found, so no pattern can hide a name that exists.
"""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from types import ModuleType
from typing import Any, Final, NoReturn

from registry.exceptions import ModuleNotSupportedError, NotSupportedError

_ENTITIES: Final = (
    "Runs, experiments, metrics, models and data sets are imported from registry.entities itself; entities of tracing, "
    "gateways, prompts and webhooks are not here."
)

_OWN_MODEL: Final = "Call pyfunc.log_model(python_model=…), or log_artifact with the model's own file."

# Names that MLflow removed between 1.0 and 3.17: the successor's call, the last version seen with them, the names.
_REMOVED: Final[tuple[tuple[str, str, str], ...]] = (
    ("Call search_experiments(view_type, max_results).", "1.30", "list_experiments"),
    ('Call search_runs([experiment_id], output_format="list"); each run has .info.', "1.30", "list_run_infos"),
    (
        "Call search_experiments(view_type, max_results, page_token=page_token).",
        "1.30",
        "MlflowClient.list_experiments",
    ),
    (
        "Call search_runs([experiment_id], run_view_type=…, max_results=…, order_by=…, page_token=…); each run has "
        ".info.",
        "1.30",
        "MlflowClient.list_run_infos",
    ),
    (
        "Call search_registered_models(max_results=max_results, page_token=page_token).",
        "1.30",
        "MlflowClient.list_registered_models",
    ),
    (
        "Compute the metrics with scikit-learn and call log_metrics({name: value, …}).",
        "1.30",
        "sklearn.eval_and_log_metrics",
    ),
    (
        "Call artifacts.download_artifacts(artifact_uri=uri, dst_path=directory); it takes URIs of all forms.",
        "2.0",
        "data.download_uri data.is_uri data.parse_gs_uri data.parse_s3_uri data.DBFS_PREFIX data.DBFS_REGEX "
        "data.GS_PREFIX data.GS_REGEX data.S3_PREFIX data.S3_REGEX data.DownloadException",
    ),
    ("Call MlflowClient(); it has every operation.", "1.0", "tracking.service tracking.sinks"),
    ("Call tracking.set_tracking_uri(uri) and tracking.get_tracking_uri().", "1.0", "tracking.utils"),
    ("Call log_table(data, artifact_file).", "2.9", "tracking.llm_utils"),
    ("Call serving.follow(model_uri) in your own service.", "3.7", "pyfunc.cli pyfunc.mlserver"),
    ("Call pyfunc.save_model(path, loader_module=…, data_path=…).", "2.0", "pyfunc.loader_template"),
    ("Call models.infer_signature(data); it takes all kinds.", "3.7", "models.signature.MlflowInferableDataset"),
    ("Write the steps as one script; log each with start_run(nested=True).", "2.22", "pipelines recipes"),
    ("Run `registry db upgrade`.", "1.10", "alembic temporary_db_migrations_for_pre_1_users"),
    (
        "Serve the directory that MlflowClient().get_model_version_download_uri(name, version) names.",
        "1.30",
        "azureml",
    ),
    (_OWN_MODEL, "2.9", "gluon keras_core"),
    (_OWN_MODEL, "2.22", "fastai mleap"),
    (_OWN_MODEL, "3.1", "diviner promptflow"),
    (_OWN_MODEL, "3.7", "llm"),
    (
        "There is no tracing. Call log_text or log_table.",
        "2.22",
        "get_last_active_trace delete_expectation delete_feedback update_expectation update_feedback",
    ),
    (
        "There is no tracing. Call log_text or log_table.",
        "3.1",
        "entities.TraceInfoV2 MlflowClient.delete_assessment MlflowClient.log_assessment "
        "MlflowClient.update_assessment",
    ),
    (
        "There is no prompt registry. Call log_text(prompt, artifact_file).",
        "2.22",
        "delete_prompt MlflowClient.log_prompt",
    ),
)
REMOVED: Final = {name: (last, call) for call, last, names in _REMOVED for name in names.split()}

# What to do instead, by patterns of names. The first row that fits is the answer.
_TABLE: Final[tuple[tuple[str, str], ...]] = (
    (
        "Autologging is here for xgboost, lightgbm and sklearn. Log by hand otherwise: log_params and log_metrics in a "
        "run, and log_model of a flavor after training.",
        "pyfunc.autolog pytorch.autolog",
    ),
    (
        "There is no tracking server: every program opens the database itself. To serve a model, run registry models "
        "serve URI, or call serving.follow(uri) in your own service.",
        "deployments sagemaker server gateway mcp models.build_docker models.predict pyfunc.backend "
        "pyfunc.scoring_server",
    ),
    (
        "There is no support for language-model frameworks; plain runs, artifacts and pyfunc models work.",
        "*mcp_* ag2 agent agno ai_commands anthropic assistant autogen bedrock claude_code crewai dspy gemini groq "
        "haystack langchain litellm llama_index mistral openai pydantic_ai semantic_kernel smolagents strands "
        "txtai typesafe pyfunc.Chat* pyfunc.ResponsesAgent pyfunc.set_prediction_context "
        "models.set_retriever_schema models.rag_signatures models.[rR]esource* models.ModelConfig models.auth_policy",
    ),
    (
        "There is no prompt registry. Keep prompts as artifacts: log_text, or files of a model.",
        "*prompt* *Prompt* genai",
    ),
    (
        "There is no tracing. Log figures with log_metrics, texts with log_text and log_table.",
        "*trace* *tracing* *_span* start_span span *assessment* *expectation* *feedback* log_issue context otel "
        "search_sessions",
    ),
    (
        "Give evaluate(extra_metrics=[models.make_metric(eval_fn=…)]) a function; models.MetricValue is its result.",
        "metrics models.evaluat*",
    ),
    (
        "There are no workspaces or logins: each database is one. Choose it with set_tracking_uri.",
        "*workspace* legacy_databricks_cli login",
    ),
    ("Give start_run(log_system_metrics=True), or call enable_system_metrics_logging().", "system_metrics.*"),
    ("Projects are not run from here. Start the script itself; REGISTRY_RUN_ID lets it resume a run.", "projects run"),
    ("Events of models are delivered by `registry events watch`, or from a program by WebhookSink.", "*webhook*"),
    (
        "Log weights with pytorch.log_model(module, serialization_format='safetensors'), and load them with "
        "pytorch.load_model(uri, module=…).",
        "pytorch.*_state_dict",
    ),
    (
        "There are no checkpoints of Lightning. Log the file with log_artifact, and get it back with "
        "artifacts.download_artifacts.",
        "pytorch.load_checkpoint pytorch.MlflowModelCheckpointCallback",
    ),
    (
        "There is no such flavor here. Save the model with pyfunc.log_model(python_model=…), log its file with "
        "log_artifact, or add the flavor by an entry point in the group 'registry.flavors'.",
        "diffusers h2o johnsnowlabs keras optuna paddle pmdarima pyspark rfunc "
        "sentence_transformers shap spacy spark statsmodels tensorflow transformers",
    ),
    (
        "Stores are not public. The tracking URI chooses them; MlflowClient has every operation.",
        "azure db store.* tracking._* tracking.registry tracking.context tracking.request_header",
    ),
    (
        "MLflow's internals are not here. Tags are plain strings, such as 'mlflow.parentRunId'.",
        "utils.* config error_classification import_checkpoints mismatch ml_package_versions pytest telemetry test "
        "models.flavor_backend models.FlavorBackend sklearn.utils protos.*_pb2",
    ),
    (
        "The command line is `registry` (`registry --help`); scripts use the functions and MlflowClient.",
        "demo experiments runs models.cli",
    ),
    (
        "Settings are environment variables, REGISTRY_… or MLFLOW_…; see docs/operations/settings.md.",
        "environment_variables",
    ),
    ("Use registry.__version__, or registry.version.VERSION for MLflow's.", "VERSION"),
    (
        "Logged models are sealed. Give signature= or pip_requirements= to log_model, and log the model again.",
        "models.add_libraries_to_model models.update_model_requirements models.wheeled_model pyfunc.add_to_model",
    ),
    (
        "Make a DataFrame and use data.from_pandas; a source of any kind can be given as its URI.",
        "data.from_* data.load_* data.*_dataset data.*_dataset_source data.dataset_registry MlflowClient.*_dataset*",
    ),
    (
        "Environments are not built. The model's requirements.txt says what to install.",
        "models.infer_pip_requirements models.container models.docker_utils pyfunc.get_model_dependencies",
    ),
    ("Use artifacts.download_artifacts.", "tracking.artifact_utils"),
    (
        "Describe inputs and outputs by models.infer_signature or a types.schema.Schema.",
        "types.agent types.chat types.llm types.responses types.type_hints types.utils models.ModelInputExample "
        "models.convert_input_example_to_serving_input models.validate_serving_input",
    ),
    (_ENTITIES, "entities.*"),
)
_PATTERNS: Final = tuple((pattern, advice) for advice, patterns in _TABLE for pattern in patterns.split())


def find_message(dotted: str) -> str | None:
    """Return what to say about a missing name, dotted below ``mlflow``, or None if MLflow never had it."""
    for name in _spellings(dotted):
        if name in REMOVED:
            last, call = REMOVED[name]
            return f"mlflow.{name} is not part of registry; MLflow removed it after {last}. {call}"
        for pattern, advice in _PATTERNS:
            if fnmatchcase(name, pattern) and _is_private(name) == _is_private(pattern):
                return f"mlflow.{name} is not part of registry. {advice}"
    return None


def attribute_error(module: str, name: str, known: Iterable[str]) -> AttributeError:
    """Return the error for an attribute that a module of this package lacks; `known` are those it has."""
    message = find_message(f"{module}.{name}".removeprefix("registry."))
    if message:
        return NotSupportedError(message)
    return AttributeError(f"module {module!r} has no attribute {name!r}{_guess(name, known)}")


def explain_missing(namespace: dict[str, Any]) -> None:
    """Let a module, given by its ``globals()``, explain the names that it lacks.

    Type checkers do not see the ``__getattr__`` that this adds, so they go on rejecting misspelt names. A module
    without ``__all__`` gets one of its public names. One that is no package gets an empty ``__path__``: only then does
    ``from module import name`` ask the package's finder of modules about a name that is missing.
    """
    module: str = namespace["__name__"]
    known = namespace.setdefault("__all__", [name for name in namespace if _is_public(name, namespace[name])])
    namespace.setdefault("__path__", [])

    def refuse(name: str) -> NoReturn:
        raise attribute_error(module, name, known)

    namespace["__getattr__"] = refuse


def refuse_method(owner: type, name: str) -> NoReturn:
    """Raise the error for a method that a class of MLflow has and ours lacks; called from ``__getattr__``."""
    message = find_message(f"{owner.__name__}.{name}")
    if message:
        raise NotSupportedError(message)
    raise AttributeError(f"{owner.__name__!r} object has no attribute {name!r}{_guess(name, dir(owner))}")


def check_module(name: str) -> None:
    """Raise if a module ``registry.…`` exists in MLflow and not here.

    The error has no ``name``: the import statement ignores a ModuleNotFoundError that names what it looked for.

    Raises:
        ModuleNotSupportedError: The message says what to use instead.
    """
    message = find_message(name.removeprefix("registry."))
    if message:
        raise ModuleNotSupportedError(message)


def _is_public(name: str, value: object) -> bool:
    return not (name.startswith("_") or value is explain_missing or isinstance(value, ModuleType))


def _is_private(dotted: str) -> bool:
    return dotted.rpartition(".")[2].startswith("_")


def _spellings(dotted: str) -> Iterator[str]:
    """Yield the names of one thing in MLflow: with its file, with its package only, at the top."""
    path = dotted.split(".")
    if path[:2] == ["tracking", "fluent"]:
        yield path[-1]
    yield dotted
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

"""A model registry and run tracker as a library: MLflow's names over SQL tables and S3, without a server.

``import registry as mlflow`` runs an ordinary MLflow training script. Names are bound on first use, so that importing
the package costs milliseconds: it loads none of sqlalchemy, alembic, pydantic, boto3, pandas, numpy, xgboost, sklearn.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "ActiveRun",
    "Approvals",
    "FlavorIn",
    "Image",
    "MetricAtLeast",
    "MetricAtMost",
    "MetricNotWorse",
    "MlflowClient",
    "MlflowException",
    "RegistryError",
    "ResolvedModel",
    "SignatureCompatible",
    "SignatureUnchanged",
    "TagEquals",
    "WebhookSink",
    "__version__",
    "active_run",
    "artifacts",
    "client",
    "compare",
    "create_experiment",
    "data",
    "delete_experiment",
    "delete_experiment_tag",
    "delete_logged_model_tag",
    "delete_run",
    "delete_tag",
    "disconnect",
    "end_run",
    "entities",
    "exceptions",
    "finalize_logged_model",
    "flush_async_logging",
    "get_artifact_uri",
    "get_experiment",
    "get_experiment_by_name",
    "get_logged_model",
    "get_parent_run",
    "get_registry_uri",
    "get_run",
    "get_tracking_uri",
    "history",
    "initialize_logged_model",
    "is_tracking_uri_set",
    "last_active_run",
    "last_logged_model",
    "load_table",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_image",
    "log_input",
    "log_inputs",
    "log_metric",
    "log_metrics",
    "log_model_params",
    "log_outputs",
    "log_param",
    "log_params",
    "log_stream",
    "log_table",
    "log_text",
    "metric_history",
    "models",
    "protos",
    "pyfunc",
    "register_model",
    "resolve",
    "restore_experiment",
    "restore_run",
    "rules",
    "search_experiments",
    "search_logged_models",
    "search_model_versions",
    "search_registered_models",
    "search_runs",
    "set_experiment",
    "set_experiment_tag",
    "set_experiment_tags",
    "set_logged_model_tags",
    "set_model_version_tag",
    "set_registry_uri",
    "set_tag",
    "set_tags",
    "set_tracking_uri",
    "sklearn",
    "stage_holders",
    "start_run",
    "tracking",
    "types",
    "verify",
    "xgboost",
]

if TYPE_CHECKING:
    from registry import (
        artifacts,
        client,
        data,
        entities,
        exceptions,
        models,
        protos,
        pyfunc,
        rules,
        sklearn,
        tracking,
        types,
        xgboost,
    )
    from registry.client import MlflowClient
    from registry.client.artifacts.images import Image
    from registry.client.registry.webhook import WebhookSink
    from registry.entities.model_registry import ResolvedModel
    from registry.exceptions import MlflowException, RegistryError
    from registry.fluent.artifacts import (
        get_artifact_uri,
        load_table,
        log_artifact,
        log_artifacts,
        log_dict,
        log_figure,
        log_image,
        log_stream,
        log_table,
        log_text,
    )
    from registry.fluent.experiments import (
        create_experiment,
        delete_experiment,
        delete_experiment_tag,
        get_experiment,
        get_experiment_by_name,
        restore_experiment,
        set_experiment,
        set_experiment_tag,
        set_experiment_tags,
    )
    from registry.fluent.history import compare, history, metric_history, stage_holders, verify
    from registry.fluent.logged_models import (
        delete_logged_model_tag,
        finalize_logged_model,
        get_logged_model,
        initialize_logged_model,
        last_logged_model,
        log_model_params,
        set_logged_model_tags,
    )
    from registry.fluent.logging import (
        delete_tag,
        flush_async_logging,
        log_input,
        log_inputs,
        log_metric,
        log_metrics,
        log_outputs,
        log_param,
        log_params,
        set_tag,
        set_tags,
    )
    from registry.fluent.models import (
        register_model,
        resolve,
        set_model_version_tag,
    )
    from registry.fluent.runs import (
        ActiveRun,
        active_run,
        delete_run,
        end_run,
        get_parent_run,
        get_run,
        last_active_run,
        restore_run,
        start_run,
    )
    from registry.fluent.search import (
        search_experiments,
        search_logged_models,
        search_model_versions,
        search_registered_models,
        search_runs,
    )
    from registry.fluent.state import (
        disconnect,
        get_registry_uri,
        get_tracking_uri,
        is_tracking_uri_set,
        set_registry_uri,
        set_tracking_uri,
    )
    from registry.rules import (
        Approvals,
        FlavorIn,
        MetricAtLeast,
        MetricAtMost,
        MetricNotWorse,
        SignatureCompatible,
        SignatureUnchanged,
        TagEquals,
    )
else:
    import sys

    # What stands under TYPE_CHECKING above, by the module that has it; a test holds the two and __all__ together.
    _MODULES = frozenset(
        "artifacts client data entities exceptions models protos pyfunc rules sklearn tracking types xgboost".split()
    )
    _NAMES = {
        "registry.client": "MlflowClient",
        "registry.client.artifacts.images": "Image",
        "registry.client.registry.webhook": "WebhookSink",
        "registry.entities.model_registry": "ResolvedModel",
        "registry.exceptions": "MlflowException RegistryError",
        "registry.fluent.artifacts": (
            "get_artifact_uri load_table log_artifact log_artifacts log_dict log_figure log_image log_stream "
            "log_table log_text"
        ),
        "registry.fluent.experiments": (
            "create_experiment delete_experiment delete_experiment_tag get_experiment get_experiment_by_name "
            "restore_experiment set_experiment set_experiment_tag set_experiment_tags"
        ),
        "registry.fluent.history": "compare history metric_history stage_holders verify",
        "registry.fluent.logged_models": (
            "delete_logged_model_tag finalize_logged_model get_logged_model initialize_logged_model last_logged_model "
            "log_model_params set_logged_model_tags"
        ),
        "registry.fluent.logging": (
            "delete_tag flush_async_logging log_input log_inputs log_metric log_metrics log_outputs log_param "
            "log_params set_tag set_tags"
        ),
        "registry.fluent.models": "register_model resolve set_model_version_tag",
        "registry.fluent.runs": (
            "ActiveRun active_run delete_run end_run get_parent_run get_run last_active_run restore_run start_run"
        ),
        "registry.fluent.search": (
            "search_experiments search_logged_models search_model_versions search_registered_models search_runs"
        ),
        "registry.fluent.state": (
            "disconnect get_registry_uri get_tracking_uri is_tracking_uri_set set_registry_uri set_tracking_uri"
        ),
        "registry.rules": (
            "Approvals FlavorIn MetricAtLeast MetricAtMost MetricNotWorse SignatureCompatible SignatureUnchanged "
            "TagEquals"
        ),
    }
    _PLACES = {name: module for module, names in _NAMES.items() for name in names.split()}

    def __getattr__(name):
        import importlib

        if name in _MODULES:
            return importlib.import_module(f"registry.{name}")
        if name not in _PLACES:
            from registry.unsupported import attribute_error

            raise attribute_error("registry", name, __all__)
        value = getattr(importlib.import_module(_PLACES[name]), name)
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *__all__})

    class _AbsentModules:
        """The last finder of modules: says of a module of MLflow's that nobody has here what to do instead.

        ``from registry import autolog`` passes over the AttributeError of `__getattr__` and looks for a module.
        """

        @staticmethod
        def find_spec(name, path=None, target=None):
            del path, target
            if name.startswith("registry."):
                from registry.unsupported import module_error

                if error := module_error(name):
                    raise error

    sys.meta_path.append(_AbsentModules)

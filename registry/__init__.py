"""A model registry and run tracker as a library: MLflow's names over SQL tables and S3, without a server.

``import registry as mlflow`` runs an ordinary MLflow training script. Names are bound on first use, so that importing
the package costs milliseconds: it loads none of sqlalchemy, alembic, pydantic, boto3, pandas, numpy, xgboost, sklearn.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from registry import artifacts, data, entities, exceptions, models, pyfunc, sklearn, tracking, types, xgboost
    from registry.client import MlflowClient
    from registry.entities.model_registry import ResolvedModel
    from registry.exceptions import MlflowException, RegistryError
    from registry.fluent.experiments import (
        create_experiment,
        delete_experiment,
        delete_experiment_tag,
        get_experiment,
        get_experiment_by_name,
        set_experiment,
        set_experiment_tag,
        set_experiment_tags,
    )
    from registry.fluent.logging import (
        delete_tag,
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
    from registry.fluent.models import register_model, resolve
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
    from registry.fluent.state import (
        get_registry_uri,
        get_tracking_uri,
        is_tracking_uri_set,
        set_registry_uri,
        set_tracking_uri,
    )
else:
    # What stands under TYPE_CHECKING above, by the module that has it; a test holds the two together.
    _MODULES = frozenset(
        "artifacts data entities exceptions models pyfunc sklearn tracking types xgboost client protos".split()
    )
    _NAMES = {
        "registry.client": "MlflowClient",
        "registry.entities.model_registry": "ResolvedModel",
        "registry.exceptions": "MlflowException RegistryError",
        "registry.fluent.experiments": (
            "create_experiment delete_experiment delete_experiment_tag get_experiment get_experiment_by_name "
            "set_experiment set_experiment_tag set_experiment_tags"
        ),
        "registry.fluent.logging": (
            "delete_tag log_input log_inputs log_metric log_metrics log_outputs log_param log_params set_tag set_tags"
        ),
        "registry.fluent.models": "register_model resolve",
        "registry.fluent.runs": (
            "ActiveRun active_run delete_run end_run get_parent_run get_run last_active_run restore_run start_run"
        ),
        "registry.fluent.state": (
            "get_registry_uri get_tracking_uri is_tracking_uri_set set_registry_uri set_tracking_uri"
        ),
    }
    _PLACES = {name: module for module, names in _NAMES.items() for name in names.split()}

    def __getattr__(name):
        import importlib

        if name in _MODULES:
            return importlib.import_module(f"registry.{name}")
        if name not in _PLACES:
            raise AttributeError(f"module 'registry' has no attribute {name!r}")
        value = getattr(importlib.import_module(_PLACES[name]), name)
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *_PLACES, *_MODULES})

from . import (
    artifacts as artifacts,
    catboost as catboost,
    client as client,
    data as data,
    entities as entities,
    evaluation as evaluation,
    exceptions as exceptions,
    lightgbm as lightgbm,
    mlflow_bridge as mlflow_bridge,
    models as models,
    monitoring as monitoring,
    onnx as onnx,
    prophet as prophet,
    protos as protos,
    pyfunc as pyfunc,
    pytorch as pytorch,
    rules as rules,
    scoring as scoring,
    serving as serving,
    sklearn as sklearn,
    system_metrics as system_metrics,
    tracking as tracking,
    types as types,
    utils as utils,
    version as version,
    xgboost as xgboost,
)
from .autologging.autolog import autolog as autolog
from .client import MlflowClient as MlflowClient
from .client.artifacts.images import Image as Image
from .client.registry.webhook import WebhookSink as WebhookSink
from .entities.model_registry import ResolvedModel as ResolvedModel
from .evaluation import compare_models as compare_models, evaluate as evaluate
from .evaluation.thresholds import validate_evaluation_results as validate_evaluation_results
from .exceptions import MlflowException as MlflowException, RegistryError as RegistryError
from .fluent.active_model import (
    ActiveModel as ActiveModel,
    clear_active_model as clear_active_model,
    get_active_model_id as get_active_model_id,
    set_active_model as set_active_model,
)
from .fluent.artifacts import (
    flush_artifact_async_logging as flush_artifact_async_logging,
    get_artifact_uri as get_artifact_uri,
    load_table as load_table,
    log_artifact as log_artifact,
    log_artifacts as log_artifacts,
    log_dict as log_dict,
    log_figure as log_figure,
    log_image as log_image,
    log_stream as log_stream,
    log_table as log_table,
    log_text as log_text,
)
from .fluent.diagnostics import doctor as doctor
from .fluent.experiments import (
    create_experiment as create_experiment,
    delete_experiment as delete_experiment,
    delete_experiment_tag as delete_experiment_tag,
    get_experiment as get_experiment,
    get_experiment_by_name as get_experiment_by_name,
    restore_experiment as restore_experiment,
    set_experiment as set_experiment,
    set_experiment_tag as set_experiment_tag,
    set_experiment_tags as set_experiment_tags,
)
from .fluent.history import (
    compare as compare,
    history as history,
    metric_history as metric_history,
    stage_holders as stage_holders,
    verify as verify,
)
from .fluent.logged_models import (
    create_external_model as create_external_model,
    delete_logged_model_tag as delete_logged_model_tag,
    finalize_logged_model as finalize_logged_model,
    get_logged_model as get_logged_model,
    initialize_logged_model as initialize_logged_model,
    last_logged_model as last_logged_model,
    log_model_params as log_model_params,
    set_logged_model_tags as set_logged_model_tags,
)
from .fluent.logging import (
    delete_tag as delete_tag,
    flush_async_logging as flush_async_logging,
    log_input as log_input,
    log_inputs as log_inputs,
    log_metric as log_metric,
    log_metrics as log_metrics,
    log_outputs as log_outputs,
    log_param as log_param,
    log_params as log_params,
    set_tag as set_tag,
    set_tags as set_tags,
)
from .fluent.models import (
    register_model as register_model,
    resolve as resolve,
    set_model_version_tag as set_model_version_tag,
)
from .fluent.runs import (
    ActiveRun as ActiveRun,
    active_run as active_run,
    delete_run as delete_run,
    end_run as end_run,
    get_parent_run as get_parent_run,
    get_run as get_run,
    last_active_run as last_active_run,
    restore_run as restore_run,
    start_run as start_run,
)
from .fluent.search import (
    search_experiments as search_experiments,
    search_logged_models as search_logged_models,
    search_model_versions as search_model_versions,
    search_registered_models as search_registered_models,
    search_runs as search_runs,
)
from .fluent.state import (
    disconnect as disconnect,
    get_registry_uri as get_registry_uri,
    get_tracking_uri as get_tracking_uri,
    is_tracking_uri_set as is_tracking_uri_set,
    set_registry_uri as set_registry_uri,
    set_tracking_uri as set_tracking_uri,
)
from .fluent.sync import sync as sync
from .fluent.system_metrics import (
    disable_system_metrics_logging as disable_system_metrics_logging,
    enable_system_metrics_logging as enable_system_metrics_logging,
    set_system_metrics_node_id as set_system_metrics_node_id,
    set_system_metrics_samples_before_logging as set_system_metrics_samples_before_logging,
    set_system_metrics_sampling_interval as set_system_metrics_sampling_interval,
)
from .rules import (
    Approvals as Approvals,
    BetterThanHolder as BetterThanHolder,
    CheckedWithin as CheckedWithin,
    EvaluatedOn as EvaluatedOn,
    FlavorIn as FlavorIn,
    MetricAtLeast as MetricAtLeast,
    MetricAtMost as MetricAtMost,
    MetricNotWorse as MetricNotWorse,
    NoOpenIncident as NoOpenIncident,
    ShadowAgreement as ShadowAgreement,
    SignatureCompatible as SignatureCompatible,
    SignatureUnchanged as SignatureUnchanged,
    TagEquals as TagEquals,
)
from .web.notebook import ui as ui

__version__: str

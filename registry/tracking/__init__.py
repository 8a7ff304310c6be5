"""The client, and the functions that set where it works (``mlflow.tracking``)."""

from registry.client import MlflowClient as MlflowClient
from registry.fluent.state import (
    get_registry_uri as get_registry_uri,
    get_tracking_uri as get_tracking_uri,
    is_tracking_uri_set as is_tracking_uri_set,
    set_registry_uri as set_registry_uri,
    set_tracking_uri as set_tracking_uri,
)
from registry.unsupported import explain_missing

explain_missing(globals())

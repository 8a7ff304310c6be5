"""Artifacts of a run or a URI (``mlflow.artifacts``)."""

from registry.fluent.artifacts_by_uri import (
    download_artifacts as download_artifacts,
    list_artifacts as list_artifacts,
    load_dict as load_dict,
    load_image as load_image,
    load_text as load_text,
)
from registry.unsupported import explain_missing

explain_missing(globals())

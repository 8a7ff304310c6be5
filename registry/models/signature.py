"""Model signatures (``mlflow.models.signature``)."""

from registry.entities.signature import ModelSignature as ModelSignature
from registry.flavors import infer_signature as infer_signature
from registry.unsupported import explain_missing

explain_missing(globals())

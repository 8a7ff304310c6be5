"""Model signatures (``mlflow.models.signature``)."""

from dataclasses import replace
from pathlib import Path

from registry.entities.signature import ModelSignature as ModelSignature
from registry.exceptions import InvalidStateError, InvalidTypeError
from registry.flavors import Model, infer_signature as infer_signature
from registry.unsupported import explain_missing
from registry.uris import LocalUri, parse


def set_signature(model_uri: str, signature: ModelSignature) -> None:
    """Replace the signature of a model in a local directory. A logged model is sealed, and refuses it.

    Args:
        model_uri: The path of a directory that ``save_model`` has written, or its ``file:`` URI.
        signature: The new signature.

    Raises:
        InvalidStateError: The model is a logged one, or on S3.
        InvalidTypeError: The signature is none.
        ArtifactNotFoundError: The directory has no MLmodel file.

    Example:
        >>> mlflow.xgboost.save_model(model, "wins")
        >>> mlflow.models.set_signature("wins", mlflow.models.infer_signature(X))
        >>> mlflow.models.get_model_info("wins").signature.inputs.input_names()
        ['rest_days', 'rating_gap']
    """
    if not isinstance(signature, ModelSignature):
        raise InvalidTypeError(f"signature must be a ModelSignature, got {type(signature).__name__!r}.")
    uri = parse(model_uri)
    if not isinstance(uri, LocalUri):
        raise InvalidStateError(
            f"The model {model_uri!r} is sealed: its files never change. Load it, and log it again with signature=…."
        )
    directory = Path(uri.path)
    replace(Model.load(directory), signature=signature).save(directory / "MLmodel")


explain_missing(globals())

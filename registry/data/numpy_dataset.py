"""Data sets made from arrays (``mlflow.data.numpy_dataset``)."""

from os import PathLike

from registry import datasets
from registry.datasets import DatasetSource, NumpyDataset
from registry.datasets.arrays import Arrays
from registry.flavors.signatures.infer import infer_schema
from registry.fluent.run_context_tags import context_tags
from registry.unsupported import explain_missing

__all__ = ["NumpyDataset", "from_numpy"]


def from_numpy(
    features: Arrays,
    source: "str | PathLike[str] | DatasetSource | None" = None,
    targets: Arrays | None = None,
    name: str | None = None,
    digest: str | None = None,
) -> NumpyDataset:
    """Make a data set from arrays, for `log_input`. Digest, schema and profile are MLflow's.

    Args:
        features: An array, or a mapping from names to arrays. They are kept, not copied.
        source: The path or URI that the data came from. Default: the running program.
        targets: An array of targets, or a mapping from names to arrays.
        name: The data set's name, up to 500 characters. Default: ``dataset``.
        digest: A digest of up to 36 characters. Default: 8 hexadecimal digits computed from the data.

    Returns:
        The data set.

    Raises:
        InvalidTypeError: Features or targets are not arrays.

    Example:
        >>> dataset = mlflow.data.from_numpy(X.to_numpy(), "s3://nba/games.npy", targets=y.to_numpy(), name="games")
        >>> dataset.profile["features_shape"], dataset.profile["targets_shape"]
        ((40, 2), (40,))
    """
    return datasets.from_numpy(
        features, source, targets, name, digest, context_tags=context_tags(), infer_schema=infer_schema
    )


explain_missing(globals())

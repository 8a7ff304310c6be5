"""The data of an evaluation: features, targets and, without a model, predictions; and the data set's identity."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from registry import datasets
from registry.datasets import PandasDataset
from registry.exceptions import InvalidParameterError, InvalidTypeError
from registry.flavors.signatures.infer import infer_schema
from registry.fluent.run_context_tags import context_tags
from registry.validation.arguments import check_list


@dataclass(frozen=True, slots=True)
class EvaluationData:
    """Rows to evaluate on. `targets` and `predictions` have one value per row of `features`."""

    features: pd.DataFrame
    targets: "np.ndarray[Any, Any] | None"
    predictions: "np.ndarray[Any, Any] | None"
    dataset: PandasDataset


def read_data(
    data: Any,
    *,
    targets: Any = None,
    predictions: str | None = None,
    feature_names: Sequence[str] | None = None,
    has_model: bool = True,
    source: str | None = None,
) -> EvaluationData:
    """Take data apart: a DataFrame, a data set of `data.from_pandas`, or a 2-D array or list with separate targets.

    Raises:
        InvalidParameterError: A column does not exist, lengths differ, or an argument contradicts the data set.
        InvalidTypeError: The data is of another type.
    """
    feature_names = None if feature_names is None else check_list(feature_names, "feature_names", object)
    if isinstance(data, PandasDataset):
        return _split(_check_dataset(data, targets, predictions, has_model), feature_names)
    if isinstance(data, pd.DataFrame):
        if predictions is not None and not isinstance(predictions, str):
            raise InvalidTypeError(f"predictions is the name of a column, got {type(predictions).__name__}.")
        if targets is not None and not isinstance(targets, str):
            raise InvalidParameterError("With a DataFrame, targets is the name of its column with the true values.")
        frame, column = data, targets
    else:
        frame, column = _frame_of_array(data, targets, feature_names)
        feature_names = None
    dataset = datasets.from_pandas(
        frame,
        source,
        column,
        predictions=None if has_model else predictions,
        context_tags=context_tags(),
        infer_schema=infer_schema,
    )
    return _split(dataset, feature_names)


def _check_dataset(dataset: PandasDataset, targets: Any, predictions: str | None, has_model: bool) -> PandasDataset:
    if targets is not None and targets != dataset.targets:
        raise InvalidParameterError(
            f"The data set names its target column {dataset.targets!r}; leave targets out, or give it to "
            "data.from_pandas(df, targets='…')."
        )
    if has_model and dataset.predictions is not None:
        raise InvalidParameterError(
            "The data set has a column of predictions, and a model is given too. Leave one of them out."
        )
    if not has_model and predictions is not None and predictions != dataset.predictions:
        raise InvalidParameterError(
            f"The data set names its predictions {dataset.predictions!r}; leave predictions out, or give it to "
            "data.from_pandas(df, predictions='…')."
        )
    return dataset


def _frame_of_array(data: Any, targets: Any, names: Sequence[str] | None) -> tuple[pd.DataFrame, str | None]:
    if not isinstance(data, np.ndarray | list):
        raise InvalidTypeError(
            "The data argument must be a DataFrame, a data set of data.from_pandas, a 2-dimensional array or a list of "
            f"rows, got {type(data).__name__}."
        )
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise InvalidParameterError(f"The rows of the data must have the same length: {error}.") from error
    if array.ndim != 2:
        raise InvalidParameterError(
            f"The data must be 2-dimensional, rows by features; it has {array.ndim} dimension(s)."
        )
    digits = len(str(array.shape[1]))
    columns = [*map(str, names)] if names is not None else [f"feature_{i + 1:0{digits}}" for i in range(array.shape[1])]
    if len(columns) != array.shape[1] or len(set(columns)) != len(columns):
        raise InvalidParameterError(f"feature_names must have {array.shape[1]} different names, got {columns!r}.")
    frame = pd.DataFrame(array, columns=columns)
    if targets is None:
        return frame, None
    try:
        values = np.asarray(targets)
    except ValueError as error:
        raise InvalidParameterError(f"The targets are no array with one value per row: {error}.") from error
    if values.shape != (len(frame),):
        raise InvalidParameterError(
            f"With an array of {len(frame)} rows, targets is an array of as many values; its shape is {values.shape}."
        )
    column = "target"
    while column in frame.columns:
        column += "_"
    return frame.assign(**{column: values}), column


def _split(dataset: PandasDataset, feature_names: Sequence[str] | None) -> EvaluationData:
    frame = dataset.df
    if len(frame) == 0:
        raise InvalidParameterError("The data has no rows; there is nothing to evaluate.")
    taken = [column for column in (dataset.targets, dataset.predictions) if column is not None]
    if feature_names is None:
        features = frame.drop(columns=taken)
    else:
        unknown = [name for name in map(str, feature_names) if name not in set(map(str, frame.columns))]
        if unknown:
            raise InvalidParameterError(f"The data has no columns {unknown}; feature_names names columns of the data.")
        features = frame[[column for name in feature_names for column in frame.columns if str(column) == str(name)]]
    of_target, of_predictions = (
        None if column is None else frame[column].to_numpy() for column in (dataset.targets, dataset.predictions)
    )
    return EvaluationData(features, of_target, of_predictions, dataset)

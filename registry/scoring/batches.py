"""Batches as engines pass them: pandas and Arrow tables, and Ray's mappings of arrays.

A result has the type of its batch, one row per row of it, and columns: those that are kept, then the predictions, then
those of the model.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from registry.entities.schema import Schema
from registry.exceptions import InvalidModelError, InvalidParameterError, InvalidTypeError
from registry.flavors.optional_imports import optional_import

if TYPE_CHECKING:
    import pandas as pd

PREDICTION = "prediction"


def is_arrow(batch: Any) -> bool:
    """Tell whether a batch is a table or record batch of pyarrow, without importing it."""
    return type(batch).__module__.partition(".")[0] == "pyarrow" and hasattr(batch, "to_pandas")


def to_frame(batch: Any, columns: Iterable[str] | None) -> "pd.DataFrame":
    """Return a batch as a DataFrame; of Arrow only the given columns are converted, if it has them all.

    Raises:
        InvalidTypeError: It is no batch.
    """
    import pandas as pd

    if isinstance(batch, pd.DataFrame):
        return batch
    if is_arrow(batch):
        wanted = list(columns or ())
        if wanted and set(wanted) <= set(batch.schema.names):
            batch = batch.select(wanted)
        frame: pd.DataFrame = batch.to_pandas()
        return frame
    if isinstance(batch, Mapping):
        return pd.DataFrame({name: _rows(values) for name, values in batch.items()})
    raise InvalidTypeError(
        f"A batch is a pandas DataFrame, a pyarrow Table or RecordBatch, or a mapping of arrays; got "
        f"{type(batch).__name__}."
    )


def prediction_columns(predictions: Any, rows: int) -> dict[str, Any]:
    """Return predictions as columns by name: ``prediction``, or ``prediction_0`` … for several per row.

    Columns of a DataFrame and the keys of a mapping keep their names.

    Raises:
        InvalidModelError: There is not one prediction per row, or two columns have one name.
    """
    import numpy as np
    import pandas as pd

    if isinstance(predictions, pd.DataFrame):
        if twice := [name for name, count in Counter(map(str, predictions.columns)).items() if count > 1]:
            raise InvalidModelError(
                f"The model returned two columns named {twice[0]!r}; scoring needs names that differ."
            )
        columns = {str(name): predictions.iloc[:, at].to_numpy() for at, name in enumerate(predictions.columns)}
    elif isinstance(predictions, Mapping):
        columns = {str(name): np.asarray(values) for name, values in predictions.items()}
    else:
        dense = predictions.toarray() if hasattr(predictions, "toarray") else predictions
        values = dense.to_numpy() if isinstance(dense, pd.Series) else np.asarray(dense)
        if values.ndim == 2:
            names = [PREDICTION] if values.shape[1] == 1 else [f"{PREDICTION}_{at}" for at in range(values.shape[1])]
            columns = {name: values[:, at] for at, name in enumerate(names)}
        else:
            columns = {PREDICTION: values if values.ndim == 1 else np.array([*values, None], dtype=object)[:-1]}
    lengths = {len(values) for values in columns.values()}
    if lengths != {rows}:
        raise InvalidModelError(
            f"The model returned {' and '.join(map(str, sorted(lengths))) or 'no'} predictions for {rows} rows; "
            "scoring needs one per row. Call pyfunc.load_model and predict for models that work otherwise."
        )
    return columns


def empty_columns(schema: Schema | None) -> dict[str, Any]:
    """Return the columns of the predictions for no rows, with the types of the signature; float64 without one."""
    import numpy as np

    if schema is None:
        return {PREDICTION: np.empty(0)}
    if schema.is_tensor_spec() and len(schema) == 1:
        (spec,) = schema.inputs
        width = spec.shape[1] if len(spec.shape) == 2 else 1
        return prediction_columns(np.empty((0, max(width, 1)), dtype=spec.type), 0)
    return {
        PREDICTION if spec.name is None else str(spec.name): np.empty(0, dtype=_empty_type(spec))
        for spec in schema.inputs
    }


def assemble(batch: Any, kept: Iterable[str], columns: Mapping[str, Any], model: Mapping[str, Any]) -> Any:
    """Return the result for a batch, of the batch's type.

    Raises:
        InvalidParameterError: A column to keep is missing, or has the name of a prediction.
    """
    kept = list(kept)
    names = set(batch.schema.names if is_arrow(batch) else batch)
    if missing := [name for name in kept if name not in names]:
        raise InvalidParameterError(f"The data have no column {missing[0]!r} to keep; they have {sorted(names)}.")
    if twice := [name for name in kept if name in columns or name in model]:
        raise InvalidParameterError(
            f"{twice[0]!r} is a column to keep and one that scoring adds. Rename it in the data, or do not keep it."
        )
    if is_arrow(batch):
        return _assemble_arrow(batch, kept, columns, model)
    if isinstance(batch, Mapping):
        return _assemble_arrays(batch, kept, columns, model)
    import pandas as pd

    values = {name: batch[name] for name in kept}
    values |= {name: pd.Series(column, index=batch.index) for name, column in columns.items()}
    values |= {name: pd.Series([value] * len(batch), batch.index, _text_or_int(value)) for name, value in model.items()}
    return pd.DataFrame(values, index=batch.index)


def _assemble_arrow(batch: Any, kept: list[str], columns: Mapping[str, Any], model: Mapping[str, Any]) -> Any:
    pa = optional_import("pyarrow", "arrow")
    rows = batch.num_rows
    values = {name: batch.column(name) for name in kept}
    values |= {name: pa.array(column, from_pandas=True) for name, column in columns.items()}
    for name, value in model.items():
        kind = pa.int64() if name == "model_version" else pa.string()
        values[name] = pa.repeat(pa.scalar(value, kind), rows)
    return type(batch).from_arrays(list(values.values()), names=list(values))


def _assemble_arrays(
    batch: Mapping[str, Any], kept: list[str], columns: Mapping[str, Any], model: Mapping[str, Any]
) -> dict[str, Any]:
    import numpy as np

    rows = len(next(iter(columns.values())))
    constants = {name: np.full(rows, value, dtype=_text_or_int(value)) for name, value in model.items()}
    return {**{name: batch[name] for name in kept}, **columns, **constants}


def _text_or_int(value: object) -> str:
    return "int64" if isinstance(value, int) else "object"


def _rows(values: Any) -> Any:
    """Return one value per row of an array: rows of a tensor column become arrays."""
    return list(values) if getattr(values, "ndim", 1) > 1 else values


def _empty_type(spec: Any) -> Any:
    import numpy as np

    converter = getattr(spec.type, "to_pandas", None)
    return converter() if converter else getattr(spec.type, "type", np.dtype(object))

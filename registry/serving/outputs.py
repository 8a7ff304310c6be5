"""Predictions as JSON values.

Guarantees: the result has only what JSON has; NaN and infinity are null.
"""

import math
from collections.abc import Mapping
from typing import Any

from registry.exceptions import InvalidParameterError


def plain(value: Any) -> Any:
    """Return a value as JSON has it; tables are lists of records.

    Raises:
        InvalidParameterError: Two columns of a table have one name, of which a record would lose one.
    """
    import numpy as np
    import pandas as pd

    if isinstance(value, np.ndarray) and value.dtype.kind in "biu":
        return value.tolist()
    if isinstance(value, pd.DataFrame):
        frame = value.rename(columns=str)
        if not frame.columns.is_unique:
            twice = frame.columns[frame.columns.duplicated()][0]
            raise InvalidParameterError(f"The predictions have several columns named {twice!r}; JSON can hold one.")
        return [plain(row) for row in frame.to_dict(orient="records")]
    if isinstance(value, pd.Series | np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return None if value is pd.NaT or value is pd.NA else str(value)


def encodable(predictions: Any) -> Any:
    """Return predictions as msgspec can write them, which writes NaN and infinity as null by itself."""
    import numpy as np
    import pandas as pd

    if isinstance(predictions, pd.Series):
        predictions = predictions.to_numpy()
    if isinstance(predictions, np.ndarray) and predictions.dtype.kind in "fbiu":
        return predictions.tolist()
    return plain(predictions)

"""Data for ``predict`` from a request: MLflow's scoring protocol in JSON, CSV, and tensors of protocol V2.

Guarantees: what a signature says about columns holds for the data that are returned, or a `RequestError` with status
400 says what is wrong; its text never has a value of the input in it.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
import numpy as np

from registry.entities.schema import AnyType, DataType, Schema, TensorSpec
from registry.flavors import Model
from registry.serving import columns
from registry.serving.request_errors import RequestError, bad_input

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
Tensors = Mapping[str, "np.ndarray[Any, Any]"]

_FORMS: Final = ("dataframe_split", "dataframe_records", "instances", "inputs")
_ONE_FORM: Final = (
    f"The input must be a JSON dictionary with exactly one of the input fields {{{', '.join(map(repr, _FORMS))}}}."
)
_NOT_JSON: Final = "Invalid input. Ensure that input is a valid JSON formatted string."


class _Body(msgspec.Struct):
    dataframe_split: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    dataframe_records: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    instances: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    inputs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    params: dict[str, Any] | None = None


class _Split(msgspec.Struct):
    data: msgspec.Raw
    columns: list[Any] | None = None
    index: list[Any] | None = None


class _NumberSplit(msgspec.Struct):
    data: list[list[float | None]]
    columns: list[str] | None = None
    index: list[Any] | None = None


class _NumberBody(msgspec.Struct, forbid_unknown_fields=True):
    dataframe_split: _NumberSplit
    params: dict[str, Any] | None = None


_NUMBERS: Final = msgspec.json.Decoder(_NumberBody)
_BODY: Final = msgspec.json.Decoder(_Body)
_SPLIT: Final = msgspec.json.Decoder(_Split)
_ROWS: Final = msgspec.json.Decoder(list[list[Any]])
_RECORDS: Final = msgspec.json.Decoder(list[dict[str, Any]])
_ANYTHING: Final = msgspec.json.Decoder()


class InputReader:
    """Reads the input of one model.

    Args:
        model: Its metadata.
        max_rows: The most rows of a request.
        takes_rows: Whether the model takes an array of doubles; then a table of them is returned as one.
    """

    def __init__(self, model: Model, max_rows: int, *, takes_rows: bool = False) -> None:
        schema = model.get_input_schema()
        self._max_rows = max_rows
        self._takes_rows = takes_rows
        self._schema = None if schema is None or _is_anything(schema) else schema
        self._is_tensor = self._schema is not None and self._schema.is_tensor_spec()
        self._specs: list[Any] = [] if self._schema is None or self._is_tensor else list(self._schema)
        self._are_named = self._schema is not None and self._schema.has_input_names()
        self._names: list[Any] = (
            [spec.name for spec in self._specs] if self._are_named else list(range(len(self._specs)))
        )
        self._all_doubles = bool(self._specs) and all(spec.type is DataType.double for spec in self._specs)

    def from_json(self, body: bytes) -> tuple[Any, dict[str, Any] | None]:
        """Return the data and the params of a request of MLflow's protocol."""
        if self._all_doubles:
            content = self._from_numbers(body)
            if content is not None:
                return content
        return self._from_any_json(body)

    def _from_numbers(self, body: bytes) -> tuple[Any, dict[str, Any] | None] | None:
        """Read the usual request, of numbers alone, in one step; None for any other, or one with something wrong."""
        try:
            content = _NUMBERS.decode(body)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
            return None
        split = content.dataframe_split
        if split.index is not None and len(split.index) != len(split.data):
            return None
        names: Any = split.columns
        places = None
        if names != self._names and (names is not None or self._are_named):
            if names is None or len(names) != len(self._names) or {*names} != {*self._names}:
                return None
            places = [names.index(name) for name in self._names]
        block = columns.find_exact_block(split.data, len(self._names))
        if block is None:
            return None
        return self._checked(self._table(block if places is None else block[:, places])), content.params

    def _from_any_json(self, body: bytes) -> tuple[Any, dict[str, Any] | None]:
        content = decode(_BODY, body, _ONE_FORM)
        given = [name for name in _FORMS if getattr(content, name) is not msgspec.UNSET]
        if len(given) != 1:
            raise bad_input(_ONE_FORM)
        raw = getattr(content, given[0])
        readers: dict[str, Callable[[msgspec.Raw], Any]] = {
            "dataframe_split": self._from_split,
            "dataframe_records": self._from_records,
        }
        try:
            data = readers.get(given[0], self._from_values)(raw)
        except RecursionError:
            raise bad_input("The input is nested too deeply.") from None
        return self._checked(data), content.params

    def from_csv(self, body: bytes) -> Any:
        """Return the data of a CSV text with a header."""
        import pandas as pd

        texts: dict[str, Any] = {"dtype": object, "keep_default_na": False} if self._specs else {}
        try:
            # With a header, pandas takes surplus fields of the first row for an index; without one they are an error.
            pd.read_csv(io.BytesIO(body), header=None, nrows=2, dtype=object)
            frame = pd.read_csv(io.BytesIO(body), **texts)
        except (ValueError, OverflowError, RecursionError):  # pandas' errors of parsing, and wrong UTF-8
            raise bad_input(
                "Failed to parse input as CSV. Send UTF-8 text with a header and one line per row."
            ) from None
        if self._is_tensor:
            raise bad_input("This model takes tensors, which CSV cannot hold. Send JSON.")
        if not self._specs:
            return self._checked(frame)
        if self._are_named:
            places = self._places(frame.columns.tolist())
        elif len(frame.columns) == len(self._specs):
            places = list(range(len(self._specs)))
        else:
            raise columns.ragged(len(self._specs))
        parsed = [
            columns.text_column(str(name), frame.iloc[:, place], spec.type, required=spec.required)
            for name, spec, place in zip(self._names, self._specs, places, strict=True)
            if place is not None and isinstance(spec.type, DataType)
        ]
        if len(parsed) < sum(place is not None for place in places):
            raise bad_input("This model takes lists or dictionaries, which CSV cannot hold. Send JSON.")
        present = [name for name, place in zip(self._names, places, strict=True) if place is not None]
        return self._checked(_frame(dict(zip(present, parsed, strict=True))))

    def from_tensors(self, tensors: Tensors) -> Any:
        """Return the data of a request of protocol V2."""
        if self._is_tensor:
            return self._checked(self._own_tensors(tensors))
        only = next(iter(tensors.values())) if len(tensors) == 1 else None
        if not self._specs:
            return self._checked(only if only is not None else _frame({k: _flat(k, v) for k, v in tensors.items()}))
        width = len(self._specs)
        if only is not None and only.ndim == 2 and only.shape[1] == width and (width > 1 or not self._has(tensors)):
            return self._checked(self._block(only))
        missing = [name for name, spec in zip(self._names, self._specs, strict=True) if spec.required]
        missing = [name for name in missing if str(name) not in tensors]
        if missing:
            raise bad_input(
                f"Model is missing inputs {missing[:20]}. Send a tensor per column, or one of shape [rows, {width}]."
            )
        made = {
            name: columns.tensor_column(str(name), _flat(str(name), tensors[str(name)]), spec.type)
            for name, spec in zip(self._names, self._specs, strict=True)
            if str(name) in tensors and isinstance(spec.type, DataType)
        }
        if len(made) < sum(str(name) in tensors for name in self._names):
            raise bad_input(
                "This model takes lists or dictionaries, which tensors cannot hold. Send JSON to /invocations."
            )
        return self._checked(_frame(made))

    def _has(self, tensors: Tensors) -> bool:
        return any(str(name) in tensors for name in self._names)

    def _block(self, values: "np.ndarray[Any, Any]") -> Any:
        types = {spec.type for spec in self._specs}
        dtype = next(iter(types))
        if len(types) > 1 or not isinstance(dtype, DataType):
            raise bad_input("The columns of this model have several types. Send a tensor per column.")
        return self._table(columns.tensor_column("of the tensor", values, dtype))

    def _table(self, block: "np.ndarray[Any, Any]") -> Any:
        return block if self._takes_rows else self.as_frame(block)

    def as_frame(self, data: Any) -> Any:
        """Return rows of doubles as the frame that they stand for; other data as they are."""
        import pandas as pd

        is_table = isinstance(data, np.ndarray) and bool(self._specs)
        return pd.DataFrame(data, columns=self._names, copy=False) if is_table else data

    def holds_rows(self, data: Any) -> bool:
        """Tell whether data are an array of doubles that the model takes as it is."""
        return self._takes_rows and isinstance(data, np.ndarray)

    def _checked(self, data: Any) -> Any:
        """Return the data unless they have no rows or too many."""
        some = next(iter(data.values())) if isinstance(data, dict) and data else data
        shape = getattr(some, "shape", (1,))
        rows = shape[0] if shape else 1
        if rows == 0:
            raise bad_input("The input has no rows.")
        if rows > self._max_rows:
            raise RequestError(413, f"The input has {rows} rows; at most {self._max_rows} are taken in one request.")
        return data

    def _from_split(self, raw: msgspec.Raw) -> Any:
        if _kind(raw) != "dictionary":
            raise bad_input(f"Dataframe split format must be a dictionary. Got {_kind(raw)}.")
        wrong = (
            "Provided dataframe_split field is not a valid dataframe representation: it has data, columns and index."
        )
        split = decode(_SPLIT, raw, wrong)
        names = split.columns
        if names is not None and len({*map(_hashable, names)}) < len(names):
            raise bad_input("Two columns of dataframe_split have the same name.")
        if self._all_doubles and (names == self._names or (names is None and not self._are_named)):
            rows = decode(columns.NUMBER_ROWS, split.data, "Each row must be a list of numbers")
        else:
            rows = decode(_ROWS, split.data, wrong)
        if split.index is not None and len(split.index) != len(rows):
            raise bad_input(f"{wrong} The index has another length than the data.")
        return self._from_rows(rows, names)

    def _from_rows(self, rows: list[list[Any]], names: list[Any] | None) -> Any:
        if not rows:
            raise bad_input("The input has no rows.")
        width = len(self._specs) if names is None and self._specs else len(rows[0] if names is None else names)
        if self._all_doubles and (names == self._names or (names is None and not self._are_named)):
            return self._table(columns.number_block(rows, width))
        if any(len(row) != width for row in rows):
            raise columns.ragged(width)
        if self._is_tensor:
            return self._own_tensor(rows, self._tensor_spec())
        if not self._specs:
            return _plain_frame(rows, names)
        if names is None and self._are_named:
            raise bad_input(f"The rows have no columns' names. Model is missing inputs {self._names[:20]}.")
        places = self._places(names) if self._are_named else list(range(width))
        lists = list(zip(*rows, strict=True))
        return self._from_lists([None if place is None else list(lists[place]) for place in places])

    def _from_records(self, raw: msgspec.Raw) -> Any:
        if _kind(raw) != "list":
            raise bad_input(f"Dataframe records format must be a list of records. Got {_kind(raw)}.")
        records = decode(_RECORDS, raw, "Dataframe records format must be a list of records, each a dictionary")
        if not records:
            raise bad_input("The input has no rows.")
        if self._is_tensor:
            return self._own_tensors(_stacked(records))
        if not self._specs:
            names = list(dict.fromkeys(name for record in records for name in record))
            return _plain_frame([[record.get(name) for name in names] for record in records], names)
        if not self._are_named:
            return self._from_rows([list(record.values()) for record in records], None)
        lists: list[list[Any] | None] = []
        for name, spec in zip(self._names, self._specs, strict=True):
            if not spec.required and not any(name in record for record in records):
                lists.append(None)
                continue
            absent = next((number for number, record in enumerate(records) if name not in record), None)
            if absent is not None and spec.required:
                raise bad_input(f"Model is missing inputs [{name!r}] in row {absent}.")
            lists.append([record.get(name) for record in records])
        return self._from_lists(lists)

    def _from_values(self, raw: msgspec.Raw) -> Any:
        """Read ``instances`` (rows) and ``inputs`` (columns or rows)."""
        values = decode(_ANYTHING, raw, _NOT_JSON)
        if isinstance(values, dict):
            return self._from_columns(values)
        if not isinstance(values, list):
            raise bad_input(f"The values must be a list of rows or a dictionary of columns. Got {_kind(raw)}.")
        if values and all(isinstance(value, dict) for value in values):
            return self._from_records(raw)
        if self._is_tensor:
            return self._own_tensor(values, self._tensor_spec())
        if values and all(isinstance(value, list) for value in values):
            return self._from_rows(self._rows_of_numbers(values), None)
        if any(isinstance(value, list | dict) for value in values):
            raise bad_input("The rows are of different kinds: lists, dictionaries and single values.")
        return self._from_rows(self._rows_of_numbers([[value] for value in values]), None)

    def _rows_of_numbers(self, rows: list[list[Any]]) -> list[list[Any]]:
        if not self._all_doubles or self._are_named:
            return rows
        checked: list[list[Any]] = _converted(
            rows, list[list[int | float | None]], "Each row must be a list of numbers"
        )
        return checked

    def _from_columns(self, values: dict[str, Any]) -> Any:
        if self._is_tensor:
            return self._own_tensors(values)
        if values and not any(isinstance(value, list) for value in values.values()):
            values = {name: [value] for name, value in values.items()}
        if not values or not all(isinstance(value, list) for value in values.values()):
            raise bad_input("Each column must be a list of values, all of one length.")
        if len({len(value) for value in values.values()}) > 1:
            raise bad_input("The columns have different lengths.")
        if not self._specs:
            return _plain_frame([list(row) for row in zip(*values.values(), strict=True)], list(values))
        if not self._are_named:
            return self._from_rows([list(row) for row in zip(*values.values(), strict=True)], None)
        names = list(values)
        lists = list(values.values())
        return self._from_lists([None if place is None else lists[place] for place in self._places(names)])

    def _from_lists(self, lists: Sequence[list[Any] | None]) -> Any:
        """Return a frame of the values of each column; None for an optional one that is missing."""
        made: dict[Any, Any] = {}
        for name, spec, values in zip(self._names, self._specs, lists, strict=True):
            if values is not None:
                is_scalar = isinstance(spec.type, DataType)
                made[name] = (
                    columns.column(str(name), values, spec.type, required=spec.required)
                    if is_scalar
                    else _objects(values)
                )
        return _frame(made)

    def _places(self, names: Sequence[Any] | None) -> list[int | None]:
        """Return where each column of the signature stands; None for an optional one that is missing."""
        found = {_hashable(name): place for place, name in enumerate(names or ())}
        places = [found.get(name) for name in self._names]
        missing = [
            name
            for name, spec, place in zip(self._names, self._specs, places, strict=True)
            if place is None and spec.required
        ]
        if missing:
            raise bad_input(f"Model is missing inputs {missing[:20]}.")
        return places

    def _tensor_spec(self) -> TensorSpec:
        specs = list(self._schema or ())
        if len(specs) != 1 or not isinstance(specs[0], TensorSpec):
            raise bad_input(f"This model takes {len(specs)} named tensors. Send a dictionary of them.")
        return specs[0]

    def _own_tensors(self, tensors: Mapping[str, Any]) -> Any:
        specs = [spec for spec in self._schema or () if isinstance(spec, TensorSpec)]
        if not self._are_named:
            if len(tensors) != 1:
                raise bad_input("This model takes one tensor.")
            return self._own_tensor(next(iter(tensors.values())), specs[0])
        missing = [spec.name for spec in specs if spec.name not in tensors]
        if missing:
            raise bad_input(f"Model is missing inputs {missing[:20]}.")
        return {spec.name: self._own_tensor(tensors[str(spec.name)], spec) for spec in specs}

    def _own_tensor(self, values: Any, spec: TensorSpec) -> Any:
        what = "The tensor" if spec.name is None else f"The tensor {spec.name!r}"
        array = values if isinstance(values, np.ndarray) else _tensor(values, spec, what)
        if isinstance(values, np.ndarray) and values.dtype != spec.type:
            raise bad_input(f"{what} must be of {spec.type}, got {values.dtype}.")
        fits = len(array.shape) == len(spec.shape) and all(
            want in (-1, has) for want, has in zip(spec.shape, array.shape, strict=True)
        )
        if not fits:
            raise bad_input(f"{what} must have the shape {list(spec.shape)}, got {list(array.shape)}.")
        return array


def decode(decoder: "msgspec.json.Decoder[T]", body: bytes | msgspec.Raw, otherwise: str) -> T:
    """Decode JSON, or raise the error for JSON of another form (`otherwise`) or for what is no JSON."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise bad_input(f"{otherwise.rstrip('.')}{columns.describe_place(error)}.") from None
    except (msgspec.DecodeError, ValueError, OverflowError):
        raise bad_input(_NOT_JSON) from None
    except RecursionError:
        raise bad_input("The input is nested too deeply.") from None


def _converted(values: Any, kind: Any, otherwise: str) -> Any:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise bad_input(f"{otherwise}{columns.describe_place(error)}.") from None


def _is_anything(schema: Schema) -> bool:
    specs = schema.inputs
    return not specs or (len(specs) == 1 and specs[0].name is None and isinstance(specs[0].type, AnyType))


def _kind(raw: msgspec.Raw) -> str:
    first = bytes(raw)[:1]
    return {b"{": "dictionary", b"[": "list", b'"': "text", b"n": "null"}.get(first, "a single value")


def _hashable(name: Any) -> Any:
    return name if isinstance(name, str | int | float | None) else repr(name)


def _frame(made: Mapping[Any, Any]) -> "pd.DataFrame":
    import pandas as pd

    if len({len(values) for values in made.values()}) > 1:
        raise bad_input("The columns have different lengths.")
    return pd.DataFrame(dict(made), copy=False)


def _plain_frame(rows: list[list[Any]], names: list[Any] | None) -> "pd.DataFrame":
    """Return a frame for a model without a signature: columns have the types that pandas infers."""
    import pandas as pd

    try:
        frame = pd.DataFrame(rows, columns=None if names is None else pd.Index(names, dtype=object))
    except (ValueError, TypeError, OverflowError):
        raise bad_input("Provided values are not a valid dataframe representation.") from None
    return frame


def _objects(values: list[Any]) -> "np.ndarray[Any, Any]":
    made = np.empty(len(values), dtype=object)
    for position, value in enumerate(values):
        made[position] = value
    return made


def _flat(name: str, values: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    if values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1):
        return values.reshape(-1)
    raise bad_input(f"The tensor {name!r} must have the shape [rows] or [rows, 1].")


def _stacked(records: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    names = list(records[0])
    if any(list(record) != names for record in records):
        raise bad_input("The rows have different fields.")
    return {name: [record[name] for record in records] for name in names}


_LEAVES: Final[dict[str, Any]] = {"f": int | float | None, "i": int, "u": int, "b": bool, "U": str, "O": Any}


def _tensor(values: Any, spec: TensorSpec, what: str) -> "np.ndarray[Any, Any]":
    """Return nested lists as an array of the type of a signature."""
    dtype = np.dtype(spec.type)
    kind: Any = _LEAVES.get(dtype.kind)
    if kind is None:
        raise bad_input(f"{what} is of {dtype}, which JSON cannot hold.")
    for _ in spec.shape:
        kind = list.__class_getitem__(kind)
    values = _converted(values, kind, f"{what} must be nested lists of {dtype} in the shape {list(spec.shape)}")
    try:
        if dtype.kind == "f":
            doubles = np.array(values, dtype=np.float64)
            return (
                doubles.astype(dtype) if dtype.itemsize >= 8 else columns.single_precision(doubles, what).astype(dtype)
            )
        return np.array(values, dtype=dtype)
    except (ValueError, OverflowError, TypeError):
        raise bad_input(f"{what} must have the shape {list(spec.shape)}, and values that {dtype} can hold.") from None

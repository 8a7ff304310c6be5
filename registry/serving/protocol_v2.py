"""The Open Inference Protocol V2: metadata, tensors in JSON, and its extension for binary tensors.

Guarantees: tensors are read as they are typed, or refused with status 400; an answer has the tensors that were asked
for, in the form that was asked for.
"""

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from registry.entities.schema import DataType, Schema, TensorSpec
from registry.flavors import Model
from registry.serving.columns import single_precision
from registry.serving.inputs import decode
from registry.serving.outputs import encodable
from registry.serving.request_errors import bad_input

_DTYPES: Final[dict[str, str]] = {
    "BOOL": "?",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
_NAMES: Final = {np.dtype(text): name for name, text in _DTYPES.items()}
_OF_COLUMNS: Final = {
    DataType.boolean: "BOOL",
    DataType.integer: "INT32",
    DataType.long: "INT64",
    DataType.float: "FP32",
    DataType.double: "FP64",
}
_LEAVES: Final[dict[str, Any]] = {"f": int | float | None, "i": int, "u": int, "b": bool}
_OUTPUT: Final = "predictions"
_MAX_DIMENSIONS: Final = 32
_LENGTH: Final = struct.Struct("<I")


class _Input(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    parameters: dict[str, Any] = {}


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class _Request(msgspec.Struct):
    inputs: list[_Input]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[_Output] | None = None


_REQUEST: Final = msgspec.json.Decoder(_Request)
_PROTOCOL_PARAMETERS: Final = frozenset({"binary_data_output", "classification", "sequence_id", "priority", "timeout"})


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A request for inference: its tensors by name, and which outputs it wants and how."""

    id: str | None
    tensors: Mapping[str, "np.ndarray[Any, Any]"]
    params: dict[str, Any] | None
    outputs: Mapping[str, bool] | None
    is_binary: bool


def read(body: bytes, header_length: int | None) -> InferRequest:
    """Read a request. `header_length` is the length of its JSON if binary tensors follow that."""
    if header_length is not None and not 0 <= header_length <= len(body):
        raise bad_input("Inference-Header-Content-Length is longer than the body.")
    header, binary = (body, b"") if header_length is None else (body[:header_length], body[header_length:])
    request = decode(_REQUEST, header, "A request has a list 'inputs' of tensors with name, datatype, shape and data")
    tensors: dict[str, np.ndarray[Any, Any]] = {}
    taken = 0
    for tensor in request.inputs:
        if tensor.name in tensors:
            raise bad_input("Two tensors have the same name.")
        shape = _shape(tensor)
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            tensors[tensor.name] = _from_json(tensor, shape)
            continue
        if type(size) is not int or not 0 <= size <= len(binary) - taken:
            raise bad_input("binary_data_size is no size of data that follow the JSON.")
        tensors[tensor.name] = _from_bytes(tensor, shape, memoryview(binary)[taken : taken + size])
        taken += size
    if taken != len(binary):
        raise bad_input(f"{len(binary) - taken} bytes follow the tensors' data.")
    if not tensors:
        raise bad_input("A request has at least one tensor.")
    params = {key: value for key, value in request.parameters.items() if key not in _PROTOCOL_PARAMETERS}
    is_binary = request.parameters.get("binary_data_output") is True
    outputs = None
    if request.outputs is not None:
        outputs = {output.name: bool(output.parameters.get("binary_data", is_binary)) for output in request.outputs}
    return InferRequest(request.id, tensors, params or None, outputs, is_binary)


def _shape(tensor: _Input) -> tuple[int, ...]:
    if len(tensor.shape) > _MAX_DIMENSIONS or any(not 0 <= length < 2**31 for length in tensor.shape):
        raise bad_input("A shape is a list of at most 32 lengths from 0.")
    if tensor.datatype not in _DTYPES and tensor.datatype != "BYTES":
        raise bad_input(f"A datatype is one of BYTES, {', '.join(_DTYPES)}.")
    return tuple(tensor.shape)


def _from_json(tensor: _Input, shape: tuple[int, ...]) -> "np.ndarray[Any, Any]":
    if tensor.data is msgspec.UNSET:
        raise bad_input("A tensor needs data, or binary_data_size.")
    dtype = np.dtype(_DTYPES.get(tensor.datatype, "O"))
    leaf: Any = _LEAVES.get(dtype.kind, str)
    raw = bytes(tensor.data)
    is_nested = raw[1:].lstrip()[:1] == b"[" and len(shape) > 1
    kind: Any = list.__class_getitem__(leaf)
    for _ in shape[1:] if is_nested else ():
        kind = list.__class_getitem__(kind)
    values = decode(msgspec.json.Decoder(kind), raw, f"The data of a tensor must be {tensor.datatype} values in a list")
    try:
        if dtype.kind == "f":
            doubles = np.array(values, dtype=np.float64)
            flat = doubles if dtype.itemsize == 8 else single_precision(doubles, "A tensor")
            with np.errstate(over="raise"):
                array = flat.astype(dtype)
            _check_exact(values, doubles)
        else:
            array = np.array(values, dtype=dtype)
    except (ValueError, OverflowError, TypeError, FloatingPointError):
        raise bad_input(f"The data of a tensor must be {tensor.datatype} values in a list, in its shape.") from None
    return _shaped(array, shape, is_nested)


def _check_exact(values: Any, doubles: "np.ndarray[Any, Any]") -> None:
    """Refuse integers that no double holds exactly."""
    if not doubles.size or not (np.abs(doubles) >= 2**53).any():
        return
    waiting = [values]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(value)
        elif type(value) is int and abs(value) > 2**53:
            raise bad_input(f"A tensor has an integer beyond ±{2**53}, which a float cannot hold exactly.")


def _shaped(array: "np.ndarray[Any, Any]", shape: tuple[int, ...], is_nested: bool) -> "np.ndarray[Any, Any]":
    if array.size != math.prod(shape) or (is_nested and array.shape != shape):
        raise bad_input("The data of a tensor do not have its shape.")
    return array.reshape(shape)


def _from_bytes(tensor: _Input, shape: tuple[int, ...], data: memoryview) -> "np.ndarray[Any, Any]":
    if tensor.datatype == "BYTES":
        items = list(_split(data))
        array: np.ndarray[Any, Any] = np.empty(len(items), dtype=object)
        array[:] = items
        return _shaped(array, shape, is_nested=False)
    dtype = np.dtype(_DTYPES[tensor.datatype])
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise bad_input("The binary data of a tensor do not have its shape.")
    array = np.frombuffer(data, dtype).reshape(shape)
    return array.view(np.uint8).astype(bool) if dtype.kind == "b" else array


def _split(data: memoryview) -> Iterator[bytes]:
    place = 0
    while place < len(data):
        end = place + _LENGTH.size
        length = _LENGTH.unpack(data[place:end])[0] if end <= len(data) else len(data)
        if end + length > len(data):
            raise bad_input("The binary data of a BYTES tensor break off.")
        yield bytes(data[end : end + length])
        place = end + length


def write(
    request: InferRequest, predictions: Any, outputs: Schema | None, head: Mapping[str, Any]
) -> tuple[bytes, int | None]:
    """Return the body of an answer, and the length of its JSON if binary tensors follow that."""
    tensors = output_tensors(predictions, outputs)
    asked = request.outputs
    if asked is not None:
        unknown = next((name for name in asked if name not in tensors), None)
        if unknown is not None:
            raise bad_input(f"The outputs of this model are {sorted(tensors)}.")
        tensors = {name: tensors[name] for name in asked}
    parts: list[bytes] = []
    described = []
    for name, array in tensors.items():
        datatype = _NAMES.get(array.dtype.newbyteorder("<"), "BYTES")
        form: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(array.shape)}
        if asked[name] if asked is not None else request.is_binary:
            data = _as_bytes(array) if datatype == "BYTES" else np.ascontiguousarray(array).tobytes()
            form["parameters"] = {"binary_data_size": len(data)}
            parts.append(data)
        else:
            flat = array.reshape(-1)
            form["data"] = [_text(value) for value in flat.tolist()] if datatype == "BYTES" else encodable(flat)
        described.append(form)
    identity = {} if request.id is None else {"id": request.id}
    json = msgspec.json.encode({**head, **identity, "outputs": described})
    return (b"".join([json, *parts]), len(json)) if parts else (json, None)


def output_tensors(predictions: Any, outputs: Schema | None) -> dict[str, "np.ndarray[Any, Any]"]:
    """Return predictions as named tensors: a table has one per column, everything else is one."""
    import pandas as pd

    if isinstance(predictions, pd.DataFrame):
        return {str(name): _array(predictions[name].to_numpy()) for name in predictions.columns}
    if isinstance(predictions, Mapping):
        return {str(name): _array(np.asarray(value)) for name, value in predictions.items()}
    values = predictions.to_numpy() if isinstance(predictions, pd.Series) else predictions
    return {_output_names(outputs)[0]: _array(_as_array(values))}


def _as_array(values: Any) -> "np.ndarray[Any, Any]":
    try:
        return np.asarray(values)
    except ValueError:  # lists of different lengths
        made = np.empty(len(values), dtype=object)
        made[:] = values
        return made


def _array(array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    array = array.reshape(1) if array.ndim == 0 else array
    return array if array.dtype.newbyteorder("<") in _NAMES else array.astype(object)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else value if isinstance(value, str) else str(value)


def _as_bytes(array: "np.ndarray[Any, Any]") -> bytes:
    parts = []
    for value in array.reshape(-1).tolist():
        data = value if isinstance(value, bytes) else _text(value).encode("utf-8", "surrogatepass")
        parts += [_LENGTH.pack(len(data)), data]
    return b"".join(parts)


def metadata(name: str, version: int | None, model: Model) -> dict[str, Any]:
    """Return what V2 tells of a model."""
    outputs = model.get_output_schema()
    described = _described(outputs, "output")
    return {
        "name": name,
        "versions": [] if version is None else [str(version)],
        "platform": "registry",
        "inputs": _described(model.get_input_schema(), "input"),
        "outputs": [{**form, "name": known} for form, known in zip(described, _output_names(outputs), strict=False)],
    }


def _output_names(outputs: Schema | None) -> Sequence[str]:
    names = [] if outputs is None else [spec.name for spec in outputs if spec.name is not None]
    return [str(name) for name in names] or [_OUTPUT]


def _described(schema: Schema | None, default: str) -> list[dict[str, Any]]:
    if schema is None:
        return [{"name": default, "datatype": "FP64", "shape": [-1, -1]}]
    return [
        {
            "name": f"{default}-{place}" if spec.name is None else str(spec.name),
            "datatype": _NAMES.get(np.dtype(spec.type).newbyteorder("<"), "BYTES")
            if isinstance(spec, TensorSpec)
            else _OF_COLUMNS.get(spec.type, "BYTES"),
            "shape": list(spec.shape) if isinstance(spec, TensorSpec) else [-1],
        }
        for place, spec in enumerate(schema)
    ]

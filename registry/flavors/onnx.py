"""The ONNX flavor: an ``onnx.ModelProto``, saved as ``model.onnx`` and predicted by onnxruntime.

Guarantees: every file that the model reads lies in its directory, and what the MLmodel file says of execution providers
is only a choice by name among those installed. Options of providers may name libraries to load, so they need consent.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from registry.exceptions import InvalidModelError, InvalidParameterError, InvalidTypeError
from registry.flavors.mlmodel import PYTHON_FUNCTION, inside
from registry.flavors.optional_imports import optional_import
from registry.flavors.protocol import Predictor

FILE_NAME: Final = "model.onnx"
PROVIDERS: Final = ("CUDAExecutionProvider", "CPUExecutionProvider")
_MODES: Final = {"sequential": "ORT_SEQUENTIAL", "parallel": "ORT_PARALLEL"}
_LEVELS: Final = (0, 1, 2, 3, 99)
_COUNTS: Final = ("inter_op_num_threads", "intra_op_num_threads")
_logger = logging.getLogger(__name__)


class OnnxFlavor:
    """MLflow's ``onnx`` flavor."""

    name = "onnx"
    loader_module = "mlflow.onnx"

    def save(
        self,
        model: Any,
        directory: Path,
        *,
        onnx_execution_providers: Sequence[Any] | None = None,
        onnx_session_options: Mapping[str, Any] | None = None,
        save_as_external_data: bool = True,
        **options: Any,
    ) -> dict[str, Any]:
        """Write ``model.onnx`` and, for large tensors, a file beside it. Further options go to ``onnx.save_model``.

        Raises:
            InvalidParameterError: `model` is not an ONNX model, or an option is unknown.
        """
        onnx = _onnx()
        if not isinstance(model, onnx.ModelProto):
            raise InvalidParameterError(
                f"Expected an onnx.ModelProto, got {type(model).__name__}. Convert the model first, for example with "
                "skl2onnx.to_onnx or torch.onnx.export."
            )
        settings = dict(onnx_session_options or {})
        try:
            _session_options(settings, extra=True)
        except ValueError as error:
            raise InvalidParameterError(f"The onnx_session_options cannot be used: {error}.") from None
        own = onnx.ModelProto()
        own.CopyFrom(model)  # writing tensors to a file of their own takes them out of the object
        try:
            onnx.checker.check_model(own)
            onnx.save_model(own, str(directory / FILE_NAME), save_as_external_data=save_as_external_data, **options)
        except (onnx.checker.ValidationError, TypeError, ValueError) as error:
            raise InvalidParameterError(f"The ONNX model could not be saved: {error}") from error
        providers = PROVIDERS if onnx_execution_providers is None else onnx_execution_providers
        return {
            self.name: {
                "onnx_version": onnx.__version__,
                "data": FILE_NAME,
                "providers": [list(item) if isinstance(item, tuple) else item for item in providers],
                "onnx_session_options": settings or None,
            },
            PYTHON_FUNCTION: {"loader_module": self.loader_module, "data": FILE_NAME},
        }

    def load(self, directory: Path, config: Mapping[str, Any], *, allow_code: bool, **options: Any) -> Any:
        """Load the ``onnx.ModelProto``.

        Raises:
            InvalidModelError: the file is damaged, or names files outside the directory.
            ArtifactNotFoundError: the model file is missing.
        """
        del allow_code, options  # this format holds no code
        onnx = _onnx()
        file = _checked_file(directory, config)
        try:
            return onnx.load_model(str(file))
        except Exception as error:
            raise InvalidModelError(f"The tensors of {str(file)!r} cannot be read: {error}") from error

    def predictor(self, directory: Path, config: Mapping[str, Any], *, allow_code: bool, **options: Any) -> Predictor:
        """Load the model for `pyfunc`, in a session of onnxruntime."""
        del options
        file = _checked_file(directory, config)
        try:
            providers = _usable_providers(config.get("providers"), options=allow_code)
            return OnnxPredictor(file, providers, dict(config.get("onnx_session_options") or {}), extra=allow_code)
        except Exception as error:
            # Each status of onnxruntime is an exception of its own without a common base.
            raise InvalidModelError(f"onnxruntime cannot load {str(file)!r}: {error}") from error

    def requirements(self, config: Mapping[str, Any]) -> list[str]:
        """Return onnx and onnxruntime."""
        del config
        return ["onnx", "onnxruntime"]


class OnnxPredictor:
    """Predict as MLflow's pyfunc does: a DataFrame for a DataFrame, and a dict of arrays for anything else.

    It is a dict for a DataFrame too if the outputs have different widths.
    """

    only_computes = True

    def __init__(self, file: Path, providers: list[Any], settings: dict[str, Any], *, extra: bool) -> None:
        self._file, self._providers, self._settings, self._extra = file, providers, settings, extra
        self._session = self._open_session()

    def get_raw_model(self) -> Any:
        """Return the ``onnxruntime.InferenceSession``."""
        return self._session

    def limit_threads(self, count: int) -> None:
        """Predict in a new session with `count` threads."""
        self._settings |= dict.fromkeys(_COUNTS, count)
        self._session = self._open_session()

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Return the outputs by name. Params have no effect, as in MLflow.

        Raises:
            InvalidTypeError: `data` is no DataFrame, array or dict of arrays.
            InvalidParameterError: `data` is an array, and the model has several inputs.
        """
        del params
        import numpy as np
        import pandas as pd

        inputs = self._session.get_inputs()
        names = [item.name for item in inputs]
        if isinstance(data, pd.DataFrame):
            one = len(names) == 1
            feeds: dict[str, Any] = (
                {names[0]: data.to_numpy()} if one else {name: data[name].to_numpy() for name in names}
            )
        elif isinstance(data, dict):
            feeds = dict(data)
        elif not isinstance(data, np.ndarray):
            raise InvalidTypeError(
                f"An ONNX model predicts a DataFrame, an array or a dict, got {type(data).__name__}."
            )
        elif len(names) > 1:
            raise InvalidParameterError(
                f"The ONNX model has the inputs {', '.join(names)}; give a dict or a DataFrame with these names."
            )
        else:
            feeds = {names[0]: data}
        for item in inputs:
            value: Any = feeds.get(item.name)
            if item.type == "tensor(float)" and getattr(value, "dtype", None) == np.float64:
                feeds[item.name] = value.astype(np.float32)
        outputs = [item.name for item in self._session.get_outputs()]
        answers = dict(zip(outputs, self._session.run(outputs, feeds), strict=True))
        columns = {name: np.asarray(answer).reshape(-1) for name, answer in answers.items()}
        # MLflow fails where outputs have different widths, such as labels and a column of probabilities per class.
        is_table = isinstance(data, pd.DataFrame) and len({len(column) for column in columns.values()}) == 1
        return pd.DataFrame(columns) if is_table else answers

    def _open_session(self) -> Any:
        runtime = _runtime()
        options = _session_options(self._settings, extra=self._extra)
        return runtime.InferenceSession(str(self._file), sess_options=options, providers=self._providers)


def _checked_file(directory: Path, config: Mapping[str, Any]) -> Path:
    """Return the model file, after it was checked that the files it names lie in the directory.

    Raises:
        InvalidModelError: one does not, or the file is no ONNX model.
        ArtifactNotFoundError: a file is missing.
    """
    onnx = _onnx()
    file = inside(directory, config.get("data", FILE_NAME), "flavors.onnx.data")
    try:
        proto = onnx.load_model(str(file), load_external_data=False)
        for entries in _external_data(proto):
            location = {entry.key: entry.value for entry in entries}.get("location")
            inside(file.parent, location, "external_data of the ONNX model, as if it were a path")
        onnx.checker.check_model(str(file))
    except InvalidModelError:
        raise
    except Exception as error:
        # protobuf, the checker and the file system have errors without a common base.
        raise InvalidModelError(f"{str(file)!r} is no whole ONNX model: {error}") from error
    return file


def _external_data(message: Any) -> Iterator[Any]:
    """Yield the external data of every tensor, wherever in the model it stands."""
    for field, value in message.ListFields():
        if field.name == "external_data":
            yield value
        elif field.message_type is not None:
            for item in value if field.is_repeated else [value]:
                yield from _external_data(item)


def _usable_providers(wanted: Any, *, options: bool) -> list[Any]:
    """Return the installed ones of the wanted providers, with their options if `options` are allowed."""
    names = [wanted] if isinstance(wanted, str) else wanted or PROVIDERS
    installed = _runtime().get_available_providers()
    usable: list[Any] = []
    for item in names:
        name, settings = item if isinstance(item, list | tuple) and len(item) == 2 else (item, None)
        if settings is not None and not isinstance(settings, Mapping):
            raise ValueError(f"the options of {name} are no mapping")
        if name not in installed:
            continue
        if settings and not options:
            _logger.warning("The options of %s in the MLmodel file are not used; allow_code=True would use them.", name)
        usable.append((name, settings) if settings and options else name)
    return usable or ["CPUExecutionProvider"]


def _session_options(settings: Mapping[str, Any], *, extra: bool) -> Any:
    """Return onnxruntime's options.

    Raises:
        ValueError: a value is unknown.
    """
    runtime = _runtime()
    options = runtime.SessionOptions()
    for name in _COUNTS:
        if settings.get(name):
            if not isinstance(settings[name], int):
                raise ValueError(f"{name} is {settings[name]!r}, and should be a number")
            setattr(options, name, settings[name])
    if mode := settings.get("execution_mode"):
        if str(mode).lower() not in _MODES:
            raise ValueError(f"execution_mode is {mode!r}, and should be one of {', '.join(_MODES)}")
        options.execution_mode = getattr(runtime.ExecutionMode, _MODES[str(mode).lower()])
    if level := settings.get("graph_optimization_level"):
        if level not in _LEVELS:
            raise ValueError(f"graph_optimization_level is {level!r}, and should be one of {_LEVELS}")
        options.graph_optimization_level = runtime.GraphOptimizationLevel(level)
    entries = settings.get("extra_session_config") or {}
    if entries and not extra:
        _logger.warning("extra_session_config in the MLmodel file is not used; allow_code=True would use it.")
    for key, value in entries.items() if extra else ():
        options.add_session_config_entry(key, value)
    return options


def _onnx() -> Any:
    return optional_import("onnx", "onnx")


def _runtime() -> Any:
    return optional_import("onnxruntime", "onnx")

"""Save with skops, extended by methods of ``str``, SciPy's distributions and estimators' own methods.

Files stay plain skops files. Guarantees: the extensions act only while `dump` runs, so other callers of skops in the
process see no change.
"""

import contextvars
import functools
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import MethodDescriptorType, MethodType
from typing import Any, Final

from registry.flavors.optional_imports import optional_import
from registry.flavors.untrusted.skops_types import public_value, trusted_kind, trusted_str_methods

_State = dict[str, Any]
_dumping: Final[contextvars.ContextVar[bool]] = contextvars.ContextVar("dumping", default=False)
_UFUNC_MODULES: Final = ("numpy", "scipy.special")


def dump(model: Any, path: Path) -> None:
    """Write a model as a skops file. Errors of skops pass through."""
    skops = optional_import("skops.io", "sklearn")
    _extend_skops()
    token = _dumping.set(True)
    try:
        skops.dump(model, path)
    finally:
        _dumping.reset(token)


def _extend_skops() -> None:
    """Register further types with skops while the block runs; skops has no public way to add types."""
    import numpy
    from sklearn.base import BaseEstimator

    _register(BaseEstimator, _estimator_state)
    _register(MethodDescriptorType, _str_method_state)
    _register(numpy.ufunc, _ufunc_state)
    # A model can hold a distribution only if scipy.stats was imported.
    if "scipy.stats" in sys.modules:
        stats = sys.modules["scipy.stats"]
        _register(stats.rv_continuous, _distribution_state)
        _register(stats.rv_discrete, _distribution_state)


@functools.cache
def _register(kind: Any, state_of: Callable[[Any, Any], _State | None]) -> None:
    from skops.io._utils import _get_state

    default: Callable[[Any, Any], _State] = _get_state.dispatch(kind)

    def get_state(value: Any, save_context: Any) -> _State:
        state = state_of(value, save_context) if _dumping.get() else None
        return default(value, save_context) if state is None else state

    _get_state.register(kind)(get_state)


def _estimator_state(value: Any, save_context: Any) -> _State | None:
    """Return an estimator's state without its own bound methods, which fitting may leave among its attributes."""
    from skops.io._utils import get_state

    attributes = value.__getstate__()
    if not isinstance(attributes, dict):
        return None
    kept = {name: held for name, held in attributes.items() if not _is_own_method(value, name, held)}
    if len(kept) == len(attributes):
        return None
    return {
        "__class__": type(value).__name__,
        "__module__": type(value).__module__,
        "__loader__": "ObjectNode",
        "content": get_state(kept, save_context),
    }


def _is_own_method(owner: Any, name: str, value: Any) -> bool:
    return (
        isinstance(value, MethodType)
        and value.__self__ is owner
        and value.__func__ is inspect.getattr_static(type(owner), name, None)
    )


def _str_method_state(value: Any, save_context: Any) -> _State | None:
    """Return ``str.split`` as the call ``getattr(str, "split")``, as pickle does. Loading accepts only this form."""
    from skops.io._utils import get_state

    name = value.__name__
    if name not in trusted_str_methods() or vars(str).get(name) is not value:
        return None
    return {
        "__class__": "getattr",
        "__module__": "builtins",
        "__loader__": "ConstructorFromReduceNode",
        "content": get_state((str, name), save_context),
    }


def _ufunc_state(value: Any, _save_context: Any) -> _State | None:
    """Return a ufunc's public name. skops would name the first module that imported it, perhaps the user's own."""
    for module in _UFUNC_MODULES:
        name = str(value.__name__)
        if getattr(sys.modules.get(module), name, None) is value:
            return _reference(module, name)
    return None


def _distribution_state(value: Any, _save_context: Any) -> _State | None:
    """Return a distribution's public name.

    Its own state must never be read from a file: SciPy runs the text ``_parse_arg_template`` in it as code.
    """
    name = getattr(value, "name", None)
    if not isinstance(name, str) or trusted_kind(f"scipy.stats.{name}") != "function":
        return None
    public = public_value(f"scipy.stats.{name}")
    if type(public) is not type(value) or any(
        getattr(public, key) != getattr(value, key) for key in ("a", "b", "shapes")
    ):
        return None
    return _reference("scipy.stats", name)


def _reference(module: str, name: str) -> _State:
    return {"__class__": name, "__module__": module, "__loader__": "FunctionNode"}

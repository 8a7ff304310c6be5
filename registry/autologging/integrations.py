"""Switch autologging of a package on and off. A package that is not imported yet is patched when it is.

Guarantees: settings of `autolog` of one flavor are not replaced by those of the `autolog` for all.
"""

import logging
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from registry.autologging import estimators, lightgbm, parallel, post_training, xgboost
from registry.autologging.options import Options
from registry.autologging.patching import Patches, wrapt
from registry.exceptions import InvalidParameterError
from registry.validation.arguments import check_mapping

_logger = logging.getLogger("registry.autologging")
_lock = threading.RLock()


@dataclass(frozen=True, slots=True)
class Integration:
    """A package that autologging patches: the oldest version that is tested, and a function for each module of it."""

    oldest: tuple[int, int]
    patch: Callable[[Patches, Options], None]


INTEGRATIONS: Final = {
    "xgboost": Integration((2, 1), xgboost.patch),
    "lightgbm": Integration((4, 0), lightgbm.patch),
    "sklearn": Integration((1, 5), estimators.patch),
}


@dataclass(slots=True)
class _Enabled:
    options: Options
    patches: Patches
    is_global: bool


_enabled: dict[str, _Enabled] = {}
_disabled_by_name: set[str] = set()
_shared = Patches()
_hooked: set[str] = set()


def enable(name: str, options: Options, *, is_global: bool = False) -> None:
    """Switch autologging of a package on, or replace its options. `is_global` is the call for all packages.

    Raises:
        MissingDependencyError: wrapt is not installed.
        InvalidParameterError: An option has a value that it cannot have.
    """
    _check(options)
    wrapt()
    with _lock:
        _remove(name)
        _disabled_by_name.discard(name)
        _enabled[name] = _Enabled(options, Patches(), is_global)
        if name not in _hooked:
            _hooked.add(name)
            wrapt().register_post_import_hook(lambda _module: _patch(name), name)
        elif name in sys.modules:
            _patch(name)
        _patch_shared()


def disable(name: str) -> None:
    """Switch autologging of a package off, and put its functions back."""
    with _lock:
        _remove(name)
        _patch_shared()


def enable_all(options: Mapping[str, Any], exclude: Collection[str] = ()) -> None:
    """Switch autologging on for all packages, except those that have options of their own."""
    known = {field.name for field in fields(Options)}
    for name in INTEGRATIONS:
        with _lock:
            current = _enabled.get(name)
            if name not in exclude and name not in _disabled_by_name and (current is None or current.is_global):
                enable(name, Options(**{key: value for key, value in options.items() if key in known}), is_global=True)


def disable_by_name(name: str) -> None:
    """Switch autologging of a package off; a later call for all packages leaves it so."""
    with _lock:
        disable(name)
        _disabled_by_name.add(name)


def forget() -> None:
    """Switch autologging off and forget what was said about it, as in a new process."""
    for name in INTEGRATIONS:
        disable(name)
    _disabled_by_name.clear()


def _remove(name: str) -> None:
    current = _enabled.pop(name, None)
    if current is not None:
        current.patches.restore()


def _patch(name: str) -> None:
    """Patch an imported package, if autologging of it is on."""
    with _lock:
        current = _enabled.get(name)
        if current is None or not _is_supported(name, current.options):
            return
        try:
            INTEGRATIONS[name].patch(current.patches, current.options)
        except Exception as error:  # noqa: BLE001 - importing a package must not fail because of us
            current.patches.restore()
            _logger.warning("Autologging of %s could not be switched on: %r", name, error)


def _is_supported(name: str, options: Options) -> bool:
    oldest = INTEGRATIONS[name].oldest
    version = getattr(sys.modules[name], "__version__", "0")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers >= oldest:
        return True
    if not options.silent:
        effect = "is off" if options.disable_for_unsupported_versions else "may be incomplete"
        _logger.warning("Autologging of %s %s %s: it is tested from version %d.%d on.", name, version, effect, *oldest)
    return not options.disable_for_unsupported_versions


def _patch_shared() -> None:
    """Patch what all integrations share, as long as one is on: `sklearn.metrics`, and joblib's threads."""
    global _shared
    _shared.restore()
    _shared = Patches()
    for module, patch in _SHARED.items():
        if module not in _hooked:
            _hooked.add(module)
            wrapt().register_post_import_hook(_patch_shared_module, module)
        elif module in sys.modules and _enabled:
            patch(_shared, sys.modules[module])


def _patch_shared_module(module: Any) -> None:
    with _lock:
        if _enabled:
            _SHARED[module.__name__](_shared, module)


def _patch_metrics(patches: Patches, module: Any) -> None:
    if any(current.options.log_post_training_metrics for current in _enabled.values()):
        post_training.patch_metrics(patches, module)


_SHARED: Final = {
    "sklearn.metrics": _patch_metrics,
    "sklearn.model_selection": parallel.patch_validation,
    "joblib.parallel": parallel.patch_joblib,
}


def _check(options: Options) -> None:
    limit = options.max_tuning_runs
    if limit is not None and not (isinstance(limit, int) and limit >= 0):
        raise InvalidParameterError(f"`max_tuning_runs` must be non-negative, instead got {limit!r}.")
    check_mapping(options.extra_tags, "extra_tags")

"""Replace functions of other packages by wrappers (wrapt), and put the originals back.

Guarantees: after `restore`, each attribute is the very object that it was, and one that was inherited is inherited
again. A wrapper, or a method that it binds, is pickled and copied as the original is.
"""

import copy
import functools
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from registry.exceptions import MissingDependencyError
from registry.package_name import install_command

# Called with the original (bound), the instance or None, and the arguments of the call.
Handler: TypeAlias = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]
_INHERITED: Final = object()


class Patches:
    """The attributes that one integration has replaced."""

    def __init__(self) -> None:
        self._replaced: list[tuple[Any, str, Any, Any]] = []
        self._is_active = True

    def wrap(self, owner: Any, name: str, handler: Handler) -> None:
        """Replace a function of a module, or a method of a class. Do nothing if there is none of this name."""
        original = _find(owner, name)
        if original is None or not self._is_active:
            return
        wrapper = _wrapper_class()(original, handler, enabled=self._enabled)
        wrapper._self_patched_name = name
        self._replaced.append((owner, name, vars(owner).get(name, _INHERITED), wrapper))
        setattr(owner, name, wrapper)

    def restore(self) -> None:
        """Put the originals back, and disable the wrappers that somebody has kept."""
        self._is_active = False
        for owner, name, original, wrapper in reversed(self._replaced):
            if vars(owner).get(name) is not wrapper:
                continue  # somebody has patched it since; ours only calls the original now
            if original is _INHERITED:
                delattr(owner, name)
            else:
                setattr(owner, name, original)
        self._replaced.clear()

    def _enabled(self) -> bool:
        return self._is_active


def is_patched(owner: Any, name: str) -> bool:
    """Tell whether an attribute of a class or module is a wrapper of ours."""
    return isinstance(vars(owner).get(name), _wrapper_class())


def unwrapped(function: Any) -> Any:
    """Return the original of a function of ours, or the function itself."""
    while isinstance(function, _wrapper_class()):
        function = function.__wrapped__
    return function


def wrapt() -> Any:
    """Import wrapt.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        import wrapt
    except ImportError as error:
        raise MissingDependencyError(
            f"Autologging needs the package 'wrapt', which cannot be imported ({error}). "
            f"Install it: {install_command('autologging')}"
        ) from error
    return wrapt


def _find(owner: Any, name: str) -> Any:
    """Return an attribute as its owner, or the base of a class that has it, stores it: descriptors stay unbound."""
    for place in getattr(owner, "__mro__", (owner,)):
        if name in vars(place):
            return unwrapped(vars(place)[name])
    return None


@functools.cache
def _wrapper_class() -> Any:
    # `Any`, because wrapt is imported on first use.
    bound: Any = wrapt().BoundFunctionWrapper
    function: Any = wrapt().FunctionWrapper

    class BoundMethod(bound):  # type: ignore[misc]
        """A method that a wrapper has bound to an instance."""

        def __reduce_ex__(self, _protocol: Any) -> Any:
            return getattr, (self._self_instance, self._self_parent._self_patched_name)

    class PatchedFunction(function):  # type: ignore[misc]
        """A wrapper around a function or method."""

        __bound_function_wrapper__ = BoundMethod

        def __reduce_ex__(self, _protocol: Any) -> Any:
            # copy.copy returns a function itself, so the original is what comes out of the pickle.
            return copy.copy, (self.__wrapped__,)

        def __copy__(self) -> Any:
            return self

        def __deepcopy__(self, _memo: Any) -> Any:
            return self

    return PatchedFunction

"""Find flavors by the entry points of the group ``registry.flavors``, and load each on first use."""

import importlib.metadata
from functools import cache
from typing import Final

from registry.exceptions import MissingDependencyError, NotFoundError
from registry.flavors.protocol import Flavor

GROUP: Final = "registry.flavors"


@cache
def _entry_points() -> dict[str, importlib.metadata.EntryPoint]:
    return {point.name: point for point in importlib.metadata.entry_points(group=GROUP)}


def flavor_names() -> list[str]:
    """Return the names of the installed flavors, sorted."""
    return sorted(_entry_points())


def forget_flavors() -> None:
    """Search for flavors again on next use, for programs that install packages while they run."""
    _entry_points.cache_clear()
    get_flavor.cache_clear()


@cache
def get_flavor(name: str) -> Flavor:
    """Return a flavor by name.

    Raises:
        NotFoundError: no installed package has that flavor.
        MissingDependencyError: the package that has it cannot be imported.
    """
    point = _entry_points().get(name)
    if point is None:
        raise NotFoundError(
            f"No flavor {name!r} is installed; there are: {', '.join(flavor_names()) or 'none'}. "
            f"A package adds one by an entry point in the group {GROUP!r}."
        )
    try:
        flavor: Flavor = point.load()()
    except (ImportError, AttributeError) as error:
        raise MissingDependencyError(f"The flavor {name!r} ({point.value}) cannot be loaded: {error}") from error
    return flavor


def find_by_loader(loader_module: object, names: list[str]) -> Flavor | None:
    """Return the flavor whose `loader_module` this is, or None. Search `names` first, then all flavors."""
    known = flavor_names()
    for name in dict.fromkeys([*(item for item in names if item in known), *known]):
        flavor = get_flavor(name)
        if flavor.loader_module == loader_module:
            return flavor
    return None

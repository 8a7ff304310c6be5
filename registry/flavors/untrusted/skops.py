"""skops files from elsewhere: whether the trees in one are whole, as far as it can be loaded without consent.

Owns what is made of a file that cannot be: it passes, for whoever loads it is told, and trees are checked at loading
too. Invariant: only types of the fixed list in ``flavors.trusted`` are brought back.
"""

import zipfile
from pathlib import Path
from typing import Final

from registry.exceptions import InvalidModelError, MissingDependencyError
from registry.flavors.optional_imports import optional_import
from registry.flavors.untrusted.sklearn_trees import check_trees
from registry.flavors.untrusted.skops_types import TRUSTED_TYPES

# What skops raises on damaged or foreign files; it has no error class of its own for them.
SKOPS_ERRORS: Final = (
    zipfile.BadZipFile,
    ImportError,
    AttributeError,
    LookupError,
    OSError,
    EOFError,
    TypeError,
    ValueError,
    RecursionError,
)


def check_skops_file(file: Path) -> None:
    """Pass if no tree in a skops file leads out of itself; any other file passes too.

    Raises:
        InvalidModelError: one does, and scikit-learn would follow it.
    """
    if not zipfile.is_zipfile(file):
        return
    try:
        skops = optional_import("skops.io", "sklearn")
        exceptions = optional_import("skops.io.exceptions", "sklearn")
    except MissingDependencyError:
        return
    try:
        model = skops.load(file, trusted=sorted(TRUSTED_TYPES))
    except (exceptions.UntrustedTypesFoundException, *SKOPS_ERRORS):
        return
    try:
        check_trees(model)
    except SKOPS_ERRORS as error:
        raise InvalidModelError(
            f"{str(file)!r} is no whole scikit-learn model: {error}. scikit-learn itself could crash on it. Save the "
            "model again."
        ) from None

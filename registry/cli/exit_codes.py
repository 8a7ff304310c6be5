"""Exit codes, and which error has which.

Guarantees: a script can tell from the code alone whether to retry, to stop, or to ask.
"""

from collections.abc import Mapping
from typing import Final

from registry import exceptions

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NO: Final = 3
MISSING: Final = 4
CONFLICT: Final = 5
INTERRUPTED: Final = 130
CLOSED_PIPE: Final = 141

MEANINGS: Final[Mapping[int, str]] = {
    DONE: "done; an empty list too",
    FAILED: "failed: the database or a file store is away, a disk is full, a package is missing",
    USAGE: "the command line is wrong, or --yes is missing",
    NO: "the answer is no: a rule, a refusal, or a check that found something",
    MISSING: "there is no such run, model, version, experiment or file",
    CONFLICT: "it changed meanwhile, or the name is taken",
    INTERRUPTED: "interrupted by Ctrl-C",
    CLOSED_PIPE: "the reader of the output closed it, as 'head' does",
}

# The first class that fits decides.
_CODES: Final[tuple[tuple[type[exceptions.RegistryError], int], ...]] = (
    (exceptions.PromotionRefusedError, NO),
    (exceptions.CodeExecutionRefusedError, NO),
    (exceptions.NotOwnerError, NO),
    (exceptions.UntrustedModelError, NO),
    (exceptions.IntegrityError, NO),
    (exceptions.InUseError, NO),
    (exceptions.NotFoundError, MISSING),
    (exceptions.AlreadyExistsError, CONFLICT),
    (exceptions.ConflictError, CONFLICT),
    (exceptions.ParamConflictError, CONFLICT),
    (exceptions.InvalidModelError, FAILED),
    (exceptions.SchemaEnforcementError, FAILED),
    (exceptions.InvalidParameterError, USAGE),
    (exceptions.UnsupportedStoreError, USAGE),
)


def code_of(error: exceptions.RegistryError) -> int:
    """Return the exit code of an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)

"""Every error that leaves this package, as one tree.

Each error is also the builtin that fits, carries MLflow's ``error_code`` string, and names the thing and the way out.
No exception of a dependency (sqlalchemy, botocore, lark, pydantic, yaml, json) passes through a public function.

RegistryError (= MlflowException, RestException)
├─ InvalidParameterError (ValueError)             INVALID_PARAMETER_VALUE
│  ├─ InvalidTypeError (TypeError)
│  ├─ InvalidNameError                            a name, alias or key outside its grammar
│  ├─ InvalidPathError                            a path that is not inside its root
│  ├─ InvalidUriError                             not a URI of the known forms
│  ├─ InvalidFilterError                          a filter or order_by that does not parse
│  ├─ InvalidModelError                           an MLmodel directory that cannot be used
│  ├─ ParamConflictError                          a param logged twice with two values
│  └─ SchemaEnforcementError                      input that does not fit a model's signature
├─ NotFoundError (LookupError)                    RESOURCE_DOES_NOT_EXIST
│  ├─ ExperimentNotFoundError, RunNotFoundError, LoggedModelNotFoundError
│  ├─ ModelNotFoundError, VersionNotFoundError, AliasNotFoundError
│  ├─ NoPreviousHolderError                       nothing to roll back to
│  └─ ArtifactNotFoundError (FileNotFoundError)
├─ AlreadyExistsError (ValueError)                RESOURCE_ALREADY_EXISTS
│  └─ PathExistsError (FileExistsError)
├─ ConflictError                                  RESOURCE_CONFLICT
│  ├─ StageOccupiedError                          a second holder was asked for
│  ├─ StageConflictError                          expected_current did not hold
│  └─ InUseError                                  deleting what holds a stage, without force
├─ InvalidStateError                              INVALID_STATE
│  ├─ ActiveRunError                              a run is already active
│  ├─ ForeignStoreError                           the database or directory is MLflow's
│  ├─ SchemaOutdatedError, SchemaTooNewError
│  ├─ ClockAheadError                             the last event of a model lies ahead of the clock
│  ├─ UploadExpiredError                          gc gave up an upload before it became a model
│  └─ UnsupportedStoreError (ValueError)          a URI that cannot hold a registry
├─ PermissionDeniedError (PermissionError)        PERMISSION_DENIED
│  ├─ CodeExecutionRefusedError                   loading would run code of the model
│  ├─ ReadOnlyError                               a change through a read-only client
│  ├─ NotOwnerError                               removing or overwriting bytes that belong to another database
│  ├─ UntrustedModelError                         a demanded signature is missing or wrong
│  ├─ AccessDeniedError (also a StorageError)     the byte store or disk refuses these credentials or rights
│  └─ PromotionRefusedError                       promotion rules failed
├─ IntegrityError                                 DATA_LOSS
├─ StorageError (OSError)                         IO_ERROR
├─ UnavailableError (ConnectionError)             TEMPORARILY_UNAVAILABLE
├─ MissingDependencyError (ImportError)           an optional package is not installed
├─ NotSupportedError (AttributeError)             NOT_IMPLEMENTED
└─ ModuleNotSupportedError (ModuleNotFoundError)  NOT_IMPLEMENTED
"""

import json
from typing import Any, ClassVar, Final, Self

# Numbers and names as in MLflow's databricks.proto, which scripts compare against.
ERROR_CODES: Final[dict[str, int]] = {
    "INTERNAL_ERROR": 1,
    "TEMPORARILY_UNAVAILABLE": 2,
    "IO_ERROR": 3,
    "BAD_REQUEST": 4,
    "DEADLINE_EXCEEDED": 7,
    "CANCELLED": 8,
    "RESOURCE_EXHAUSTED": 9,
    "ABORTED": 10,
    "NOT_FOUND": 11,
    "ALREADY_EXISTS": 12,
    "UNAUTHENTICATED": 13,
    "INVALID_PARAMETER_VALUE": 1000,
    "ENDPOINT_NOT_FOUND": 1001,
    "MALFORMED_REQUEST": 1002,
    "INVALID_STATE": 1003,
    "PERMISSION_DENIED": 1004,
    "FEATURE_DISABLED": 1005,
    "CUSTOMER_UNAUTHORIZED": 1006,
    "REQUEST_LIMIT_EXCEEDED": 1007,
    "RESOURCE_CONFLICT": 1008,
    "NOT_IMPLEMENTED": 1010,
    "DATA_LOSS": 1011,
    "INVALID_STATE_TRANSITION": 2001,
    "RESOURCE_ALREADY_EXISTS": 3001,
    "RESOURCE_DOES_NOT_EXIST": 3002,
}

_HTTP_STATUS: Final[dict[str, int]] = {
    "INVALID_PARAMETER_VALUE": 400,
    "BAD_REQUEST": 400,
    "RESOURCE_ALREADY_EXISTS": 400,
    "PERMISSION_DENIED": 403,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "NOT_FOUND": 404,
    "ENDPOINT_NOT_FOUND": 404,
    "RESOURCE_CONFLICT": 409,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "REQUEST_LIMIT_EXCEEDED": 429,
    "NOT_IMPLEMENTED": 501,
    "TEMPORARILY_UNAVAILABLE": 503,
}


_LONGEST_MESSAGE: Final = 4_000


class RegistryError(Exception):
    """The base of every error of this package; exported also as ``MlflowException``.

    ``error_code`` is MLflow's name for the kind of error, for example ``"RESOURCE_DOES_NOT_EXIST"``.
    """

    default_code: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(self, message: object, error_code: str | int | None = None, **json_kwargs: Any) -> None:
        self.message = _shortened(str(message))
        self.error_code = _code_name(error_code) if error_code is not None else self.default_code
        self.json_kwargs = json_kwargs
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message

    @classmethod
    def invalid_parameter_value(cls, message: str, **kwargs: Any) -> Self:
        """An error of this class with the code ``INVALID_PARAMETER_VALUE`` (MLflow's constructor)."""
        return cls(message, error_code="INVALID_PARAMETER_VALUE", **kwargs)

    def get_http_status_code(self) -> int:
        """The HTTP status that MLflow's server would answer with."""
        return _HTTP_STATUS.get(self.error_code, 500)

    def serialize_as_json(self) -> str:
        """``{"error_code": …, "message": …}`` and the keyword arguments given at construction."""
        return json.dumps({"error_code": self.error_code, "message": self.message, **self.json_kwargs}, default=str)


MlflowException = RegistryError
# What MLflow's client raises of a server's answer; scripts written for a server catch it, and read `error_code`.
RestException = RegistryError


def _shortened(message: str) -> str:
    """A message without its middle, if it quotes something huge: the thing stands first and the way out last."""
    left_out = len(message) - _LONGEST_MESSAGE
    if left_out <= 0:
        return message
    half = _LONGEST_MESSAGE // 2
    return f"{message[:half]} … ({left_out} characters left out) … {message[-half:]}"


def _code_name(code: str | int) -> str:
    if isinstance(code, str):
        return code
    return next((name for name, number in ERROR_CODES.items() if number == code), "INTERNAL_ERROR")


class InvalidParameterError(RegistryError, ValueError):
    """An argument has a value that is not allowed."""

    default_code = "INVALID_PARAMETER_VALUE"


class InvalidTypeError(InvalidParameterError, TypeError):
    """An argument has a type that is not allowed."""


class InvalidNameError(InvalidParameterError):
    """A name, alias or key is outside its grammar."""


class InvalidPathError(InvalidParameterError):
    """A path does not stay inside the directory or prefix it belongs to."""


class InvalidUriError(InvalidParameterError):
    """A text is not a URI of the forms that are known."""


class InvalidFilterError(InvalidParameterError):
    """A filter string or an order_by clause does not parse."""


class InvalidModelError(InvalidParameterError):
    """A directory is not a usable MLmodel directory."""


class ParamConflictError(InvalidParameterError):
    """A param was logged before with another value."""


class SchemaEnforcementError(InvalidParameterError):
    """Input of ``predict`` does not fit the model's signature."""


class NotFoundError(RegistryError, LookupError):
    """A named thing does not exist."""

    default_code = "RESOURCE_DOES_NOT_EXIST"


class ExperimentNotFoundError(NotFoundError):
    """No experiment of that id or name."""


class RunNotFoundError(NotFoundError):
    """No run of that id."""


class LoggedModelNotFoundError(NotFoundError):
    """No logged model of that id, or none of that name in the run."""


class ModelNotFoundError(NotFoundError):
    """No registered model of that name."""


class VersionNotFoundError(NotFoundError):
    """No version of that number, or none in that stage."""


class AliasNotFoundError(NotFoundError):
    """No alias of that name."""


class NoPreviousHolderError(NotFoundError):
    """A rollback has nothing to go back to."""


class ArtifactNotFoundError(NotFoundError, FileNotFoundError):
    """No file or directory at that artifact path."""


class AlreadyExistsError(RegistryError, ValueError):
    """A thing of that name exists."""

    default_code = "RESOURCE_ALREADY_EXISTS"


class PathExistsError(AlreadyExistsError, FileExistsError):
    """A path that must be absent or empty is neither."""


class ConflictError(RegistryError):
    """The state of the registry does not allow the change."""

    default_code = "RESOURCE_CONFLICT"


class StageOccupiedError(ConflictError):
    """The stage has a holder and the caller asked not to archive it."""


class StageConflictError(ConflictError):
    """``expected_current`` is not who holds the stage or alias now."""


class InUseError(ConflictError):
    """What is to be deleted holds an active stage; ``force=True`` deletes it all the same."""


class InvalidStateError(RegistryError):
    """The thing exists but is in a state that does not allow the call."""

    default_code = "INVALID_STATE"


class ActiveRunError(InvalidStateError):
    """A run is active in this context already."""


class ForeignStoreError(InvalidStateError):
    """The database or directory belongs to MLflow."""


class SchemaOutdatedError(InvalidStateError):
    """The database is behind the code; the message has the command that upgrades it."""


class SchemaTooNewError(InvalidStateError):
    """The database is ahead of the code."""


class UploadExpiredError(InvalidStateError):
    """Storing a model took longer than gc's grace period; its files are gone, and nothing appeared."""


class ClockAheadError(InvalidStateError):
    """The last event of a model lies ahead of the clock, so that the time of a new one would be wrong too."""


class UnsupportedStoreError(InvalidStateError, ValueError):
    """A tracking URI that cannot hold a registry."""

    default_code = "INVALID_PARAMETER_VALUE"


class PermissionDeniedError(RegistryError, PermissionError):
    """The caller may not do this."""

    default_code = "PERMISSION_DENIED"


class CodeExecutionRefusedError(PermissionDeniedError):
    """Loading the model would run code from its files, and the caller did not consent."""


class ReadOnlyError(PermissionDeniedError):
    """A change was asked of a read-only client."""


class NotOwnerError(PermissionDeniedError):
    """The bytes belong to another database, of which this one is perhaps a copy; see `MlflowClient.adopt`."""


class UntrustedModelError(PermissionDeniedError):
    """The model does not bear the signature that the caller demands."""


class PromotionRefusedError(PermissionDeniedError):
    """One or more promotion rules failed; the message lists each with its figures."""


class IntegrityError(RegistryError):
    """Stored bytes or rows are not what was recorded."""

    default_code = "DATA_LOSS"


class StorageError(RegistryError, OSError):
    """The artifact store refused or failed; the message says which setting to look at."""

    default_code = "IO_ERROR"


class AccessDeniedError(PermissionDeniedError, StorageError):
    """The artifact store or the disk refuses these credentials or rights; the message says which setting to look at."""


def disk_error(message: str, error: OSError) -> StorageError:
    """The error for what the operating system refused: where it was a matter of rights, also a `PermissionError`."""
    return AccessDeniedError(message) if isinstance(error, PermissionError) else StorageError(message)


class UnavailableError(RegistryError, ConnectionError):
    """The database or artifact store cannot be reached."""

    default_code = "TEMPORARILY_UNAVAILABLE"


class MissingDependencyError(RegistryError, ImportError):
    """An optional package is needed; the message names the extra to install."""


class NotSupportedError(RegistryError, AttributeError):
    """A name of MLflow's that this package does not have; the message says what to do instead."""

    default_code = "NOT_IMPLEMENTED"


class ModuleNotSupportedError(RegistryError, ModuleNotFoundError):
    """A module of MLflow's that this package does not have; the message says what to do instead."""

    default_code = "NOT_IMPLEMENTED"

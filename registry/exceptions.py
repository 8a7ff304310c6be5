"""The errors of this package, as one tree.

Each error is also a fitting builtin exception and has MLflow's ``error_code``. Its message says what is wrong, what was
expected and what to do. Guarantees: no exception of a dependency (sqlalchemy, botocore, lark, pydantic, yaml, json)
leaves a public function.

RegistryError (= MlflowException, RestException)
├─ InvalidParameterError (ValueError)             INVALID_PARAMETER_VALUE
│  ├─ InvalidTypeError (TypeError)
│  ├─ InvalidNameError                            a name, alias or key with characters or a form not allowed
│  ├─ InvalidPathError                            a path that leaves its root
│  ├─ InvalidUriError                             a URI of no known form
│  ├─ InvalidFilterError                          a filter or order_by that does not parse
│  ├─ InvalidModelError                           an unusable MLmodel directory
│  ├─ ParamConflictError                          a param logged again with another value
│  └─ SchemaEnforcementError                      input that does not match a model's signature
├─ NotFoundError (LookupError)                    RESOURCE_DOES_NOT_EXIST
│  ├─ ExperimentNotFoundError, RunNotFoundError, LoggedModelNotFoundError
│  ├─ ModelNotFoundError, VersionNotFoundError, AliasNotFoundError
│  ├─ NoPreviousHolderError                       nothing to roll back to
│  └─ ArtifactNotFoundError (FileNotFoundError)
├─ AlreadyExistsError (ValueError)                RESOURCE_ALREADY_EXISTS
│  └─ PathExistsError (FileExistsError)
├─ ConflictError                                  RESOURCE_CONFLICT
│  ├─ StageOccupiedError                          the stage has a holder that must not be archived
│  ├─ StageConflictError                          expected_current is not the current holder
│  └─ InUseError                                  deleting the holder of a stage without force
├─ InvalidStateError                              INVALID_STATE
│  ├─ ActiveRunError                              a run is already active
│  ├─ ForeignStoreError                           the database or directory belongs to MLflow
│  ├─ SchemaOutdatedError, SchemaTooNewError      the database is older or newer than the code
│  ├─ ClockAheadError                             the last event of a model is ahead of the clock
│  ├─ UploadExpiredError                          gc removed an upload before it became a model
│  ├─ OfflineError                                a change of registered models by a client that is offline
│  └─ UnsupportedStoreError (ValueError)          a URI of a kind that cannot hold a registry
├─ PermissionDeniedError (PermissionError)        PERMISSION_DENIED
│  ├─ CodeExecutionRefusedError                   loading would run code of the model
│  ├─ ReadOnlyError                               a change through a read-only client
│  ├─ NotOwnerError                               bytes of another database would be removed or overwritten
│  ├─ UntrustedModelError                         a required signature is missing or wrong
│  ├─ AccessDeniedError (also a StorageError)     the artifact store or disk refused the credentials or rights
│  └─ PromotionRefusedError                       promotion rules failed
├─ ModelValidationError                           BAD_REQUEST; an evaluation does not reach its thresholds
├─ IntegrityError                                 DATA_LOSS
├─ StorageError (OSError)                         IO_ERROR
├─ UnavailableError (ConnectionError)             TEMPORARILY_UNAVAILABLE
├─ MissingDependencyError (ImportError)           an optional package is not installed
├─ NotSupportedError (AttributeError)             NOT_IMPLEMENTED
└─ ModuleNotSupportedError (ModuleNotFoundError)  NOT_IMPLEMENTED
"""

import json
from typing import Any, ClassVar, Final, Self

# Names and numbers of MLflow's databricks.proto; scripts compare against them.
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
    """The base class of all errors of this package; also exported as ``MlflowException``.

    Args:
        message: What is wrong, what was expected and what to do. Texts over 4,000 characters lose their middle.
        error_code: MLflow's code, as a name or number. The default is the code of the class.
        **json_kwargs: Further fields for `serialize_as_json`.

    Attributes:
        message (str): The text of the error.
        error_code (str): MLflow's name for the kind of error, such as ``"RESOURCE_DOES_NOT_EXIST"``.
        default_code (str): The ``error_code`` of the class.
        json_kwargs (dict[str, object]): The further fields given at construction.

    Example:
        >>> try:
        ...     client.get_registered_model("chrun")
        ... except registry.RegistryError as error:
        ...     print(error.error_code, error.get_http_status_code())
        RESOURCE_DOES_NOT_EXIST 404
    """

    default_code: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(self, message: object, error_code: str | int | None = None, **json_kwargs: Any) -> None:
        self.message = _shortened(str(message))
        self.error_code = _code_name(error_code) if error_code is not None else self.default_code
        self.json_kwargs = json_kwargs
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Python's own way is not taken by Dask, which would make an OSError of ours without its arguments.
        return _restore, (type(self), self.message, self.error_code, self.json_kwargs)

    @classmethod
    def invalid_parameter_value(cls, message: str, **kwargs: Any) -> Self:
        """Create an error with the code ``INVALID_PARAMETER_VALUE`` (MLflow's constructor).

        Args:
            message: The text of the error.
            **kwargs: Further fields for `serialize_as_json`.

        Returns:
            The error, to be raised by the caller.
        """
        return cls(message, error_code="INVALID_PARAMETER_VALUE", **kwargs)

    def get_http_status_code(self) -> int:
        """Return the HTTP status with which MLflow's server would answer, such as 404; 500 for other codes."""
        return _HTTP_STATUS.get(self.error_code, 500)

    def serialize_as_json(self) -> str:
        """Return the error as a JSON object: ``error_code``, ``message`` and the fields given at construction."""
        return json.dumps({"error_code": self.error_code, "message": self.message, **self.json_kwargs}, default=str)


MlflowException = RegistryError
# MLflow's client raises this for an error of the server. Scripts catch it and read `error_code`.
RestException = RegistryError


def _restore(cls: type[RegistryError], message: str, error_code: str, json_kwargs: dict[str, Any]) -> RegistryError:
    error = cls("", error_code, **json_kwargs)
    error.message, error.args = message, (message,)  # it may be as long as messages are shortened to, and a bit more
    return error


def _shortened(message: str) -> str:
    """Cut the middle out of a very long message; its beginning says what is wrong, its end what to do."""
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
    """An argument has a value that is not allowed. Parent of the more specific errors about arguments."""

    default_code = "INVALID_PARAMETER_VALUE"


class InvalidTypeError(InvalidParameterError, TypeError):
    """An argument has a type that is not allowed."""


class InvalidNameError(InvalidParameterError):
    """A name, alias or key is empty, too long, or has a character or form that is not allowed."""


class InvalidPathError(InvalidParameterError):
    """A path is absolute, leaves its directory or prefix, or cannot be stored on every system."""


class InvalidUriError(InvalidParameterError):
    """A URI has none of the known forms; the message lists them."""


class InvalidFilterError(InvalidParameterError):
    """A filter or order_by clause does not parse; the message points to the character."""


class InvalidModelError(InvalidParameterError):
    """A directory has no usable MLmodel file, or a model file in it is malformed."""


class ParamConflictError(InvalidParameterError):
    """A param of the run already has another value. Params are written once; use a tag for values that change."""


class SchemaEnforcementError(InvalidParameterError):
    """The input of ``predict`` does not match the model's signature."""


class NotFoundError(RegistryError, LookupError):
    """The named object does not exist. Parent of the more specific errors."""

    default_code = "RESOURCE_DOES_NOT_EXIST"


class ExperimentNotFoundError(NotFoundError):
    """No experiment has this id or name."""


class RunNotFoundError(NotFoundError):
    """No run has this id."""


class LoggedModelNotFoundError(NotFoundError):
    """No logged model has this id, or the run has none with this name."""


class ModelNotFoundError(NotFoundError):
    """No registered model has this name."""


class VersionNotFoundError(NotFoundError):
    """The model has no version with this number, or none in this stage."""


class AliasNotFoundError(NotFoundError):
    """The model has no alias with this name."""


class NoPreviousHolderError(NotFoundError):
    """The stage had no earlier holder that a rollback could restore."""


class ArtifactNotFoundError(NotFoundError, FileNotFoundError):
    """No file or directory exists at this artifact path."""


class AlreadyExistsError(RegistryError, ValueError):
    """The name is taken, perhaps by a deleted object or by a name that is easily confused with it."""

    default_code = "RESOURCE_ALREADY_EXISTS"


class PathExistsError(AlreadyExistsError, FileExistsError):
    """A local path exists that must be absent or empty."""


class ConflictError(RegistryError):
    """The current state of the registry conflicts with the change. Re-read it and decide again."""

    default_code = "RESOURCE_CONFLICT"


class StageOccupiedError(ConflictError):
    """The stage has a holder, and ``archive_existing_versions=False`` forbids to archive it."""


class StageConflictError(ConflictError):
    """The stage or alias is not held by ``expected_current``. Re-read it and retry."""


class InUseError(ConflictError):
    """The version, or a version of the model, holds Staging or Production. ``force=True`` deletes it anyway."""


class InvalidStateError(RegistryError):
    """The object exists, but its state does not allow the call."""

    default_code = "INVALID_STATE"


class ActiveRunError(InvalidStateError):
    """Another run is already active in this thread or task. End it, or start the new one with ``nested=True``."""


class ForeignStoreError(InvalidStateError):
    """The database or directory belongs to MLflow and was not changed.

    Use another one for the registry, and import this one with ``registry import-mlflow``.
    """


class SchemaOutdatedError(InvalidStateError):
    """The database has an older schema than the code needs; the message has the command that upgrades it."""


class SchemaTooNewError(InvalidStateError):
    """The database has a newer schema than the code knows. Upgrade the package."""


class UploadExpiredError(InvalidStateError):
    """Storing a model took longer than gc's grace period, so gc removed its files. Log the model again."""


class OfflineError(InvalidStateError):
    """The client logs to a spool, which has no registered models. Send it with ``registry sync``, then retry."""


class ClockAheadError(InvalidStateError):
    """The last event of a model is ahead of the clock. If the clock is right, use `MlflowClient.correct_clock`."""


class UnsupportedStoreError(InvalidStateError, ValueError):
    """The tracking URI is of a kind that cannot hold a registry, such as ``http://`` or ``mysql://``."""

    default_code = "INVALID_PARAMETER_VALUE"


class PermissionDeniedError(RegistryError, PermissionError):
    """The caller lacks the permission for this call. Parent of the more specific errors."""

    default_code = "PERMISSION_DENIED"


class CodeExecutionRefusedError(PermissionDeniedError):
    """Loading the model would run code from its files. ``allow_code=True`` permits it, for models that you trust."""


class ReadOnlyError(PermissionDeniedError):
    """A read-only client was asked for a change."""


class NotOwnerError(PermissionDeniedError):
    """The files belong to another database, of which this one may be a copy; see `MlflowClient.adopt`."""


class UntrustedModelError(PermissionDeniedError):
    """The model has no valid signature by a key that the caller requires."""


class PromotionRefusedError(PermissionDeniedError):
    """Promotion rules of the stage failed; the message lists each with its values."""


class ModelValidationError(RegistryError):
    """The result of an evaluation does not reach its thresholds; the message has a line per metric."""

    default_code = "BAD_REQUEST"


class IntegrityError(RegistryError):
    """Stored files or rows differ from what was recorded: they were damaged or edited."""

    default_code = "DATA_LOSS"


class StorageError(RegistryError, OSError):
    """The artifact store or the disk failed; the message names the setting to check."""

    default_code = "IO_ERROR"


class AccessDeniedError(PermissionDeniedError, StorageError):
    """The artifact store or the disk refused the credentials or rights; the message names the setting to check."""


def disk_error(message: str, error: OSError) -> StorageError:
    """Convert an OSError to an AccessDeniedError if it is a PermissionError, otherwise to a StorageError."""
    return AccessDeniedError(message) if isinstance(error, PermissionError) else StorageError(message)


class UnavailableError(RegistryError, ConnectionError):
    """The database or artifact store cannot be reached, or still fails after retries. Try again later."""

    default_code = "TEMPORARILY_UNAVAILABLE"


class MissingDependencyError(RegistryError, ImportError):
    """An optional package is not installed; the message names the extra to install."""


class NotSupportedError(RegistryError, AttributeError):
    """An MLflow function or argument that this package does not have; the message names an alternative."""

    default_code = "NOT_IMPLEMENTED"


class ModuleNotSupportedError(RegistryError, ModuleNotFoundError):
    """An MLflow module that this package does not have; the message names an alternative."""

    default_code = "NOT_IMPLEMENTED"

"""MLflow's error codes as numbers, for scripts that compare them."""

from collections.abc import ItemsView
from typing import Final

from registry.exceptions import ERROR_CODES, InvalidParameterError

ABORTED: Final = ERROR_CODES["ABORTED"]
ALREADY_EXISTS: Final = ERROR_CODES["ALREADY_EXISTS"]
BAD_REQUEST: Final = ERROR_CODES["BAD_REQUEST"]
CANCELLED: Final = ERROR_CODES["CANCELLED"]
CUSTOMER_UNAUTHORIZED: Final = ERROR_CODES["CUSTOMER_UNAUTHORIZED"]
DATA_LOSS: Final = ERROR_CODES["DATA_LOSS"]
DEADLINE_EXCEEDED: Final = ERROR_CODES["DEADLINE_EXCEEDED"]
ENDPOINT_NOT_FOUND: Final = ERROR_CODES["ENDPOINT_NOT_FOUND"]
FEATURE_DISABLED: Final = ERROR_CODES["FEATURE_DISABLED"]
INTERNAL_ERROR: Final = ERROR_CODES["INTERNAL_ERROR"]
INVALID_PARAMETER_VALUE: Final = ERROR_CODES["INVALID_PARAMETER_VALUE"]
INVALID_STATE: Final = ERROR_CODES["INVALID_STATE"]
INVALID_STATE_TRANSITION: Final = ERROR_CODES["INVALID_STATE_TRANSITION"]
IO_ERROR: Final = ERROR_CODES["IO_ERROR"]
MALFORMED_REQUEST: Final = ERROR_CODES["MALFORMED_REQUEST"]
NOT_FOUND: Final = ERROR_CODES["NOT_FOUND"]
NOT_IMPLEMENTED: Final = ERROR_CODES["NOT_IMPLEMENTED"]
PERMISSION_DENIED: Final = ERROR_CODES["PERMISSION_DENIED"]
REQUEST_LIMIT_EXCEEDED: Final = ERROR_CODES["REQUEST_LIMIT_EXCEEDED"]
RESOURCE_ALREADY_EXISTS: Final = ERROR_CODES["RESOURCE_ALREADY_EXISTS"]
RESOURCE_CONFLICT: Final = ERROR_CODES["RESOURCE_CONFLICT"]
RESOURCE_DOES_NOT_EXIST: Final = ERROR_CODES["RESOURCE_DOES_NOT_EXIST"]
RESOURCE_EXHAUSTED: Final = ERROR_CODES["RESOURCE_EXHAUSTED"]
TEMPORARILY_UNAVAILABLE: Final = ERROR_CODES["TEMPORARILY_UNAVAILABLE"]
UNAUTHENTICATED: Final = ERROR_CODES["UNAUTHENTICATED"]


class ErrorCode:
    """Names and numbers of error codes, with the methods of a protocol buffer's enum."""

    @staticmethod
    def Name(number: int) -> str:  # noqa: N802  # a protocol buffer's name
        """Return the name of a number.

        Raises:
            InvalidParameterError: No code has this number.
        """
        for name, code in ERROR_CODES.items():
            if code == number:
                return name
        raise InvalidParameterError(f"Enum ErrorCode has no name defined for value {number!r}.")

    @staticmethod
    def Value(name: str) -> int:  # noqa: N802  # a protocol buffer's name
        """Return the number of a name.

        Raises:
            InvalidParameterError: No code has this name.
        """
        try:
            return ERROR_CODES[name]
        except KeyError:
            raise InvalidParameterError(f"Enum ErrorCode has no value defined for name {name!r}.") from None

    @staticmethod
    def keys() -> list[str]:
        """Return all names."""
        return list(ERROR_CODES)

    @staticmethod
    def values() -> list[int]:
        """Return all numbers."""
        return list(ERROR_CODES.values())

    @staticmethod
    def items() -> ItemsView[str, int]:
        """Return all names with their numbers."""
        return ERROR_CODES.items()

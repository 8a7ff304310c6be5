"""The status of a model version, with MLflow's names."""

from enum import StrEnum

from registry.exceptions import InvalidParameterError


class ModelVersionStatus(StrEnum):
    """The status of a model version. Here a version is READY as soon as it exists."""

    PENDING_REGISTRATION = "PENDING_REGISTRATION"
    FAILED_REGISTRATION = "FAILED_REGISTRATION"
    READY = "READY"

    @staticmethod
    def from_string(status_str: str) -> "ModelVersionStatus":
        """Return the status with this name.

        Raises:
            InvalidParameterError: there is no such status.
        """
        try:
            return ModelVersionStatus(status_str)
        except ValueError:
            raise InvalidParameterError(
                f"Unknown model version status {status_str!r}; it is one of {', '.join(ModelVersionStatus)}."
            ) from None

    @staticmethod
    def to_string(status: str) -> str:
        """Return the name of a status.

        Raises:
            InvalidParameterError: there is no such status.
        """
        return ModelVersionStatus.from_string(status).value

    @staticmethod
    def all_status() -> list["ModelVersionStatus"]:
        """Return all statuses."""
        return list(ModelVersionStatus)

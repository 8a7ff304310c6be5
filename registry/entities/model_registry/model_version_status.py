"""The status of a model version, with MLflow's names."""

from enum import StrEnum

from registry.exceptions import InvalidParameterError


class ModelVersionStatus(StrEnum):
    """Whether a version can be loaded; here a version is READY from the moment it exists."""

    PENDING_REGISTRATION = "PENDING_REGISTRATION"
    FAILED_REGISTRATION = "FAILED_REGISTRATION"
    READY = "READY"

    @staticmethod
    def from_string(status_str: str) -> "ModelVersionStatus":
        """The status of a name.

        Raises:
            InvalidParameterError: not one of the three.
        """
        try:
            return ModelVersionStatus(status_str)
        except ValueError:
            raise InvalidParameterError(
                f"Unknown model version status {status_str!r}; it is one of {', '.join(ModelVersionStatus)}."
            ) from None

    @staticmethod
    def to_string(status: str) -> str:
        """The name of a status.

        Raises:
            InvalidParameterError: not one of the three.
        """
        return ModelVersionStatus.from_string(status).value

    @staticmethod
    def all_status() -> list["ModelVersionStatus"]:
        """All three."""
        return list(ModelVersionStatus)

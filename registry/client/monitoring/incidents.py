"""Client methods for incidents and for the triggers that they set off."""

from collections.abc import Collection
from enum import StrEnum
from typing import TYPE_CHECKING

from registry.client.base import ClientBase
from registry.exceptions import InvalidParameterError
from registry.validation.arguments import check_list
from registry.validation.names import check_model_name, check_version

if TYPE_CHECKING:
    from registry.entities import Incident, TriggerDelivery


class IncidentMethods(ClientBase):
    """Client methods for incidents. Checks open them; people acknowledge and close them."""

    def get_incidents(self, name: str | None = None, statuses: Collection[str] | None = None) -> list["Incident"]:
        """Return the incidents of a model, or of all models.

        Args:
            name: Registered model. Default: all.
            statuses: Only these of ``open``, ``acknowledged`` and ``closed``. Default: all.

        Returns:
            The incidents, oldest first.

        Raises:
            InvalidParameterError: There is no such status.
            ModelNotFoundError: There is no such model.

        Example:
            >>> client.get_incidents("churn", statuses=["open", "acknowledged"])
            []
        """
        from registry.entities.monitors import IncidentStatus

        _check_states(statuses, "statuses", IncidentStatus)
        return list(self.backend.incidents.list(None if name is None else check_model_name(name), statuses))

    def get_incident(self, incident_id: int | str) -> "Incident":
        """Return an incident.

        Args:
            incident_id: Its number.

        Returns:
            The incident with its figures and the digest of the report.

        Raises:
            NotFoundError: There is no such incident.

        Example:
            >>> client.get_incident(1)
            Traceback (most recent call last):
            registry.exceptions.NotFoundError: There is no incident 1; 'registry incident list --all' shows all.
        """
        return self.backend.incidents.get(check_version(incident_id, "incident_id"))

    def acknowledge_incident(self, incident_id: int | str, reason: str | None = None) -> "Incident":
        """Say that somebody deals with an incident. It still counts as not closed. Idempotent.

        Args:
            incident_id: Its number.
            reason: What is done about it, for the history.

        Returns:
            The incident.

        Raises:
            InvalidStateError: It is closed.
            NotFoundError: There is no such incident.

        Example:
            >>> client.acknowledge_incident(1, reason="looking at the feed")
            Traceback (most recent call last):
            registry.exceptions.NotFoundError: There is no incident 1; 'registry incident list --all' shows all.
        """
        from registry.entities.monitors import IncidentStatus

        number = check_version(incident_id, "incident_id")
        return self.backend.incidents.change(number, IncidentStatus.ACKNOWLEDGED, reason=reason)

    def close_incident(self, incident_id: int | str, reason: str | None = None) -> "Incident":
        """Close an incident. Its cause may open another one after the monitor's cool-down. Idempotent.

        Args:
            incident_id: Its number.
            reason: Why it is over, for the history.

        Returns:
            The incident.

        Raises:
            NotFoundError: There is no such incident.

        Example:
            >>> client.close_incident(1, reason="version 4 is trained on the new rules")
            Traceback (most recent call last):
            registry.exceptions.NotFoundError: There is no incident 1; 'registry incident list --all' shows all.
        """
        from registry.entities.monitors import IncidentStatus

        number = check_version(incident_id, "incident_id")
        return self.backend.incidents.change(number, IncidentStatus.CLOSED, reason=reason)

    def get_trigger_deliveries(self, states: Collection[str] | None = None) -> list["TriggerDelivery"]:
        """Return the triggers that incidents have set off.

        Args:
            states: Only these of ``pending``, ``delivered``, ``failed`` and ``skipped``. Default: all.

        Returns:
            The deliveries, oldest first, each with its incidents.

        Raises:
            InvalidParameterError: There is no such state.

        Example:
            >>> client.get_trigger_deliveries(["pending", "failed"])
            []
        """
        from registry.entities.monitors import DeliveryState

        _check_states(states, "states", DeliveryState)
        return list(self.backend.deliveries.list(states))


def _check_states(given: Collection[str] | None, what: str, kind: type[StrEnum]) -> None:
    """Raise InvalidParameterError unless all that is given is a member of `kind`."""
    known = {str(member) for member in kind}
    if isinstance(given, str) or not known.issuperset(check_list(given, what, str)):
        raise InvalidParameterError(f"{what} is a list of {', '.join(sorted(known))}, got {given!r:.100}.")

"""What a check means for incidents, and the evidence that a trigger gets."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from registry.entities import Incident, MonitorCheck, TriggerDelivery
from registry.entities.history import moment_of
from registry.entities.monitors import CheckOutcome, CheckStatus
from registry.entities.times import format_milliseconds, format_time
from registry.monitoring.report import ColumnResult, DriftReport, finite


def outcome_of(report: DriftReport, start_time: int) -> CheckOutcome:
    """Return what the store keeps of a report: its status, and its causes with their figures."""
    is_measured = any(not result.note for result in report.results)
    status = CheckStatus.DRIFT if report.drifted else CheckStatus.OK if is_measured else CheckStatus.UNAVAILABLE
    message = None
    if report.drifted:
        message = f"drift: {', '.join(report.causes)}"
    elif not is_measured:
        message = next((result.note for result in report.results), f"no result for {report.rows} rows")
    return CheckOutcome(
        status=status,
        version=report.version,
        causes={cause: _figures(report, cause) for cause in report.causes},
        message=message,
        report_digest=report.digest(),
        run_id=report.run_id,
        start_time=start_time,
    )


def _figures(report: DriftReport, cause: str) -> dict[str, Any]:
    """Return what a check measured of a cause, as values that canonical JSON can hold."""
    return {
        "window": [format_milliseconds(report.window_start), format_milliseconds(report.window_end)],
        "against": report.against,
        "rows": report.rows,
        "reference_rows": report.reference_rows,
        "results": [_figures_of(result) for result in report.results if result.cause == cause],
    }


def _figures_of(result: ColumnResult) -> dict[str, Any]:
    return {
        key: finite(value) if isinstance(value, float) else value
        for key, value in asdict(result).items()
        if value is not None and value != ""
    }


def payload_of(delivery: TriggerDelivery, registry_id: str) -> Mapping[str, Any]:
    """Return what a trigger gets, as JSON: the check, and the incidents that it opened with their figures."""
    return {
        "delivery": delivery.id,
        "attempt": delivery.attempts,
        "trigger": delivery.trigger,
        "registry_id": registry_id,
        "model": delivery.name,
        "stage": delivery.stage,
        "version": delivery.check.version,
        "check": check_document(delivery.check),
        "incidents": [incident_document(incident) for incident in delivery.incidents],
    }


def check_document(check: MonitorCheck) -> dict[str, Any]:
    """Return a check as an object for JSON."""
    return {
        "id": check.id,
        "monitor": check.monitor_id,
        "version": check.version,
        "status": str(check.status),
        "message": check.message,
        "report_digest": check.report_digest,
        "run_id": check.run_id,
        "due": None if check.due_time is None else format_milliseconds(check.due_time),
        "start": format_milliseconds(check.start_time),
        "end": format_milliseconds(check.end_time),
    }


def incident_document(incident: Incident) -> dict[str, Any]:
    """Return an incident as an object for JSON."""
    return {
        "id": incident.id,
        "model": incident.name,
        "cause": incident.cause,
        "status": str(incident.status),
        "version": incident.version,
        "monitor": incident.monitor_id,
        "check": incident.check_id,
        "figures": incident.figures,
        "report_digest": incident.report_digest,
        "run_id": incident.run_id,
        "opened": format_time(moment_of(incident.opened_us)),
        "changed": format_time(moment_of(incident.changed_us)),
        "changed_by": incident.changed_by,
        "reason": incident.reason,
    }

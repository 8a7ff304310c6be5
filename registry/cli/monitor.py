"""``registry monitor``: which stages are checked for drift, and the checks that are due."""

import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from registry.cli import consent, exit_codes, output
from registry.cli.commands import noun
from registry.cli.consent import Yes
from registry.cli.formatting import duration, moment
from registry.cli.options import ModelName, number_listed_by, open_client
from registry.cli.output import Column
from registry.cli.targets import model_name, parse_guarded_stage

if TYPE_CHECKING:
    from registry.entities import Monitor, MonitorCheck
    from registry.exceptions import UnavailableError
    from registry.monitoring.monitors import MonitorState
    from registry.monitoring.runner import RunnerReport

_REMINDER_SECONDS: Final = 60.0

app = noun("monitor", "Monitors: which stages are checked for drift, how often, and what an incident sets off.")

MonitorNumber = Annotated[
    int,
    typer.Argument(
        metavar="MONITOR", parser=number_listed_by("monitor"), help="Its number, as 'monitor list' shows it."
    ),
]
OptionalModel = Annotated[str | None, typer.Argument(metavar="NAME", help="The registered model. Default: all.")]
Stage = Annotated[str, typer.Option("--stage", metavar="STAGE", help="Staging or Production, in any case.")]
Window = Annotated[str | None, typer.Option("--window", metavar="TIME", help="How far back a check looks, as in 7d.")]
Against = Annotated[
    str | None,
    typer.Option("--against", metavar="WHAT", help="What it is compared with: reference, previous or a version."),
]
Detectors = Annotated[
    list[str] | None, typer.Option("--detector", metavar="DETECTOR", help="Such as ks or psi; may be repeated.")
]
MinimumRows = Annotated[
    int | None, typer.Option("--minimum-rows", metavar="N", min=2, help="With fewer rows there is no result.")
]
Triggers = Annotated[
    list[str] | None,
    typer.Option("--trigger", metavar="TRIGGER", help="What an incident sets off; may be repeated."),
]


@app.command(
    "add",
    examples=[
        "registry monitor add churn --stage Production --every 1d",
        "registry monitor add churn --every 1h --window 7d --trigger page --trigger retrain-churn",
    ],
)
def add_monitor(
    name: ModelName,
    stage: Stage = "Production",
    every: Annotated[str, typer.Option("--every", metavar="TIME", help="Time between two checks, as in 1h.")] = "1d",
    window: Window = None,
    against: Against = None,
    detector: Detectors = None,
    minimum_rows: MinimumRows = None,
    false_incidents: Annotated[
        float | None,
        typer.Option("--false-incidents", metavar="N", help="Checks per month that may be wrong; 0.1 by default."),
    ] = None,
    trigger: Triggers = None,
    cooldown: Annotated[
        str, typer.Option("--cooldown", metavar="TIME", help="How long a cause opens no other incident.")
    ] = "1d",
) -> None:
    """Add a monitor. 'monitor run', started by cron or a timer, makes the checks that are due."""
    monitor = open_client(changes=True).add_monitor(
        model_name(name),
        parse_guarded_stage(stage),
        every=every,
        window=window,
        against=against,
        detectors=detector or None,
        minimum_rows=minimum_rows,
        false_incidents=false_incidents,
        triggers=trigger or (),
        cooldown=cooldown,
    )
    output.done(
        f"Monitor {monitor.id} checks {monitor.stage} of {monitor.name} every {every}.",
        identity=monitor.id,
        document=monitor_document(monitor),
    )


@app.command("guard", examples=["registry monitor guard churn --for 24h --every 1h"])
def guard_stage(
    name: ModelName,
    for_: Annotated[str, typer.Option("--for", metavar="TIME", help="How long the version is guarded.")] = "24h",
    stage: Stage = "Production",
    every: Annotated[
        str | None, typer.Option("--every", metavar="TIME", help="Time between two checks; a 24th of --for.")
    ] = None,
    window: Window = None,
    against: Against = None,
    detector: Detectors = None,
    minimum_rows: MinimumRows = None,
    trigger: Triggers = None,
) -> None:
    """Guard the version in a stage: if a check finds drift in time, the stage is rolled back."""
    monitor = open_client(changes=True).guard_stage(
        model_name(name),
        parse_guarded_stage(stage),
        duration=for_,
        every=every,
        window=window,
        against=against,
        detectors=detector or None,
        minimum_rows=minimum_rows,
        triggers=trigger or (),
    )
    assert monitor.guard is not None  # noqa: S101 - a guard has one
    output.done(
        f"Monitor {monitor.id} guards version {monitor.guard.version} of {monitor.name} in {monitor.stage} until "
        f"{moment(monitor.guard.until)} UTC.",
        identity=monitor.id,
        document=monitor_document(monitor),
    )


@app.command("list", examples=["registry monitor list", "registry monitor list churn --json"])
def list_monitors(name: OptionalModel = None) -> None:
    """List monitors."""
    monitors = open_client().get_monitors(None if name is None else model_name(name))
    documents = [monitor_document(monitor) for monitor in monitors]
    output.listing(monitors, _MONITORS, nothing="No monitors.", document=documents)


@app.command("show", examples=["registry monitor show 1"])
def show_monitor(monitor: MonitorNumber) -> None:
    """Show a monitor and its newest checks."""
    client = open_client()
    found = client.get_monitor(monitor)
    checks = client.get_monitor_checks(monitor, limit=10)
    document = {**monitor_document(found), "checks": [_check_document(check) for check in checks]}
    output.record(
        {
            **{column.header: column.value(found) for column in _MONITORS},
            "cooldown": duration(found.cooldown_seconds * 1000),
            **{f"setting {key}": value for key, value in found.settings.items()},
            "guards": None if found.guard is None else f"version {found.guard.version}",
            "until (UTC)": None if found.guard is None else moment(found.guard.until),
            "added by": found.actor,
            **{f"check {check.id}": _check_line(check) for check in checks},
        },
        f"Monitor {found.id}",
        document=document,
        identity=found.id,
    )


@app.command("remove", examples=["registry monitor remove 1 --yes"])
def remove_monitor(monitor: MonitorNumber, yes: Yes = False) -> None:
    """Remove a monitor. Its checks and incidents stay. Asks first."""
    client = open_client(changes=True)
    found = client.get_monitor(monitor)
    consent.require(f"This removes monitor {found.id}: {found.stage} of {found.name} is not checked by it again.", yes)
    client.remove_monitor(monitor)
    output.done(f"Monitor {found.id} is removed.", document=monitor_document(found))


@app.command(
    "run",
    examples=["registry monitor run", "registry monitor run --watch --interval 60", "registry monitor run 1"],
)
def run_monitors(
    monitor: Annotated[
        int | None, typer.Argument(metavar="MONITOR", help="Only this one, even if it is not due.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")] = False,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=0.1, help="How often --watch looks.")
    ] = 30.0,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", metavar="N", min=1, help="How many checks to make at most.")
    ] = None,
) -> None:
    """Make the checks that are due, then run the triggers that incidents set off.

    Any number of runners may do this at once. Exit code 1 if a check or a trigger failed.
    """
    from registry.monitoring.runner import run_due, watch as run_forever

    client = open_client(changes=True)
    if watch:
        if monitor is not None or limit is not None:
            raise typer.BadParameter("--watch makes all checks that are due; leave MONITOR and --limit out.")
        run_forever(client, _tell, waiting=_Waiting(), interval_seconds=interval)
    if monitor is not None:
        client.get_monitor(monitor)  # or an error that there is none
    report = run_due(client, monitor_id=monitor, limit=limit)
    lines = _lines(report)
    output.listing(lines, _DONE, nothing="Nothing is due.", document=_report_document(report))
    if report.has_failures:
        raise typer.Exit(exit_codes.FAILED)


@app.command("status", examples=["registry monitor status", "registry monitor status churn && echo 'all is well'"])
def show_status(name: OptionalModel = None) -> None:
    """Show how the monitors are. Exit code 3 if somebody should look: drift, an error, an incident, no check.

    A trigger that was given up counts too, while an incident that set it off is not closed.
    """
    from registry.monitoring.monitors import lost_triggers, monitor_states

    client = open_client()
    states = monitor_states(client, None if name is None else model_name(name))
    documents = [
        {
            **monitor_document(one.monitor),
            "state": one.state,
            "overdue_seconds": one.overdue_seconds,
            "open_incidents": one.open_incidents,
            "needs_attention": one.needs_attention,
            "incidents": [
                {"id": incident.id, "cause": incident.cause, "status": str(incident.status)}
                for incident in one.incidents
            ],
        }
        for one in states
    ]
    output.listing(states, _STATES, nothing="No monitors.", document=documents)
    lost = [one for one in lost_triggers(client) if name is None or one.name == model_name(name)]
    for delivery in lost:
        output.complain(
            f"registry: the trigger {delivery.trigger!r} of {delivery.name} was given up after {delivery.attempts} "
            f"attempts: {delivery.message}"
        )
    if lost or any(one.needs_attention for one in states):
        raise typer.Exit(exit_codes.NO)


@app.command("compact", examples=["registry monitor compact churn"])
def compact_files(name: ModelName) -> None:
    """Merge the small files of what was observed on days that are over. 'monitor run' does it by itself."""
    from registry.monitoring import compact_observations

    done = compact_observations(model_name(name), client=open_client(changes=True))
    output.done(
        f"{done.merged} files became {done.written}; {done.removed} that were merged before are removed.",
        document={"merged": done.merged, "written": done.written, "removed": done.removed},
    )


@app.command("metrics", examples=["registry monitor metrics"])
def show_metrics() -> None:
    """Print the state of all monitors in Prometheus' text format."""
    from registry.monitoring.monitors import metrics_text

    text = metrics_text(open_client())
    output.value(text.removesuffix("\n"), document={"text": text})


def monitor_document(monitor: "Monitor") -> dict[str, Any]:
    """Return a monitor as an object for JSON."""
    return {
        "id": monitor.id,
        "model": monitor.name,
        "stage": monitor.stage,
        "every_seconds": monitor.every_seconds,
        "cooldown_seconds": monitor.cooldown_seconds,
        "settings": dict(monitor.settings),
        "triggers": list(monitor.triggers),
        "actor": monitor.actor,
        "created": moment(monitor.creation_timestamp),
        "next": moment(monitor.next_time),
        "leased_until": moment(monitor.lease_until),
        "guard": None
        if monitor.guard is None
        else {"version": monitor.guard.version, "until": moment(monitor.guard.until)},
        "last_check": None if monitor.last_check is None else _check_document(monitor.last_check),
    }


def _check_document(check: "MonitorCheck") -> dict[str, Any]:
    from registry.monitoring.incidents import check_document

    return check_document(check)


def _check_line(check: "MonitorCheck") -> str:
    version = "" if check.version is None else f" version {check.version}"
    return f"{moment(check.end_time)}{version} {check.status}" + (f": {check.message}" if check.message else "")


def _report_document(report: "RunnerReport") -> dict[str, Any]:
    from registry.monitoring.incidents import incident_document

    return {
        "checks": [
            {
                "id": done.check_id,
                "monitor": done.monitor.id,
                "model": done.monitor.name,
                "status": str(done.status),
                "message": done.message,
                "incidents": [incident_document(incident) for incident in done.incidents],
            }
            for done in report.checks
        ],
        "triggers": [
            {
                "delivery": done.delivery.id,
                "trigger": done.delivery.trigger,
                "model": done.delivery.name,
                "state": None if done.state is None else str(done.state),
                "message": done.message,
            }
            for done in report.deliveries
        ],
    }


def _lines(report: "RunnerReport") -> list[tuple[str, str, str, str]]:
    checks = [
        (f"monitor {done.monitor.id}", done.monitor.name, str(done.status), done.message or "")
        for done in report.checks
    ]
    triggers = [
        (
            f"trigger {done.delivery.trigger}",
            done.delivery.name,
            str(done.state or "taken over"),
            done.message or "",
        )
        for done in report.deliveries
    ]
    return [*checks, *triggers]


def _tell(report: "RunnerReport") -> None:
    """Print what one round of --watch did."""
    lines = _lines(report)
    if lines:
        output.listing(lines, _DONE, document=_report_document(report))
        output.flush()


class _Waiting:
    """Says at most once a minute that the database is away."""

    def __init__(self) -> None:
        self._said = -_REMINDER_SECONDS

    def __call__(self, error: "UnavailableError") -> None:
        now = time.monotonic()
        if now - self._said >= _REMINDER_SECONDS:
            self._said = now
            output.complain(f"registry: waiting: {error.message}")


_DONE: Final[tuple["Column[tuple[str, str, str, str]]", ...]] = (
    Column("what", lambda line: line[0], whole=True),
    Column("model", lambda line: line[1], whole=True),
    Column("result", lambda line: line[2], whole=True),
    Column("about", lambda line: line[3]),
)
_MONITORS: Final[tuple["Column[Monitor]", ...]] = (
    Column("id", lambda monitor: monitor.id, whole=True, right=True),
    Column("model", lambda monitor: monitor.name, whole=True),
    Column("stage", lambda monitor: monitor.stage, whole=True),
    Column("every", lambda monitor: duration(monitor.every_seconds * 1000), whole=True, right=True),
    Column("next (UTC)", lambda monitor: moment(monitor.next_time), whole=True, leaves=1),
    Column("triggers", lambda monitor: monitor.triggers, leaves=2),
)
_STATES: Final[tuple["Column[MonitorState]", ...]] = (
    Column("id", lambda one: one.monitor.id, whole=True, right=True),
    Column("model", lambda one: one.monitor.name, whole=True),
    Column("stage", lambda one: one.monitor.stage, whole=True),
    Column("state", lambda one: one.state, whole=True),
    Column("incidents", lambda one: ", ".join(str(incident.id) for incident in one.incidents), whole=True),
    Column(
        "last check (UTC)",
        lambda one: None if one.monitor.last_check is None else moment(one.monitor.last_check.end_time),
        whole=True,
        leaves=2,
    ),
    Column("next (UTC)", lambda one: moment(one.monitor.next_time), whole=True, leaves=3),
    Column("about", lambda one: one.monitor.last_check and one.monitor.last_check.message, leaves=1),
)

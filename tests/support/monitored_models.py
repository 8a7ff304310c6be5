"""Monitors over models without training: checks that find what a test says, and races of real runners."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from governed_models import register
from racing import CONTEXT, settings

from registry import MlflowClient
from registry.entities import Incident, Monitor
from registry.entities.monitors import CheckOutcome, CheckStatus
from registry.monitoring.runner import Check, run_due
from registry.monitoring.triggers import TriggerFile

DIGEST = "d" * 64
NOTHING = TriggerFile({}, {})


def model_in_production(client: MlflowClient, name: str = "nba", versions: int = 2) -> None:
    """Register versions of a model; the last one holds Production, after each of those before it."""
    for version in register(client, name, versions):
        client.transition_model_version_stage(name, version, "Production")


def finding(*causes: str, version: int = 2) -> Check:
    """Return a check that finds these causes, or no drift."""

    def check(_client: MlflowClient, _monitor: Monitor) -> CheckOutcome:
        return CheckOutcome(
            CheckStatus.DRIFT if causes else CheckStatus.OK,
            version,
            {cause: {"effect": 0.25} for cause in causes},
            f"drift: {', '.join(causes)}" if causes else None,
            DIGEST,
            "r1",
            1_000,
        )

    return check


def find(client: MlflowClient, *causes: str, cooldown: str = "0s", triggers: Sequence[str] = ()) -> list[Incident]:
    """Let a new monitor find causes once; return the incidents that it opened."""
    monitor = client.add_monitor("nba", cooldown=cooldown, triggers=triggers)
    (done,) = run_due(client, monitor_id=monitor.id, triggers=NOTHING, check=finding(*causes)).checks
    return list(done.incidents)


def count_of_runner(url: str, started: Any, done: Any, environment: dict[str, str], directory: str) -> None:
    """Make every due check as one of several runners; leave a file for each, whose name exists once."""
    import os

    os.environ.update(environment)

    def check(_client: MlflowClient, monitor: Monitor) -> CheckOutcome:
        # Opened exclusively: a check that is made twice fails, and its row would say so.
        (Path(directory) / str(monitor.id)).open("x").close()
        return CheckOutcome(CheckStatus.OK, 1)

    client = MlflowClient(url)
    started.wait(120)
    report = run_due(client, triggers=NOTHING, check=check)
    done.put([check.monitor.id for check in report.checks])


def race_of_runners(url: str, runners: int, directory: Path) -> list[list[int]]:
    """Let real processes make the due checks at once; return which monitors each of them checked."""
    started, done = CONTEXT.Barrier(runners), CONTEXT.SimpleQueue()
    given = (url, started, done, settings(), str(directory))
    processes = [CONTEXT.Process(target=count_of_runner, args=given) for _ in range(runners)]
    for process in processes:
        process.start()
    found = [done.get() for _ in processes]
    for process in processes:
        process.join()
    return found

"""The schedules of the guide: what cron, systemd, Kubernetes and Airflow start is run as each of them starts it."""

import ast
import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from monitored_models import model_in_production

import registry

GUIDE = Path(__file__).parent.parent.parent / "docs" / "guides" / "monitors.md"
BLOCKS = re.findall(r"^```(?:text|yaml)\n(.*?)^```$", GUIDE.read_text(), flags=re.MULTILINE | re.DOTALL)


def block(beginning: str) -> str:
    """Return the block of the guide that begins with a text."""
    (found,) = (text for text in BLOCKS if text.startswith(beginning))
    return str(found)


def of_cron() -> list[str]:
    """Cron gives the rest of the line to a shell, after five fields of time."""
    *times, command = block("*/5").strip().split(maxsplit=5)
    assert times == ["*/5", "*", "*", "*", "*"]
    return ["sh", "-c", re.sub(r"REGISTRY_TRACKING_URI=\S+", "", command)]


def of_systemd() -> list[str]:
    """Systemd runs the words of ExecStart without a shell; the timer names a time that it knows."""
    service, timer = re.split(r"^# \S+$", block("# /etc/systemd"), flags=re.MULTILINE)[1:]
    units = []
    for text in (service, timer):
        unit = configparser.ConfigParser(strict=False, interpolation=None)
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read_string(text)
        units.append(unit)
    assert units[0]["Service"]["Type"] == "oneshot"
    assert units[1]["Timer"]["OnCalendar"] == "*:0/5"
    path, *words = units[0]["Service"]["ExecStart"].split()
    return [Path(path).name, *words]


def of_kubernetes() -> list[str]:
    """Kubernetes runs the command of the container."""
    job = yaml.safe_load(block("apiVersion"))
    assert (job["apiVersion"], job["kind"], job["spec"]["schedule"]) == ("batch/v1", "CronJob", "*/5 * * * *")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    (container,) = pod["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    return list(container["command"])


def of_airflow() -> list[str]:
    """Airflow's BashOperator gives its command to bash."""
    calls = [node for node in ast.walk(ast.parse(block("from airflow"))) if isinstance(node, ast.Call)]
    (given,) = ({keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords} for call in calls)
    assert given["task_id"] == "run_monitors"
    return ["bash", "-c", given["bash_command"]]


@pytest.mark.parametrize("schedule", [of_cron, of_systemd, of_kubernetes, of_airflow])
def test_a_schedule_of_the_guide_makes_the_due_check(schedule: object, sqlite_url: str) -> None:
    registry.set_tracking_uri(sqlite_url)
    client = registry.MlflowClient()
    model_in_production(client)
    registry.monitoring.set_reference("models:/nba/2", [[1.0], [2.0]])
    monitor = client.add_monitor("nba")
    assert callable(schedule)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    done = subprocess.run(
        schedule(), env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=240, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\t")[:3] == ["monitor 1", "nba", "unavailable"]
    assert [check.status for check in client.get_monitor_checks(monitor.id)] == ["unavailable"]

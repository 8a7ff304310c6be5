"""The examples run as a reader runs them: from the file, in an empty directory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from s3_servers import S3Server

ROOT = Path(__file__).parent.parent
LAST_LINES = {
    "copy_dev_to_prod": "file:./prod-registry serves the model; it predicts as in development",
    "drift_to_retraining": "accuracy ",
    "event_webhook": "4 events delivered, each signed",
    "parameter_sweep": "sweep-winner version 1 is the champion, with accuracy",
    "serve_and_promote": "No request was lost: ",
    "time_travel": "verified: 11 events, 2 versions, every file read",
    "train_and_promote": "Production predicts 500 games exactly as the model in memory does",
}

pytestmark = pytest.mark.skipif(
    not (ROOT / "examples").is_dir(), reason="the examples are in a checkout and in the source distribution"
)


def test_there_is_no_other_example() -> None:
    assert sorted(path.stem for path in (ROOT / "examples").glob("*.py")) == sorted(LAST_LINES)
    assert [path.name for path in (ROOT / "examples").glob("*.sh")] == ["pipeline.sh"]


@pytest.mark.parametrize("name", sorted(LAST_LINES))
def test_an_example_runs_in_an_empty_directory(name: str, own_place: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", ROOT / "examples" / f"{name}.py"],
        cwd=own_place,
        capture_output=True,
        text=True,
        timeout=240,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(LAST_LINES[name])


def run_pipeline(own_place: Path, environment: dict[str, str]) -> list[str]:
    """Run the pipeline in a directory where only its output may be written; return what it printed."""
    checkout, output = own_place / "checkout", own_place / "out"
    checkout.mkdir()
    output.mkdir()
    script = checkout / "pipeline.sh"
    script.write_bytes((ROOT / "examples" / "pipeline.sh").read_bytes())
    checkout.chmod(0o555)
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "pipeline.sh", str(output)],
            cwd=checkout,
            env=os.environ | environment | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=1800,
        )
    finally:
        checkout.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    # Root may write anywhere, so the rights of the directory alone prove nothing.
    assert [path.name for path in checkout.iterdir()] == ["pipeline.sh"]
    return done.stdout.splitlines()


@pytest.mark.slow
def test_the_pipeline_runs_on_sqlite(own_place: Path) -> None:
    printed = run_pipeline(own_place, {})

    assert "Version 2 stays out of Production." in printed
    assert printed[-1].startswith("screening/1 is in Production again; 171 predictions are in ")
    assert len(list((own_place / "out").glob("backup-*.db"))) == 1


@pytest.mark.slow
def test_the_pipeline_runs_on_postgresql_and_s3(own_place: Path, empty_postgres_url: str, moto_s3: S3Server) -> None:
    place = {"REGISTRY_TRACKING_URI": empty_postgres_url, "REGISTRY_ARTIFACT_LOCATION": moto_s3.fresh_root()}
    printed = run_pipeline(own_place, {**moto_s3.environment(), **place})

    assert "Version 2 stays out of Production." in printed
    assert printed[-2].startswith("pg_dump --format=custom ")
    command = next(line for line in printed if line.startswith("CMD "))
    assert json.loads(command.removeprefix("CMD "))[:4] == ["registry", "models", "serve", "/opt/registry/model"]


@pytest.mark.parametrize("name", sorted(LAST_LINES))
def test_an_example_is_short_and_says_what_it_shows(name: str) -> None:
    source = (ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8")

    assert len(source.splitlines()) < 80
    assert source.startswith('"""')
    assert f"python {name}.py" in source

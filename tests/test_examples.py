"""The examples run as a reader runs them: from the file, in an empty directory."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAST_LINES = {
    "copy_dev_to_prod": "file:./prod-registry serves the model; it predicts as in development",
    "event_webhook": "4 events delivered, each signed",
    "parameter_sweep": "sweep-winner version 1 is the champion, with accuracy",
    "time_travel": "verified: 11 events, 2 versions, every file read",
    "train_and_promote": "Production predicts 500 games exactly as the model in memory does",
}

pytestmark = pytest.mark.skipif(
    not (ROOT / "examples").is_dir(), reason="the examples are in a checkout and in the source distribution"
)


def test_there_is_no_other_example() -> None:
    assert sorted(path.stem for path in (ROOT / "examples").glob("*.py")) == sorted(LAST_LINES)


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


@pytest.mark.parametrize("name", sorted(LAST_LINES))
def test_an_example_is_short_and_says_what_it_shows(name: str) -> None:
    source = (ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8")

    assert len(source.splitlines()) < 80
    assert source.startswith('"""')
    assert f"python {name}.py" in source

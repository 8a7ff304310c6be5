"""``registry import-runs`` as a person uses it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from wandb_logs import finished, frame, history, run, write_run

Cli = Callable[..., Any]


def test_runs_of_wandb_are_imported_and_counted_and_what_is_missing_exits_with_3(cli: Cli, own_place: Path) -> None:
    write_run(own_place / "wandb", "good0001", frame(run("good0001"), history(0, {"loss": 1.0}), finished()))
    outcome = cli("import-runs", "wandb", "wandb", "--tracking-uri", "sqlite:///registry.db")
    assert outcome.code == 0
    assert ["runs", "1", "1", "1"] in outcome.rows
    assert ["points", "1", "1", "1"] in outcome.rows
    assert "values of a sample were compared with the source: all agree." in outcome.err
    write_run(own_place / "wandb", "keys0001", frame(run("keys0001"), history(0, {"top@5": 1.0}), finished()))
    outcome = cli("import-runs", "wandb", "wandb", "--tracking-uri", "sqlite:///registry.db")
    assert outcome.code == 3
    assert "Rename the key, for example to 'top_5', under 'keys' of --rename FILE." in outcome.err
    (own_place / "names.yaml").write_text("keys: {top@5: top-5}\n")
    outcome = cli(
        "import-runs", "wandb", "wandb", "--rename", "names.yaml", "--json", "--tracking-uri", "sqlite:///registry.db"
    )
    assert (outcome.code, outcome.json["is_complete"]) == (0, True)


def test_another_tracker_and_a_place_without_runs_are_told(cli: Cli) -> None:
    assert cli("import-runs", "neptune", ".").code == 2
    outcome = cli("import-runs", "trackio", ".")
    assert outcome.code == 1
    assert "There is no project of trackio's at '.'" in outcome.err


def test_a_home_that_there_is_not_is_a_place_without_runs(cli: Cli) -> None:
    outcome = cli("import-runs", "trackio", "~nobody-of-this-name/trackio")
    assert outcome.code != 0
    assert "There is no project of trackio's at '~nobody-of-this-name/trackio'." in outcome.err

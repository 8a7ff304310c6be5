"""The active experiment: set once per process, inherited by children, taken from the environment."""

from collections.abc import Callable

import pytest

import registry
from registry import MlflowClient
from registry.exceptions import RegistryError


def new_run_experiment() -> str:
    with registry.start_run() as run:
        return run.info.experiment_id


def test_runs_belong_to_the_default_experiment_until_one_is_set(client: MlflowClient) -> None:
    assert new_run_experiment() == "0"

    experiment = registry.set_experiment("nba")
    assert (experiment.name, new_run_experiment()) == ("nba", experiment.experiment_id)
    assert registry.set_experiment("nba") == experiment
    assert registry.set_experiment(experiment_id="0").name == "Default"
    assert new_run_experiment() == "0"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({}, "INVALID_PARAMETER_VALUE"),
        ({"experiment_name": "a", "experiment_id": "0"}, "INVALID_PARAMETER_VALUE"),
        ({"experiment_id": "99"}, "RESOURCE_DOES_NOT_EXIST"),
        ({"experiment_id": "x"}, "INVALID_PARAMETER_VALUE"),
        ({"experiment_name": ""}, "INVALID_PARAMETER_VALUE"),
    ],
)
def test_an_experiment_that_cannot_be_set_leaves_the_one_before(
    arguments: dict[str, str], code: str, client: MlflowClient
) -> None:
    before = registry.set_experiment("nba")

    with pytest.raises(RegistryError) as caught:
        registry.set_experiment(**arguments)

    assert caught.value.error_code == code
    assert new_run_experiment() == before.experiment_id


def test_a_deleted_experiment_cannot_be_set(client: MlflowClient) -> None:
    made = registry.create_experiment("nba")
    registry.delete_experiment(made)

    with pytest.raises(RegistryError, match="Cannot set a deleted experiment 'nba'") as caught:
        registry.set_experiment("nba")

    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize("name", ["REGISTRY_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_NAME"])
def test_the_experiment_of_the_environment_is_made(
    name: str, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "from outside")

    made = new_run_experiment()

    found = client.get_experiment_by_name("from outside")
    assert found is not None
    assert found.experiment_id == made


def test_setting_one_counts_more_than_the_environment(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "from outside")

    experiment = registry.set_experiment("nba")

    assert new_run_experiment() == experiment.experiment_id


def test_name_and_id_of_the_environment_must_agree(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "nba")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")

    with pytest.raises(RegistryError, match="disagree") as caught:
        registry.start_run()

    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_tags_go_to_the_active_experiment(client: MlflowClient) -> None:
    experiment = registry.set_experiment("nba")
    registry.set_experiment_tag("a", 1)
    registry.set_experiment_tags({"b": 2})
    registry.delete_experiment_tag("a")

    assert client.get_experiment(experiment.experiment_id).tags == {"b": "2"}


def test_experiments_by_module_level_functions(client: MlflowClient) -> None:
    made = registry.create_experiment("nba", tags={"a": "b"})

    assert registry.get_experiment(made).tags == {"a": "b"}
    assert registry.get_experiment_by_name("nba") == registry.get_experiment(made)
    assert registry.get_experiment_by_name("none") is None


@pytest.mark.slow
def test_processes_that_race_for_a_name_all_get_it(client: MlflowClient, run_script: Callable) -> None:
    import threading

    found: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(run_script("print(mlflow.set_experiment('nba').experiment_id)").stdout)
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    experiment = client.get_experiment_by_name("nba")
    assert experiment is not None
    assert found == [f"{experiment.experiment_id}\n"] * 4

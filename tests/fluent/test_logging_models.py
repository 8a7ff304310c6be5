"""Logging a model from a run: what the logged model gets of the run, and what is refused before anything is stored."""

import pytest
from sklearn.linear_model import LogisticRegression

import registry
from registry import MlflowClient
from registry.exceptions import InvalidNameError


@pytest.fixture
def model() -> LogisticRegression:
    return LogisticRegression().fit([[0.0], [1.0]], [0, 1])


def test_a_logged_model_gets_the_points_of_its_run_at_its_step(client: MlflowClient, model: LogisticRegression) -> None:
    with registry.start_run() as run:
        registry.log_metric("loss", 0.5, step=0, timestamp=10)
        registry.log_metric("loss", 0.25, step=3, timestamp=20)
        registry.log_metric("auc", float("nan"), step=3, timestamp=21)
        first = registry.sklearn.log_model(model, name="first")
        second = registry.sklearn.log_model(model, name="second", step=3)

    def points(model_id: str) -> list[tuple[str, str, int, int, str | None, str | None]]:
        found = client.get_logged_model(model_id).metrics
        return [(m.key, str(m.value), m.step, m.timestamp, m.run_id, m.model_id) for m in found]

    run_id = run.info.run_id
    assert points(first.model_id) == [("loss", "0.5", 0, 10, run_id, first.model_id)]
    assert points(second.model_id) == [
        ("auc", "nan", 3, 21, run_id, second.model_id),
        ("loss", "0.25", 3, 20, run_id, second.model_id),
    ]
    assert [m.name for m in client.search_logged_models(["0"], "metrics.loss < 0.3")] == ["second"]


def test_a_pending_model_gets_the_points_when_a_model_is_logged_into_it(
    client: MlflowClient, model: LogisticRegression
) -> None:
    with registry.start_run():
        pending = registry.initialize_logged_model(name="later")
        registry.log_metric("loss", 0.5, step=2)
        registry.sklearn.log_model(model, model_id=pending.model_id, step=2)

    assert [(m.key, m.value) for m in client.get_logged_model(pending.model_id).metrics] == [("loss", 0.5)]


def test_a_name_that_cannot_be_registered_is_refused_before_the_model_is_logged(
    client: MlflowClient, model: LogisticRegression
) -> None:
    with registry.start_run(), pytest.raises(InvalidNameError):
        registry.sklearn.log_model(model, name="model", registered_model_name="a/b")

    assert client.search_logged_models(["0"]) == []

"""Entities iterate over their fields, as MLflow scripts expect."""

from registry.entities import Metric, Run, RunData, RunInfo
from registry.entities.model_registry import RegisteredModelAlias


def test_dict_of_an_entity_has_its_fields() -> None:
    assert dict(RegisteredModelAlias("champion", 3)) == {"alias": "champion", "version": 3}
    assert dict(Metric("f1", 0.5, 7, 2)) == {
        "key": "f1",
        "value": 0.5,
        "timestamp": 7,
        "step": 2,
        "model_id": None,
        "dataset_name": None,
        "dataset_digest": None,
        "run_id": None,
    }


def test_dict_of_a_run_has_its_parts() -> None:
    info = RunInfo("a" * 32, "0", "me", "RUNNING", 1, None, "active", "/a", "first")

    parts = dict(Run(info, RunData()))

    assert list(parts) == ["info", "data", "inputs", "outputs"]
    assert dict(parts["info"])["run_name"] == "first"

"""The active model, `set_signature` and `doctor`: small names that MLflow's scripts use."""

import threading
from pathlib import Path

import pytest

import registry
from registry.exceptions import InvalidParameterError, InvalidStateError, InvalidTypeError, LoggedModelNotFoundError


def test_a_name_stands_for_the_newest_model_with_it_or_for_a_new_one() -> None:
    first = registry.set_active_model(name="its")
    newer = registry.create_external_model("its")

    again = registry.set_active_model(name="its")

    assert (first.name, again.model_id) == ("its", newer.model_id)
    assert registry.get_active_model_id() == newer.model_id


def test_metrics_are_logged_for_the_active_model_until_the_block_ends() -> None:
    model = registry.create_external_model("m")

    with registry.start_run():
        with registry.set_active_model(model_id=model.model_id):
            registry.log_metric("a", 1)
            registry.log_metrics({"b": 2})
        registry.log_metric("c", 3)

    assert {metric.key for metric in registry.get_logged_model(model.model_id).metrics} == {"a", "b"}
    assert registry.get_active_model_id() is None


def test_blocks_nest_and_each_thread_has_its_own() -> None:
    first, second = (registry.create_external_model(name).model_id for name in "ab")
    seen = []

    with registry.set_active_model(model_id=first):
        with registry.set_active_model(model_id=second):
            thread = threading.Thread(target=lambda: seen.append(registry.get_active_model_id()))
            thread.start()
            thread.join()
        assert registry.get_active_model_id() == first

    assert seen == [None]


def test_the_environment_names_one_until_it_is_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ACTIVE_MODEL_ID", "m-1")

    assert registry.get_active_model_id() == "m-1"
    registry.clear_active_model()
    assert registry.get_active_model_id() is None


def test_what_names_no_model_is_refused() -> None:
    model = registry.create_external_model("m")

    with pytest.raises(InvalidParameterError, match="Either name or model_id must be provided"):
        registry.set_active_model()
    with pytest.raises(InvalidParameterError, match="has name 'm', which does not match the provided name 'n'"):
        registry.set_active_model(name="n", model_id=model.model_id)
    with pytest.raises(LoggedModelNotFoundError):
        registry.set_active_model(model_id="m-" + "0" * 32)


def test_a_signature_is_set_in_a_local_directory_and_refused_by_a_sealed_model() -> None:
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])
    registry.sklearn.save_model(model, "saved")
    info = registry.sklearn.log_model(model, name="m")
    signature = registry.models.infer_signature([[1.0]])

    registry.models.set_signature("saved", signature)

    assert registry.models.get_model_info("saved").signature == signature
    with pytest.raises(InvalidStateError, match=r"is sealed: its files never change\. Load it, and log it again"):
        registry.models.set_signature(info.model_uri, signature)
    with pytest.raises(InvalidTypeError, match="signature must be a ModelSignature, got 'dict'"):
        registry.models.set_signature("saved", {})


def test_doctor_prints_versions_and_places_without_passwords(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REGISTRY_TRACKING_URI", f"sqlite:///{tmp_path}/runs.db")
    monkeypatch.setenv("REGISTRY_TEST_PASSWORD", "hidden")
    with registry.start_run() as run:
        registry.doctor()
    registry.set_tracking_uri("postgresql+psycopg://ann:hidden@db/registry")
    registry.doctor(mask_envs=True)

    printed = capsys.readouterr().out
    assert f"Registry version: {registry.__version__}\n" in printed
    assert f"Tracking URI: sqlite:///{tmp_path}/runs.db\n" in printed
    assert f"Active run ID: {run.info.run_id}\n" in printed
    assert "Tracking URI: postgresql+psycopg://ann:***@db/registry\n" in printed
    assert "\n  sqlalchemy: " in printed
    assert "hidden" not in printed

"""Model files from outside are tried on the way in: what would crash its parser, or the model itself, gets no row."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from governed_models import raw_sql
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier
from sklearn.tree._tree import Tree

from registry import MlflowClient, flavors
from registry.exceptions import InvalidModelError
from registry.flavors import save_model

TABLE = np.random.default_rng(0).random((60, 4))
LABELS = (TABLE[:, 0] > 0.5).astype(int)


def whole(place: Path) -> Path:
    save_model(RandomForestClassifier(2, random_state=0).fit(TABLE, LABELS), place, "sklearn")
    return place


def broken(place: Path) -> Path:
    """A forest one of whose trees reads a feature that no row has."""
    model = RandomForestClassifier(2, random_state=0).fit(TABLE, LABELS)
    state = model.estimators_[1].tree_.__getstate__()
    state["nodes"] = state["nodes"].copy()
    state["nodes"]["feature"][0] = 2**40
    model.estimators_[1].tree_ = Tree(4, np.array([2]), 1)
    model.estimators_[1].tree_.__setstate__(state)
    save_model(model, place, "sklearn")
    return place


def function_alone(place: Path) -> Path:
    """The same, but nobody calls it a scikit-learn model."""
    described = (broken(place) / "MLmodel").read_text()
    head, _, rest = described.partition("  sklearn:\n")
    kept = [line for line in rest.splitlines(keepends=True) if not line.startswith("    ")]
    (place / "MLmodel").write_text(head + "".join(kept))
    assert "sklearn:" not in (place / "MLmodel").read_text().replace("mlflow.sklearn", "")
    return place


def boosted(place: Path) -> Path:
    """A damaged XGBoost model that is called a function alone."""
    place.mkdir()
    entry = "flavors:\n  python_function:\n    loader_module: mlflow.xgboost\n    data: model.ubj\n"
    (place / "MLmodel").write_text(entry)
    (place / "model.ubj").write_bytes(b"{L\x00\x00")
    return place


BAD: list[Callable[[Path], Path]] = [broken, function_alone, boosted]


@pytest.mark.parametrize("bad", BAD)
def test_a_plain_directory_is_refused_and_the_file_named(
    client: MlflowClient, own_place: Path, bad: Callable[[Path], Path]
) -> None:
    source = bad(own_place / "source")
    with pytest.raises(InvalidModelError, match=r"source/model\.(skops|ubj)' is no whole (scikit-learn|XGBoost) model"):
        client.register_model(str(source), "churn")
    assert client.search_model_versions() == []
    assert raw_sql("sqlite:///registry.db")("SELECT count(*) FROM logged_models") == [(0,)]


@pytest.mark.parametrize("bad", BAD)
def test_artifacts_of_a_run_and_files_logged_piece_by_piece_are_refused(
    client: MlflowClient, own_place: Path, run_id: str, bad: Callable[[Path], Path]
) -> None:
    source = bad(own_place / "source")
    client.log_artifacts(run_id, source, "model")
    with pytest.raises(InvalidModelError, match="artifacts/model/model.* is no whole"):
        client.register_model(f"runs:/{run_id}/model", "churn")
    pending = client.create_logged_model("0")
    client.log_model_artifacts(pending.model_id, source)
    with pytest.raises(InvalidModelError, match="is no whole"):
        client.finalize_logged_model(pending.model_id, "READY")
    assert client.get_logged_model(pending.model_id).status == "PENDING"


@pytest.mark.parametrize("bad", BAD)
def test_an_export_is_refused_and_leaves_nothing(
    client: MlflowClient, own_place: Path, bad: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as careless:
        careless.setattr(flavors, "check_directory", lambda directory: None)
        client.register_model(str(bad(own_place / "source")), "churn")
    client.export_model("churn", "churn.zip")
    target = MlflowClient("sqlite:///target.db")

    with pytest.raises(
        InvalidModelError, match=r"The logged model m-[0-9a-f]{32} of the export: 'model\..*' is no whole"
    ):
        target.import_model("churn.zip")
    assert target.search_registered_models() == []
    assert raw_sql("sqlite:///target.db")("SELECT count(*) FROM uploads") == [(0,)]


def test_whole_models_pass_by_every_way_in(client: MlflowClient, own_place: Path, run_id: str) -> None:
    source = whole(own_place / "source")
    client.register_model(str(source), "churn")
    client.log_artifacts(run_id, source, "model")
    client.register_model(f"runs:/{run_id}/model", "churn")
    client.export_model("churn", "churn.zip")

    assert MlflowClient("sqlite:///target.db").import_model("churn.zip").latest_versions[0].version == 2


def _untrusted(place: Path) -> Path:
    """A type that only its owner trusts: no harm before somebody vouches for it, and then the trees are looked at."""
    whole(place)
    shutil.move(place / "model.skops", place / "old.skops")
    with zipfile.ZipFile(place / "old.skops") as old, zipfile.ZipFile(place / "model.skops", "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "schema.json":
                data = json.dumps({**json.loads(data), "__module__": "somebody.own"}).encode()
            new.writestr(name, data)
    return place


def _garbled(place: Path) -> Path:
    data = (whole(place) / "model.skops").read_bytes()
    (place / "model.skops").write_bytes(data[:200] + bytes(200) + data[400:])
    return place


def _pickled(place: Path) -> Path:
    save_model(DecisionTreeClassifier().fit(TABLE, LABELS), place, "sklearn", serialization_format="cloudpickle")
    return place


def _missing(place: Path) -> Path:
    (whole(place) / "model.skops").unlink()
    return place


def _nameless(place: Path) -> Path:
    described = (whole(place) / "MLmodel").read_text()
    (place / "MLmodel").write_text(described.replace("model.skops", "../model.skops"))
    return place


def _linear(place: Path) -> Path:
    save_model(LogisticRegression().fit(TABLE, LABELS), place, "sklearn")
    return place


@pytest.mark.parametrize("odd", [_untrusted, _garbled, _pickled, _missing, _nameless, _linear])
def test_what_cannot_be_loaded_without_consent_registers_and_loading_judges_it(
    client: MlflowClient, own_place: Path, odd: Callable[[Path], Path]
) -> None:
    assert client.register_model(str(odd(own_place / "source")), "churn").version == 1

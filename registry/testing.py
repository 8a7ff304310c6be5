"""The contract of a flavor as tests, for authors of plug-ins. Needs pytest.

A flavor that passes keeps these promises: a model predicts the same after every way through a registry, a damaged file
is an error of ours, and no code of a model runs without consent.
"""

import pickle
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest

from registry.client import MlflowClient
from registry.client.backend import close_all
from registry.client.models.loading import open_model
from registry.entities.experiment import DEFAULT_EXPERIMENT_ID
from registry.exceptions import CodeExecutionRefusedError, InvalidParameterError, RegistryError
from registry.flavors import Model, get_flavor, load_model, load_pyfunc, save_model
from registry.flavors.mlmodel import FILE_NAME, PYTHON_FUNCTION
from registry.flavors.requirements import CONDA_FILE, CONSTRAINTS_FILE, PYTHON_ENV_FILE, REQUIREMENTS_FILE
from registry.uris import parse

__all__ = ["FlavorContract", "assert_same_predictions"]

_SHARED: Final = (FILE_NAME, CONDA_FILE, CONSTRAINTS_FILE, PYTHON_ENV_FILE, REQUIREMENTS_FILE)
_SPY: Final = "code_that_must_not_run"


class FlavorContract(ABC):
    """The tests that every flavor passes. Subclass it in a test file, and pytest runs them.

    Attributes:
        flavor: The flavor's name, by which it is installed.
        runs_code: Whether loading runs code of the model, and therefore needs consent. Default: False.

    Example:
        >>> import xgboost
        >>> from registry.testing import FlavorContract
        >>> class TestXGBoost(FlavorContract):
        ...     flavor = "xgboost"
        ...
        ...     def make_model(self):
        ...         return xgboost.XGBClassifier(n_estimators=2).fit(X, y)
        ...
        ...     def make_data(self):
        ...         return X[:3]
    """

    flavor: ClassVar[str]
    runs_code: ClassVar[bool] = False

    @abstractmethod
    def make_model(self) -> Any:
        """Return a small trained model."""

    @abstractmethod
    def make_data(self) -> Any:
        """Return a few rows that the model predicts, of a kind that ``pyfunc`` takes, such as a DataFrame."""

    def predict(self, model: Any, data: Any) -> Any:
        """Return what the native model predicts, as ``pyfunc`` should. Default: ``model.predict(data)``."""
        return model.predict(data)

    def save_options(self) -> dict[str, Any]:
        """Return options of the flavor's own to save the model with. Default: none."""
        return {}

    @pytest.fixture
    def model(self) -> Any:
        """Return the model of the test."""
        return self.make_model()

    @pytest.fixture
    def saved(self, model: Any, tmp_path: Path) -> Path:
        """Return the directory of the saved model."""
        save_model(model, tmp_path / "saved", self.flavor, **self.save_options())
        return tmp_path / "saved"

    @pytest.fixture
    def client(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
        """Return the client of an empty registry."""
        monkeypatch.setenv("REGISTRY_CACHE_DIR", str(tmp_path / "cache"))
        monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", str(tmp_path / "artifacts"))
        yield MlflowClient(f"sqlite:///{tmp_path / 'registry.db'}")
        close_all()

    def test_the_flavor_is_installed_under_its_name(self) -> None:
        """Check that the entry point, the flavor's name and its loader agree."""
        flavor = get_flavor(self.flavor)
        assert flavor.name == self.flavor
        assert flavor.loader_module

    def test_a_saved_model_predicts_the_same(self, model: Any, saved: Path) -> None:
        """Check the native model and the one of ``pyfunc``, and that a loaded model can be saved again."""
        expected = self.predict(model, self.make_data())
        loaded = load_model(saved, self.flavor, allow_code=self.runs_code)
        save_model(loaded, saved.parent / "again", self.flavor, **self.save_options())

        assert_same_predictions(expected, self.predict(loaded, self.make_data()))
        for directory in (saved, saved.parent / "again"):
            served = load_pyfunc(directory, allow_code=self.runs_code)
            assert_same_predictions(expected, served.predict(self.make_data()))

    def test_a_logged_copied_and_imported_model_predicts_the_same(
        self, model: Any, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Check every way through a registry: log, register, copy to another registry, export and import."""
        info = client.log_model(self.flavor, model, "m", experiment_id=DEFAULT_EXPERIMENT_ID, **self.save_options())
        client.register_model(info.model_uri, "contract")
        client.export_model("contract", tmp_path / "contract.zip")
        monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", str(tmp_path / "other"))
        url = f"sqlite:///{tmp_path / 'other.db'}"
        other = MlflowClient(url)
        other.import_model(tmp_path / "contract.zip", name="imported")
        client.copy_model_version("models:/contract/1", "copied", to=url)
        expected = self.predict(model, self.make_data())
        for place, uri in [(client, info.model_uri), (other, "models:/imported/1"), (other, "models:/copied/1")]:
            with open_model(place.backend, parse(uri)) as directory:
                served = load_pyfunc(directory, allow_code=self.runs_code, sealed=True)
                assert_same_predictions(expected, served.predict(self.make_data()))

    def test_the_mlmodel_file_describes_the_model(self, saved: Path) -> None:
        """Check the entries that MLflow reads, and that the environment names what loading needs."""
        described = Model.load(saved)
        flavor = get_flavor(self.flavor)
        function = described.flavors[PYTHON_FUNCTION]
        requirements = (saved / REQUIREMENTS_FILE).read_text(encoding="utf-8").splitlines()

        assert function["loader_module"] == flavor.loader_module
        assert set(function["env"].values()) == {CONDA_FILE, PYTHON_ENV_FILE}
        assert [line.partition("==")[0] for line in requirements] == flavor.requirements(described.flavor(self.flavor))

    def test_an_example_gives_the_signature_and_is_predicted_equally(
        self, model: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Check that the example is stored, and that saving warns of nothing."""
        described = save_model(
            model, tmp_path / "saved", self.flavor, input_example=self.make_data(), **self.save_options()
        )

        assert described.signature is not None
        assert described.signature.outputs is not None
        assert described.saved_input_example_info is not None
        assert [record.getMessage() for record in caplog.records if record.name.startswith("registry.flavors")] == []

    def test_what_is_no_model_of_the_flavor_is_refused(self, tmp_path: Path) -> None:
        """Check that the error is ours, and that nothing stays behind."""
        with pytest.raises(InvalidParameterError):
            save_model(object(), tmp_path / "saved", self.flavor, **self.save_options())
        assert not (tmp_path / "saved").exists()

    @pytest.mark.parametrize("damage", ["missing", "empty", "cut off", "other bytes"])
    def test_a_damaged_file_is_an_error_of_ours(self, saved: Path, tmp_path: Path, damage: str) -> None:
        """Check each file that the flavor wrote."""
        names = [path.relative_to(saved) for path in saved.rglob("*") if path.is_file()]
        for number, name in enumerate(name for name in names if str(name) not in _SHARED):
            directory = tmp_path / f"damaged-{number}"
            shutil.copytree(saved, directory)
            _damage(directory / name, damage)
            for load in (load_pyfunc, self._load):
                with pytest.raises(RegistryError):
                    load(directory, allow_code=self.runs_code)

    def test_a_path_that_leads_outside_the_directory_is_refused(self, saved: Path) -> None:
        """Check each entry of the MLmodel file that names a file."""
        described = Model.load(saved)
        entries = described.flavors[self.flavor], described.flavors[PYTHON_FUNCTION]
        values = {value for entry in entries for value in entry.values() if isinstance(value, str)}
        for value in sorted(value for value in values if (saved / value).exists()):
            outside = saved.parent / Path(value).name
            copy = shutil.copytree if (saved / value).is_dir() else shutil.copyfile
            copy(saved / value, outside)
            changed = {
                name: {key: f"../{outside.name}" if item == value else item for key, item in entry.items()}
                for name, entry in described.flavors.items()
            }
            Model.from_dict({**described.to_dict(), "flavors": changed}).save(saved / FILE_NAME)
            for load in (load_pyfunc, self._load):
                with pytest.raises(RegistryError):
                    load(saved, allow_code=self.runs_code)

    def test_no_code_of_the_model_runs_without_consent(
        self, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Check code beside the model, a loader that the MLmodel file names, and pickles in place of the files."""
        ran = tmp_path / "ran"
        (saved / "code").mkdir()
        (saved / "code" / f"{_SPY}.py").write_text(f"open({str(ran)!r}, 'w').close()\n", encoding="utf-8")
        described = Model.load(saved)
        with_code = {name: {**entry, "code": "code"} for name, entry in described.flavors.items()}
        Model.from_dict({**described.to_dict(), "flavors": with_code}).save(saved / FILE_NAME)
        if self.runs_code:
            for load in (load_pyfunc, self._load):
                with pytest.raises(CodeExecutionRefusedError):
                    load(saved)
        else:
            load_pyfunc(saved)
            self._load(saved)
        assert str((saved / "code").resolve()) not in sys.path

        monkeypatch.syspath_prepend(str(saved / "code"))
        for path in [
            path for path in saved.rglob("*") if path.is_file() and path.relative_to(saved).parts[0] != "code"
        ]:
            if path.name not in _SHARED:
                path.write_bytes(pickle.dumps(_Spy(str(ran))))
        for load in (load_pyfunc, self._load):
            with pytest.raises(RegistryError):
                load(saved)
        with_code[PYTHON_FUNCTION]["loader_module"] = _SPY
        Model.from_dict({**described.to_dict(), "flavors": with_code}).save(saved / FILE_NAME)
        with pytest.raises(CodeExecutionRefusedError):
            load_pyfunc(saved)
        assert not ran.exists()
        assert _SPY not in sys.modules

    def _load(self, directory: Path, *, allow_code: bool = False) -> Any:
        return load_model(directory, self.flavor, allow_code=allow_code)


class _Spy:
    """An object whose pickle makes a file when it is loaded."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self._path, "w")


def assert_same_predictions(expected: Any, actual: Any) -> None:
    """Check that two predictions are equal to the last bit, and have the same names.

    Args:
        expected: An array, a DataFrame, a list, or a mapping from name to one of these.
        actual: The other one.

    Raises:
        AssertionError: They differ.

    Example:
        >>> from registry.testing import assert_same_predictions
        >>> registry.xgboost.save_model(model, "saved")
        >>> assert_same_predictions(model.predict(X), mlflow.pyfunc.load_model("saved").predict(X))
    """
    import numpy as np

    if isinstance(expected, Mapping):
        assert list(expected) == list(actual)
        for name in expected:
            assert_same_predictions(expected[name], actual[name])
        return
    if hasattr(expected, "columns"):
        assert list(expected.columns) == list(actual.columns)
    np.testing.assert_array_equal(np.asarray(actual), np.asarray(expected))


def _damage(file: Path, damage: str) -> None:
    data = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes({"empty": b"", "cut off": data[: len(data) // 2], "other bytes": b"\x00\xff" * 200}[damage])

"""The wheel: what is in it, and that it works where no checkout is."""

import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent

needs_checkout = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").is_file(), reason="a wheel is built from a checkout, and these tests are not in one"
)


def run(*command: object, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dist")
    # With the build backend at hand nothing is downloaded.
    isolation = ["--no-isolation"] if find_spec("hatchling") else []
    run(sys.executable, "-m", "build", "--wheel", *isolation, "--outdir", directory, ROOT, cwd=directory)
    return next(directory.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with nothing but the installed wheel; its dependencies are those of this environment."""
    directory = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", "--target", directory, wheel, cwd=directory)
    return directory


def run_installed(installed: Path, cwd: Path, *command: str, **environment: str) -> str:
    """Run the installed package, and make sure that it is that one and not the checkout."""
    return run(sys.executable, *command, cwd=cwd, PYTHONPATH=str(installed), **environment)


@needs_checkout
def test_the_wheel_has_the_package_its_types_its_migrations_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())

    packaged = {name for name in names if ".dist-info/" not in name}
    assert {name.partition("/")[0] for name in packaged} == {"registry"}
    assert {"registry/__init__.pyi", "registry/py.typed"} <= packaged
    assert {"registry/py.typed", "registry/migrations/env.py", "registry/migrations/script.py.mako"} <= packaged
    revisions = {path.name for path in (ROOT / "migrations" / "versions").glob("[0-9]*.py")}
    assert {Path(name).name for name in packaged if name.startswith("registry/migrations/versions/0")} == revisions
    assert [name for name in names if name.endswith("LICENSE")] != []


@needs_checkout
def test_the_installed_package_is_not_the_checkout(installed: Path, tmp_path: Path) -> None:
    found = run_installed(installed, tmp_path, "-c", "import registry; print(registry.__file__)")

    assert Path(found.strip()) == installed / "registry" / "__init__.py"


@needs_checkout
def test_an_installed_wheel_migrates_an_sqlite_file_from_scratch(installed: Path, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/fresh.db"
    newest = max(path.name[:4] for path in (ROOT / "migrations" / "versions").glob("[0-9]*.py"))

    upgraded = run_installed(installed, tmp_path, "-m", "registry", "db", "upgrade", "--json", "--tracking-uri", uri)
    checked = run_installed(installed, tmp_path, "-m", "registry", "db", "check", "--json", "--tracking-uri", uri)

    assert newest in upgraded
    assert newest in checked


@needs_checkout
def test_an_installed_wheel_does_the_main_job(installed: Path, tmp_path: Path) -> None:
    program = """
import numpy
import registry as mlflow
from sklearn.linear_model import LinearRegression

data = numpy.arange(8.0).reshape(4, 2)
model = LinearRegression().fit(data, data.sum(axis=1))
with mlflow.start_run():
    mlflow.sklearn.log_model(model, name="model", registered_model_name="sum")
mlflow.MlflowClient().transition_model_version_stage("sum", 1, "Production")
print(mlflow.pyfunc.load_model("models:/sum/Production").predict(data).round(6).tolist())
"""
    assert run_installed(installed, tmp_path, "-c", program).strip() == "[1.0, 5.0, 9.0, 13.0]"
    assert (tmp_path / "mlruns" / "registry.db").is_file()

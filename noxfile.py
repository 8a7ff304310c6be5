"""One-word commands: ``nox -s check``, ``fix``, ``test``, ``fast``, ``storm``, ``bench``, ``docs``, ``package``.

They run in the environment that nox is installed in (``pip install --editable '.[dev]'``), and `.ci/run` calls them.
"""

import os
import sysconfig
import tempfile
import venv
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["check", "fast"]
nox.options.stop_on_first_error = True

# The tools beside this Python are meant, whether or not their environment is active.
os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])


@nox.session
def check(session: nox.Session) -> None:
    """Check style, spelling, types, layers, and that migrations and tables agree."""
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("codespell")
    session.run("mypy")
    session.run("lint-imports")
    with tempfile.TemporaryDirectory() as directory:
        url = f"url=sqlite:///{directory}/schema.db"
        session.run("alembic", "-x", url, "upgrade", "head", silent=True)
        session.run("alembic", "-x", url, "check")


@nox.session
def fix(session: nox.Session) -> None:
    """Repair what ruff can repair, and format."""
    session.run("ruff", "check", "--fix")
    session.run("ruff", "format")


@nox.session
def test(session: nox.Session) -> None:
    """Run all tests but the storm; ``-- --cov`` measures coverage and holds it to the floor."""
    session.run("pytest", *session.posargs)


@nox.session
def fast(session: nox.Session) -> None:
    """Run the tests that need no server and are not slow, in less than two minutes."""
    session.run("pytest", "-m", "not (storm or slow or postgres or s3)", *session.posargs)


@nox.session
def storm(session: nox.Session) -> None:
    """Run the tests of heavy volumes; REGISTRY_STORM=reduced shrinks them."""
    session.run("pytest", "-m", "storm", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure beside mlflow and plain SQL; ``-- --quick`` is short; ``-- page`` measures the page."""
    is_page = session.posargs[:1] == ["page"]
    session.run("python", "-m", "benchmarks.page" if is_page else "benchmarks", *session.posargs[is_page:])


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    session.run("mkdocs", "build", "--strict", *session.posargs, env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def package(session: nox.Session) -> None:
    """Build sdist and wheel, check them, install the wheel in a new environment, and do the main job there."""
    with tempfile.TemporaryDirectory() as directory:
        built, place = Path(directory, "dist"), Path(directory, "venv")
        session.run("python", "-m", "build", "--outdir", str(built))  # the wheel is built from the sdist
        session.run("twine", "check", "--strict", *map(str, sorted(built.iterdir())))
        (wheel,) = built.glob("*.whl")
        venv.create(place, with_pip=True)
        programs = place / ("Scripts" if os.name == "nt" else "bin")
        session.run(str(programs / "pip"), "install", "--quiet", f"{wheel}[demo]")
        session.env["REGISTRY_CACHE_DIR"] = str(Path(directory, "cache"))
        with session.chdir(directory):
            session.run(str(programs / "registry"), "--version")
            session.run(str(programs / "registry"), "demo", silent=True)
            session.run(str(programs / "registry"), "doctor")

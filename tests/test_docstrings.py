"""Docstrings of everything public are complete, and their examples run as they are printed."""

import doctest
import importlib
import importlib.util
import inspect
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from example_store import example_names, make_store

import registry
from registry import settings
from registry.client import MlflowClient

# Modules whose public functions users call, beside the names of `registry` itself and the methods of `MlflowClient`.
MODULES = [
    "artifacts",
    "catboost",
    "data",
    "lightgbm",
    "models",
    "monitoring",
    "onnx",
    "prophet",
    "pyfunc",
    "pytorch",
    "scoring",
    "sklearn",
    "system_metrics",
    "testing",
    "xgboost",
]


def public() -> dict[str, Any]:
    """Every function and class that users call, by dotted name; a re-exported one once."""
    found: dict[str, Any] = {}
    for name in registry.__all__:
        value = getattr(registry, name)
        if inspect.isfunction(value) or inspect.isclass(value):
            found[f"registry.{name}"] = value
    for module in MODULES:
        names = importlib.import_module(f"registry.{module}").__all__
        for name in names:
            value = getattr(getattr(registry, module), name)
            if inspect.isfunction(value):
                found[f"registry.{module}.{name}"] = value
    for name, value in inspect.getmembers(MlflowClient, inspect.isfunction):
        if not name.startswith("_"):
            found[f"MlflowClient.{name}"] = value
    return found


def public_classes() -> dict[str, Any]:
    """Return the classes of public modules that have an example, by dotted name."""
    modules = [importlib.import_module(f"registry.{name}") for name in [*MODULES, "entities", "types", "types.schema"]]
    return {
        f"{value.__module__}.{name}": value
        for module in modules
        for name, value in vars(module).items()
        if inspect.isclass(value) and ">>>" in (value.__doc__ or "")
    }


PUBLIC = public()
EXAMPLES = {**PUBLIC, **public_classes()}
CALLABLE = sorted(name for name, value in PUBLIC.items() if inspect.isfunction(value))
WITH_EXAMPLE = sorted(name for name, value in EXAMPLES.items() if ">>>" in (inspect.getdoc(value) or ""))


def sections(value: Any) -> set[str]:
    return set(re.findall(r"^(Args|Returns|Yields|Raises|Example):$", inspect.getdoc(value) or "", re.MULTILINE))


def arguments(value: Any) -> list[str]:
    return [name for name in inspect.signature(value).parameters if name not in ("self", "cls")]


@pytest.mark.parametrize("name", CALLABLE)
def test_a_public_function_describes_its_arguments(name: str) -> None:
    documented = inspect.getdoc(PUBLIC[name]) or ""
    block = re.search(r"^Args:\n((?:    .*\n|\n)*)", documented + "\n", re.MULTILINE)
    listed = re.findall(r"^    \*{0,2}(\w+)(?: \(.*?\))?:", block.group(1) if block else "", re.MULTILINE)

    assert [argument for argument in arguments(PUBLIC[name]) if argument not in listed] == []


@pytest.mark.parametrize("name", CALLABLE)
def test_a_public_function_says_what_it_returns(name: str) -> None:
    returns = inspect.signature(PUBLIC[name]).return_annotation
    needed = returns not in (None, "None", inspect.Signature.empty)

    assert not needed or sections(PUBLIC[name]) & {"Returns", "Yields"}


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_public_name_has_an_example(name: str) -> None:
    assert name in WITH_EXAMPLE


@pytest.fixture(scope="session")
def filled_store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A filled store that each example gets a copy of."""
    directory = tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as patch:
        for variable in [name for name in os.environ if name.startswith(("REGISTRY_", "MLFLOW_"))]:
            patch.delenv(variable)  # an earlier test may have left a place
        patch.setenv("REGISTRY_ACTOR", "ann")
        patch.setenv("REGISTRY_CACHE_DIR", str(directory / "cache"))
        settings.forget_bases()  # an earlier test may have said where relative places begin
        facts = make_store(directory)
        settings.forget_bases()  # the first example must not write here
        return directory, facts


@pytest.fixture
def names(filled_store: tuple[Path, dict[str, Any]], own_place: Path) -> Iterator[dict[str, Any]]:
    """The names that an example may use, over a copy of the filled store in the working directory."""
    from example_store import copy_store

    directory, facts = filled_store
    copy_store(directory, own_place)
    registry.set_experiment("games")
    yield example_names(facts)
    while registry.active_run():
        registry.end_run()


@pytest.mark.parametrize("name", WITH_EXAMPLE)
@pytest.mark.filterwarnings("ignore:The inplace keyword", "ignore:The 'convert_dates' keyword")  # prophet calls pandas
def test_an_example_does_what_it_says(name: str, names: dict[str, Any]) -> None:
    text = inspect.getdoc(EXAMPLES[name]) or ""
    for package in re.findall(r">>> (?:import|from) (torch|prophet)\b", text):
        if importlib.util.find_spec(package) is None:  # too heavy for every environment of tests
            pytest.skip(f"{package} is not installed")
    test = doctest.DocTestParser().get_doctest(text, names, name, None, None)
    said: list[str] = []

    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE).run(test, out=said.append)

    assert "".join(said) == ""

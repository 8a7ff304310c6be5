"""The house rules that import-linter does not see: who may import which package, and who may print."""

import ast
import functools
from pathlib import Path

import pytest

import registry

ROOT = Path(registry.__file__).parent
# Which files may import a package; everything else goes through them.
OWNERS = {
    "alembic": {"store/schema.py"},
    "boto3": {"blobs/s3/"},
    "botocore": {"blobs/s3/"},
    "lark": {"filters/"},
    "sqlalchemy": {"store/", "mlflow_bridge/database.py"},
    "psycopg": {"store/"},
    "typer": {"cli/"},
    "rich": {"cli/", "blobs/progress.py"},
    "skops": {"flavors/"},
    "cloudpickle": {"flavors/"},
    "xgboost": {"flavors/", "autologging/", "cli/demo_job.py"},
    "lightgbm": {"flavors/", "autologging/"},
    "wrapt": {"autologging/patching.py"},
    "psutil": {"fluent/system_metrics.py"},
    "catboost": {"flavors/"},
    "onnx": {"flavors/"},
    "onnxruntime": {"flavors/"},
    "torch": {"flavors/"},
    "safetensors": {"flavors/"},
    "prophet": {"flavors/"},
    "mlflow": {"mlflow_bridge/"},
}


def sources() -> list[Path]:
    return [path for path in sorted(ROOT.rglob("*.py")) if "migrations" not in path.relative_to(ROOT).parts]


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imported(path: Path) -> frozenset[str]:
    """Return the top-level packages that a file imports anywhere, apart from what only checkers see."""
    unseen = {
        id(child)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for child in ast.walk(statement)
    }
    names: set[str] = set()
    for node in ast.walk(parsed(path)):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.partition(".")[0])
    return frozenset(names)


def lines_of_code(path: Path) -> int:
    """Lines that are neither blank, nor comments, nor documentation."""
    text = path.read_text(encoding="utf-8")
    texts = [
        node.value
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    documentation = {number for node in texts for number in range(node.lineno, (node.end_lineno or 0) + 1)}
    return sum(
        1
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#") and number not in documentation
    )


@pytest.mark.parametrize("package", sorted(OWNERS))
def test_a_package_is_imported_only_by_its_owners(package: str) -> None:
    users = [path.relative_to(ROOT).as_posix() for path in sources() if package in imported(path)]

    assert [user for user in users if not any(user.startswith(owner) for owner in OWNERS[package])] == []


def test_only_the_output_room_of_the_command_line_prints() -> None:
    printing = [
        path.relative_to(ROOT).as_posix()
        for path in sources()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert [path for path in printing if path != "cli/output.py"] == []


def test_no_file_passes_four_hundred_lines_of_code() -> None:
    assert [path.relative_to(ROOT).as_posix() for path in sources() if lines_of_code(path) > 400] == []


def test_migrations_import_nothing_of_the_package() -> None:
    folders = [ROOT.parent / "migrations" / "versions", ROOT / "migrations" / "versions"]
    revisions = [path for folder in folders for path in sorted(folder.glob("*.py"))]

    assert revisions
    assert [path.name for path in revisions if "registry" in imported(path)] == []

"""MLflow's automatic tags: the user, the program and the commit that made a run.

Guarantees: they are read from the process and from files; no other program is run.
"""

import functools
import getpass
import os
import sys
from pathlib import Path

from registry.settings import actor_of, current_settings


def context_tags() -> dict[str, str]:
    """Return the tags ``mlflow.user``, ``mlflow.source.name``, ``mlflow.source.type``, ``mlflow.source.git.commit``."""
    tags = {"mlflow.user": _user(), "mlflow.source.name": _source_name(), "mlflow.source.type": _source_type()}
    commit = _git_commit(Path.cwd())
    return tags if commit is None else {**tags, "mlflow.source.git.commit": commit}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return actor_of(current_settings())


def _source_name() -> str:
    program = sys.argv[0] if sys.argv else ""
    return program or "<interactive>"


def _source_type() -> str:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return "NOTEBOOK" if getattr(shell, "kernel", None) is not None else "LOCAL"


@functools.lru_cache(maxsize=4)
def _git_commit(directory: Path) -> str | None:
    """Return the checked-out commit of the repository that contains a directory, or None."""
    for folder in (directory, *directory.parents):
        git = folder / ".git"
        try:
            if git.is_file():  # in a worktree or submodule a file names the directory
                git = folder / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
            if git.is_dir():
                return _head(git)
        except (OSError, UnicodeDecodeError):
            return None
    return None


def _head(git: Path) -> str | None:
    head = (git / "HEAD").read_text(encoding="utf-8").strip()
    if not head.startswith("ref: "):
        return head
    reference = head.removeprefix("ref: ")
    common = git / "commondir"
    shared = git / common.read_text(encoding="utf-8").strip() if common.is_file() else git
    for directory in (git, shared):
        if (directory / reference).is_file():
            return (directory / reference).read_text(encoding="utf-8").strip()
    packed = shared / "packed-refs"
    lines = packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else []
    return next((line.split(" ")[0] for line in lines if line.endswith(f" {reference}")), None)


def parent_process_run_id() -> str | None:
    """Return the run that a parent process asks to resume (``REGISTRY_RUN_ID``, ``MLFLOW_RUN_ID``), and unset both."""
    run_id = current_settings().run_id
    for name in ("REGISTRY_RUN_ID", "MLFLOW_RUN_ID"):
        os.environ.pop(name, None)
    return run_id

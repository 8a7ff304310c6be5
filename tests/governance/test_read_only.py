"""A read-only client loads and searches, and changes nothing: not a row, not a file, not a directory."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
from governed_models import register

import registry
from registry import MlflowClient
from registry.exceptions import ReadOnlyError, RegistryError

CHANGES = {
    "create_experiment": ("new",),
    "rename_experiment": ("0", "new"),
    "set_experiment_tag": ("0", "k", "v"),
    "create_run": ("0",),
    "create_logged_model": ("0",),
    "create_registered_model": ("new",),
    "rename_registered_model": ("nba", "new"),
    "update_registered_model": ("nba", "about"),
    "delete_registered_model": ("nba",),
    "set_registered_model_tag": ("nba", "k", "v"),
    "delete_registered_model_tag": ("nba", "k"),
    "update_model_version": ("nba", 1, "about"),
    "delete_model_version": ("nba", 1),
    "restore_model_version": ("nba", 1),
    "transition_model_version_stage": ("nba", 1, "Staging"),
    "set_registered_model_alias": ("nba", "best", 1),
    "delete_registered_model_alias": ("nba", "best"),
    "set_model_version_tag": ("nba", 1, "k", "v"),
    "delete_model_version_tag": ("nba", 1, "k"),
    "rollback": ("nba",),
    "set_promotion_rules": ("nba", "Staging", []),
    "delete_promotion_rules": ("nba", "Staging"),
    "approve": ("nba", 1, "Staging"),
    "register_model": ("models:/nba/1", "new"),
    "copy_model_version": ("models:/nba/1", "new"),
    "create_model_version": ("nba", "models:/nba/1"),
}


@pytest.mark.parametrize("change", sorted(CHANGES))
def test_every_change_is_refused(client: MlflowClient, change: str) -> None:
    register(client, "nba")
    before = client.get_history("nba")
    reader = MlflowClient(read_only=True)
    with pytest.raises(ReadOnlyError, match="read-only"):
        getattr(reader, change)(*CHANGES[change])
    assert client.get_history("nba") == before


def test_loading_and_searching_work(client: MlflowClient) -> None:
    register(client, "nba", 2)
    client.transition_model_version_stage("nba", 2, "Production")
    reader = MlflowClient(read_only=True)
    assert reader.resolve("models:/nba/Production").version == 2
    assert reader.get_model_version_by_stage("nba", "Production").version == 2
    assert [found.name for found in reader.search_registered_models()] == ["nba"]
    assert len(reader.get_history("nba")) == 4
    assert len(reader.poll_events()) == 4
    assert reader.verify("nba", read_bytes=True).versions == 2


def test_the_database_itself_refuses_through_a_read_only_connection(client: MlflowClient) -> None:
    register(client, "nba")
    database = MlflowClient(read_only=True).backend.database
    with pytest.raises(RegistryError):
        database._run(database._read_once, lambda c: c.exec_driver_sql("UPDATE registered_models SET name = 'x'"))


def test_a_database_that_is_not_there_is_not_made(own_place: Path) -> None:
    with pytest.raises(RegistryError):
        MlflowClient(f"sqlite:///{own_place}/none.db", read_only=True).search_registered_models()
    assert list(own_place.iterdir()) == []


READ = """
import os, sys
import registry

def look():
    client = registry.MlflowClient(sys.argv[1], read_only=True)
    return client, client.resolve("models:/nba/Production").version, client.verify("nba", read_bytes=True).versions

look()  # the user 'nobody' may be unable to read this package, so load all of it now
registry.disconnect()
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
client, version, versions = look()
print(version, versions)
try:
    client.set_model_version_tag("nba", 1, "k", "v")
except registry.exceptions.ReadOnlyError as error:
    print(type(error).__name__)
"""


def test_a_directory_that_cannot_be_written_serves_readers(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("shared")
    client = MlflowClient(str(place))
    register(client, "nba")
    client.transition_model_version_stage("nba", 1, "Production")
    client.backend.database.dispose()
    # As far up as pytest made directories, which are for their owner alone.
    above = [path for path in place.parents if path.name.startswith(("pytest-", "popen-"))]
    parents = [place, *above]
    modes = [path.stat().st_mode for path in parents]
    try:
        for path in (place, *place.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        for path in above:
            path.chmod(0o755)
        # The library may lie where the other user may not look: it is imported before, by this process's rights.
        done = subprocess.run(
            [sys.executable, "-c", _importing_first(READ), str(place)],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env={**os.environ, "HOME": "/nonexistent"},
        )
    finally:
        for path, mode in zip(parents, modes, strict=True):
            path.chmod(mode)
    assert (done.stdout.split(), done.stderr) == (["1", "1", "ReadOnlyError"], "")


def _importing_first(script: str) -> str:
    modules = "registry.client, registry.flavors, sqlalchemy.dialects.sqlite, pandas, alembic.config"
    return inspect.cleandoc(f"import {modules}, pathlib, encodings.idna") + "\n" + script


def test_module_level_functions_use_the_setting(client: MlflowClient) -> None:
    register(client, "nba")
    assert registry.history("nba")["kind"].tolist() == ["created", "version_created"]

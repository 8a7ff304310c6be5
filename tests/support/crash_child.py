"""A process that forks a child per request; the child does one operation and may die at its n-th step by ``kill -9``.

Run as a program: requests are lines of JSON on stdin, answers lines of JSON on stdout. It has one thread and has
imported everything once, so that a child costs milliseconds. A step is a commit, a file that appears, is moved or is
removed, or a request to S3. A crash comes right before a step or right after it.
"""

import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_count = 0
_fatal = 0


def _step() -> None:
    global _count
    _count += 1
    if _count == _fatal:
        os.kill(os.getpid(), signal.SIGKILL)


def _stepping(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        _step()
        result = function(*arguments, **options)
        _step()
        return result

    return call


def _hook() -> None:
    import shutil

    from botocore.httpsession import URLLib3Session

    from registry.blobs import directory
    from registry.store.engine import Database

    Database._write_once = _stepping(Database._write_once)  # type: ignore[method-assign]
    directory._publish = _stepping(directory._publish)
    shutil.rmtree = _stepping(shutil.rmtree)  # type: ignore[assignment]
    Path.rename = _stepping(Path.rename)  # type: ignore[method-assign]
    URLLib3Session.send = _stepping(URLLib3Session.send)


def _operate(request: dict[str, Any]) -> None:
    from registry import MlflowClient
    from registry.client.models.model_upload import seal_directory
    from registry.entities.logged_model import new_model_id
    from registry.flavors import Model
    from registry.store.logged_models.logged_models import NewModel

    client = MlflowClient(request["url"])
    given = request["given"]
    match request["operation"]:
        case "log_model":
            new = NewModel(new_model_id(), "0", "model", run_id=given["run_id"])
            source = Path(given["source"])
            seal_directory(client.backend, source, new, Model.load(source))
        case "register":
            client.register_model(given["source"], "churn")
        case "promote":
            client.transition_model_version_stage("churn", given["version"], "Production")
        case "copy":
            client.copy_model_version("models:/churn/1", "copied", to=given["to"])
        case "sync":
            from registry.client.transfer.sync import Sync

            Sync(given["source"], request["url"]).send()
        case "retrain":
            from retrained_models import retraining

            import registry
            from registry.monitoring.retraining import retrain

            registry.set_tracking_uri(request["url"])
            incidents = client.get_incidents("nba", ["open"])
            retrain("nba", retraining("learn_new_rules"), incidents=incidents, client=client)
        case "compact":
            from registry.monitoring import compact_observations

            compact_observations("wins", grace=given["grace"], client=client)
        case "gc":
            client.collect_garbage(apply=True, older_than="0s", grace="0s")
        case "import":
            client.import_model(given["file"], name=given["name"])
        case "load":
            from registry.client.models.loading import open_model
            from registry.uris import parse

            with open_model(client.backend, parse("models:/churn/1")):
                pass
        case "download":
            client.download_artifacts(given["run_id"], "", given["to"])
        case "loop":
            while True:
                client.register_model(given["source"], "churn")
                client.copy_model_version("models:/churn/latest", "copied")
                client.delete_model_version("copied", client.get_latest_versions("copied")[0].version)
                client.collect_garbage(apply=True, older_than="0s", grace="1h")


def _child(request: dict[str, Any]) -> None:
    global _fatal
    os.environ.update(request["environment"])
    os.chdir(request["directory"])
    _fatal = request["fatal"]
    try:
        _operate(request)
    except BaseException as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def main() -> None:
    """Serve requests until stdin ends."""
    for name in ("boto3", "psycopg", "sqlalchemy.dialects.postgresql", "registry.blobs.s3", "registry.client"):
        importlib.import_module(name)
    _hook()
    for line in sys.stdin:
        request = json.loads(line)
        for name in request["given"].pop("preload", ()):
            importlib.import_module(name)
        pid = os.fork()
        if pid == 0:
            _child(request)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

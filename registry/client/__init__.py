"""The client, where metadata, bytes and formats meet: `MlflowClient`.

The class is bound on first use: a worker that scores takes byte stores from here, and needs neither it nor a database.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from registry.client.mlflow_client import MlflowClient

__all__ = ["MlflowClient"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from registry.client.mlflow_client import MlflowClient

    globals()[name] = MlflowClient
    return MlflowClient

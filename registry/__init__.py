"""A model registry and run tracker as a library: MLflow's names over SQL tables and S3, without a server.

``import registry as mlflow`` runs an ordinary MLflow training script. The public names are listed once, in
``__init__.pyi``, and bound on first use. Guarantees: importing the package loads none of sqlalchemy, alembic, pydantic,
boto3, pandas, numpy, xgboost, sklearn.
"""

import sys

import lazy_loader

from registry.garbage_collector import paused_collector

__version__ = "0.1.0"

_bind, _, _lazy_names = lazy_loader.attach_stub(__name__, __file__)
__all__ = [*_lazy_names, "__version__"]


def __getattr__(name: str) -> object:
    if name in _lazy_names:
        with paused_collector():
            return _bind(name)
    from registry.unsupported import attribute_error

    raise attribute_error(__name__, name, __all__)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _AbsentModules:
    """A finder of modules that finds none: the last one asked, it explains MLflow's modules that are not here.

    Python turns the AttributeError of `__getattr__` into "cannot import name" when it runs ``from registry import
    autolog``, and does not call it for ``import registry.keras``. A finder is the one place where both statements can
    say what to do instead.
    """

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> None:
        if name.startswith("registry."):
            from registry.unsupported import check_module

            check_module(name)


sys.meta_path.append(_AbsentModules)

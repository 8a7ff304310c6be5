"""The callback that logs the rounds of XGBoost to a run, for training code that wants to see what is logged."""

import functools
import logging
from collections.abc import Mapping
from typing import Any, Self

from registry.autologging.rounds import RoundMetrics
from registry.autologging.xgboost import finish, last_values
from registry.flavors.optional_imports import optional_import
from registry.fluent.runs import choose_run

_logger = logging.getLogger("registry.autologging")


class RunCallback:
    """Log the metrics of each round to a run, as autologging does, without patching anything.

    After training it also logs the best iteration, if training has one. A failure to log is one warning, and training
    goes on. An instance can be copied and pickled; scikit-learn does so with parameters.

    Args:
        run_id: The run. Default: the run that is active when training begins; if there is none, one is started.

    Example:
        >>> import xgboost
        >>> train = xgboost.DMatrix(X, label=y)
        >>> callback = mlflow.xgboost.RunCallback()
        >>> with mlflow.start_run() as run:
        ...     booster = xgboost.train(
        ...         {"max_depth": 2}, train, 5, evals=[(train, "train")], callbacks=[callback], verbose_eval=False
        ...     )
        >>> [point.step for point in client.get_metric_history(run.info.run_id, "train-rmse")]
        [0, 1, 2, 3, 4]
    """

    def __new__(cls, run_id: str | None = None) -> Self:
        """Make an instance of a class that XGBoost accepts as a callback."""
        del run_id
        instance: Self = object.__new__(_callback_class(cls))  # type: ignore[arg-type]  # a class is hashable
        return instance

    def __init__(self, run_id: str | None = None) -> None:
        self.run_id = run_id
        self._rounds: RoundMetrics | None = None

    def __reduce__(self) -> Any:
        return RunCallback, (self.run_id,)

    def before_training(self, model: Any) -> Any:
        """Choose the run."""
        try:
            client, run_id = choose_run(self.run_id)
            self._rounds = RoundMetrics(client, run_id)
        except Exception as error:  # noqa: BLE001 - training goes on
            self._give_up(error)
        return model

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Mapping[str, Any]]) -> bool:
        """Keep the metrics of the round; never stop the training."""
        del model
        if self._rounds is not None:
            try:
                self._rounds.add(epoch, last_values(evals_log))
            except Exception as error:  # noqa: BLE001 - training goes on
                self._give_up(error)
        return False

    def after_training(self, model: Any) -> Any:
        """Write what is not written yet, and the best iteration."""
        if self._rounds is not None:
            try:
                finish(self._rounds, model)
            except Exception as error:  # noqa: BLE001 - training goes on
                self._give_up(error)
        self._rounds = None
        return model

    def _give_up(self, error: Exception) -> None:
        self._rounds = None
        _logger.warning("RunCallback logs no more rounds of this training: %s", error)


@functools.cache
def _callback_class(cls: Any) -> Any:
    base = optional_import("xgboost", "xgboost").callback.TrainingCallback
    return cls if issubclass(cls, base) else type(cls.__name__, (cls, base), {"__module__": cls.__module__})

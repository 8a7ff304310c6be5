"""One call that trains: the run that it is logged to, and the guard around all that we do before and after it.

Guarantees: what fails here is told in one logged warning per call and never raised. Calls inside of a call, also in
threads that joblib starts for it, are not logged again. Threads and tasks of the user do not share anything.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, ParamSpec, Self, TypeVar

from registry.autologging.options import Options
from registry.autologging.randomness import preserved_random_states
from registry.client import MlflowClient
from registry.client.models.log_and_register import SavedModel
from registry.entities import DatasetInput, Metric, Param, RunTag
from registry.entities.logged_model import new_model_id
from registry.exceptions import ParamConflictError, RegistryError, UnavailableError
from registry.fluent import state
from registry.fluent.logged_models import remember_logged_model
from registry.fluent.run_context_tags import context_tags
from registry.fluent.runs import end_run, start_run
from registry.store.logged_models.logged_models import NewModel
from registry.validation.names import MAX_KEY, MAX_PARAM_VALUE, check_key
from registry.validation.values import metric_value

P = ParamSpec("P")
T = TypeVar("T")
AUTOLOGGING: Final = "mlflow.autologging"
_logger = logging.getLogger("registry.autologging")


@dataclass(frozen=True, slots=True)
class Session:
    """A call that trains and is going on: on which object, and the integration whose calls inside of it are logged.

    `training` is the call's own, which tells what fails inside of it too.
    """

    owner: object
    inner: str | None = None
    training: "Training | None" = None


_sessions: ContextVar[tuple[Session, ...]] = ContextVar("registry_training_sessions", default=())
_SUSPENDED: Final = Session(None)


def may_log(integration: str, owner: object) -> bool:
    """Tell whether a call on this object is an outermost one, or inside of one that lets it log."""
    return all(session.inner == integration and session.owner is not owner for session in _sessions.get())


def is_training() -> bool:
    """Tell whether a call that trains is going on in this context."""
    return bool(_sessions.get())


def without_autologging(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function; nothing inside of it is logged."""
    token = _sessions.set((*_sessions.get(), _SUSPENDED))
    try:
        return function(*args, **kwargs)
    finally:
        _sessions.reset(token)


def metric_name(name: str) -> str:
    """Return a metric's name as MLflow stores it: ``ndcg@3`` becomes ``ndcg_at_3``."""
    return name.replace("@", "_at_")


class Training:
    """The run that one call is logged to. As a context manager it ends the run, if the run was made for this call."""

    def __init__(self, integration: str, options: Options, call: str, owner: object, inner: str | None) -> None:
        self.integration = integration
        self.options = options
        self._call = call
        self._session = Session(owner, inner, self)
        self._outer = next((session.training for session in reversed(_sessions.get())), None)
        self._has_inner_tasks = False
        self._tasks: list[tuple[str, Callable[[], object]]] = []
        self._saved: list[SavedModel] = []
        self._failures: list[str] = []
        self._is_given_up = False
        self._is_managed = False
        self.has_run = False
        self.client: MlflowClient
        self.run_id: str
        self.experiment_id: str
        self.start_time = int(time.time() * 1_000)
        self.model_id: str | None = None

    @classmethod
    def begin(
        cls, integration: str, options: Options, call: str, owner: object, *, inner: str | None = None
    ) -> "Training | None":
        """Choose or start the run for a call; None if it is not to be logged.

        If no run can be started, the call is not logged, and neither is what it calls: each fit of a search would try
        again, and wait for the database again.
        """
        if not may_log(integration, owner):
            return None
        active = state.active_with_client()
        if options.exclusive and active is not None and not is_training():
            return None
        training = cls(integration, options, call, owner, inner)
        training.has_run = bool(training.attempt("a run was not started", training._choose_run))
        if not training.has_run:
            training._session = _SUSPENDED
            training._warn()
        return training

    def _choose_run(self) -> bool:
        if state.active_with_client() is None:
            run = start_run(tags={AUTOLOGGING: self.integration, **(self.options.extra_tags or {})})
            self._is_managed = True
            if not self.options.silent:
                _logger.info(
                    "Created the run %s for autologging of this %s workflow.", run.info.run_id, self.integration
                )
        active = state.active_with_client()
        assert active is not None, "start_run makes a run active"  # noqa: S101 - for the type checker
        self.run_id, self.experiment_id = active[0].info.run_id, active[0].info.experiment_id
        self.start_time = active[0].info.start_time or self.start_time
        self.client = active[1]
        return True

    def attempt(self, consequence: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Call a function of ours. If it raises, remember the error with its consequence, and return None.

        While the database is away nothing more is tried: each attempt would take its time.
        """
        if self._is_given_up:
            return None
        try:
            with preserved_random_states(self._session.owner):
                return function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - whatever it is, training goes on
            self.note(consequence, error)
            return None

    def note(self, consequence: str, error: Exception) -> None:
        """Remember a failure for the warning at the end of the call."""
        self._failures.append(f"{consequence} ({type(error).__name__}: {_first_line(error)})")
        _logger.debug("Autologging of %s: %s", self._call, consequence, exc_info=error)
        self._is_given_up = self._is_given_up or isinstance(error, UnavailableError)

    def in_background(self, consequence: str, task: Callable[[], object]) -> None:
        """Do something after the call, in the background. Ending the run waits for it, and so does whoever reads."""
        self._tasks.append((consequence, task))

    def log(
        self,
        *,
        params: Mapping[str, Any] | None = None,
        metrics: Sequence[Metric] = (),
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Log params, points and tags. A param that the run has with another value is left out and noted."""
        known = [Param(key, text) for key, text in self._texts(params or {}).items()]
        run_tags = [RunTag(key, value) for key, value in (tags or {}).items()]
        try:
            self.client.log_batch(self.run_id, metrics, known, run_tags, synchronous=True)
        except ParamConflictError as error:
            self.note("params of an earlier call in this run were kept", error)
            existing = self.client.get_run(self.run_id).data.params
            new = [param for param in known if param.key not in existing]
            self.client.log_batch(self.run_id, metrics, new, run_tags, synchronous=True)

    def log_metrics(self, metrics: Mapping[str, Any], step: int = 0) -> None:
        """Log one point for each of several metrics."""
        self.log(metrics=points(metrics, step))

    def log_datasets(self, datasets: Sequence[DatasetInput]) -> None:
        """Record data sets that the run used."""
        self.client._backend_for_logging.runs.log_inputs(self.run_id, datasets=datasets, models=())

    def log_text(self, text: str, artifact_file: str) -> None:
        """Store a text among the run's artifacts, in the background."""
        self.in_background(
            f"{artifact_file} was not logged", lambda: self.client.log_text(self.run_id, text, artifact_file)
        )

    def log_chart(self, draw: Callable[[], Any], artifact_file: str) -> None:
        """Draw a figure and store it among the run's artifacts, in the background."""
        self.in_background(
            f"{artifact_file} was not logged", lambda: self.client.log_figure(self.run_id, draw(), artifact_file)
        )

    def log_model(
        self, flavor: str, model: Any, name: str = "model", metric_keys: Sequence[str] = (), **options: Any
    ) -> str:
        """Save a model now and upload it in the background. Return the id of the logged model that it will be."""
        new = NewModel(
            model_id=new_model_id(),
            experiment_id=self.experiment_id,
            name=name,
            run_id=self.run_id,
            params=self._texts(options.pop("params", {})),
            tags=context_tags(),
            metric_keys=metric_keys,
        )
        saved = SavedModel.save(flavor, model, new, **options)
        self._saved.append(saved)
        registered = self.options.registered_model_name if name == "model" else None
        self.in_background(f"the model {name!r} was not logged", lambda: self._upload(saved, registered))
        remember_logged_model(new.model_id)
        if name == "model":
            self.model_id = new.model_id
        return new.model_id

    def _upload(self, saved: SavedModel, registered_model_name: str | None) -> None:
        try:
            logged = saved.upload(self.client._backend_for_logging)
        finally:
            saved.discard()
        if registered_model_name is not None:
            self.client.register_model(f"models:/{logged.model_id}", registered_model_name)

    def _texts(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Return params as texts, cut as MLflow cuts them. Those that have no text or no valid key are left out."""
        texts = {}
        for key, value in values.items():
            try:
                texts[check_key(_cut(str(key), MAX_KEY))] = _cut(str(value), MAX_PARAM_VALUE)
            except Exception as error:  # noqa: BLE001 - it is the user's own `__str__`
                self.note(f"the param {key!r:.100} was not logged", error)
        return texts

    def __enter__(self) -> Self:
        self._token = _sessions.set((*_sessions.get(), self._session))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        _sessions.reset(self._token)
        try:
            if self._tasks or self._has_inner_tasks:
                self.client._backend_for_logging.tasks.put(self._do_tasks)
                if self._outer is not None:
                    self._outer._has_inner_tasks = True
            else:
                self._warn()
            if self._is_managed:
                self._end_run("FINISHED" if kind is None else "FAILED")
        except Exception as failure:  # noqa: BLE001 - it must not hide what the user's call returns or raises
            self.note("the run was not ended", failure)
            self._warn()
        return False

    def _end_run(self, status: str) -> None:
        active = state.active_with_client()
        if active is not None and active[0].info.run_id == self.run_id:
            end_run(status)
        else:  # the training code has ended it, or started another
            self.client.set_terminated(self.run_id, status)

    def _do_tasks(self) -> None:
        for consequence, task in self._tasks:
            self.attempt(consequence, task)
        for saved in self._saved:
            saved.discard()
        self._tasks.clear()
        self._warn()

    def _warn(self) -> None:
        if self._outer is not None:
            self._outer._failures += self._failures
        elif self._failures and not self.options.silent:
            _logger.warning("Autologging of %s is incomplete: %s.", self._call, "; ".join(self._failures))
        self._failures.clear()


def points(metrics: Mapping[str, Any], step: int) -> list[Metric]:
    """Return the points of several metrics at one step and now."""
    now = int(time.time() * 1_000)
    return [Metric(metric_name(key), metric_value(key, value), now, step) for key, value in metrics.items()]


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _first_line(error: Exception) -> str:
    try:
        text = error.message if isinstance(error, RegistryError) else str(error)
    except Exception:  # noqa: BLE001 - an exception whose text cannot be had
        return "without a message"
    return str(text).strip().partition("\n")[0][:300].rstrip(".")

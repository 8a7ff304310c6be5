"""Client methods that create, read, change, end and delete runs, and record what they used and made."""

import random
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from registry.client.base import ClientBase
from registry.client.tracking.batches import check_tags, tag_value
from registry.entities import DatasetInput, LoggedModelInput, LoggedModelOutput, Run, RunStatus
from registry.exceptions import InvalidParameterError
from registry.settings import current_settings
from registry.validation.arguments import check_list, check_mapping
from registry.validation.names import check_run_id
from registry.validation.values import metric_timestamp

RUN_NAME: Final = "mlflow.runName"
USER: Final = "mlflow.user"
PARENT_RUN_ID: Final = "mlflow.parentRunId"

_ADJECTIVES: Final = (
    "able amber bold brave bright calm clean clever crisp deft eager fair fast fine fond free glad grand keen "
    "kind light lively lucky merry mild neat noble plain proud quick quiet rapid rare ready sharp shy silent "
    "sleek smart smooth solid sound spry steady still stout sunny swift tidy true vivid warm wise witty young "
    "zesty"
).split()
_NOUNS: Final = (
    "ant badger bass bat bear bee bird boar bug calf carp cat chimp cod colt crab crane crow cub deer doe dog "
    "dove duck eel elk fawn finch fish flea fly foal fowl fox frog gnat goat goose grouse gull hare hawk hen "
    "hog horse hound jay kit koi lamb lark loon lynx mare mole moose moth mouse mule newt owl ox panda perch "
    "pig quail ram rat ray seal shad shark sheep shrew shrike skink skunk slug smelt snail snake snipe sow "
    "squid stag stoat swan toad trout wasp whale wolf worm wren yak zebra"
).split()


class RunMethods(ClientBase):
    """Client methods for runs."""

    def create_run(
        self,
        experiment_id: str,
        start_time: int | None = None,
        tags: Mapping[str, Any] | None = None,
        run_name: str | None = None,
    ) -> Run:
        """Create a run with status RUNNING, without making it the active run.

        Args:
            experiment_id: The experiment that the run belongs to.
            start_time: Milliseconds since the epoch. Default: now.
            tags: Labels as a mapping from key to value. They overwrite the tags of ``REGISTRY_DEFAULT_TAGS``.
            run_name: The run's name. Default: the tag ``mlflow.runName``, else a random name such as
                ``swift-heron-417``.

        Returns:
            The new run.

        Raises:
            ExperimentNotFoundError: No experiment has this id.
            InvalidParameterError: The experiment is deleted, or `run_name` and the tag ``mlflow.runName`` differ.

        Example:
            >>> run = client.create_run("1", run_name="depth-5", tags={"team": "analytics"})
            >>> run.info.status, run.info.run_name
            ('RUNNING', 'depth-5')
        """
        checked = check_tags({**current_settings().default_tags, **check_mapping(tags, "tags")}.items())
        return self.backend.runs.create(
            run_id=uuid.uuid4().hex,
            experiment_id=str(experiment_id),
            name=_choose_name(run_name, checked),
            user_id=checked.get(USER, "unknown"),
            start_time=metric_timestamp(start_time),
            tags=checked,
        )

    def get_run(self, run_id: str) -> Run:
        """Return a run by id, including a deleted one.

        Args:
            run_id: The run's id.

        Returns:
            The run with its params, tags, latest metrics, inputs and outputs.

        Raises:
            RunNotFoundError: No run has this id.

        Example:
            >>> client.get_run(run_id).data.params
            {'algorithm': 'XGBoost', 'max_depth': '4'}
        """
        return self.backend.runs.get(check_run_id(run_id))

    def get_parent_run(self, run_id: str) -> Run | None:
        """Return the parent of a nested run, or None.

        Args:
            run_id: The id of the nested run.

        Returns:
            The parent run, or None if the run has none.

        Raises:
            RunNotFoundError: No run has this id, or its parent is gone.

        Example:
            >>> child = client.create_run("1", tags={"mlflow.parentRunId": run_id})
            >>> client.get_parent_run(child.info.run_id).info.run_name
            'depth-4'
        """
        return self.backend.runs.find_parent(check_run_id(run_id))

    def update_run(self, run_id: str, status: str | None = None, name: str | None = None) -> None:
        """Change the status or the name of a run.

        Args:
            run_id: The run's id.
            status: ``RUNNING``, ``SCHEDULED``, ``FINISHED``, ``FAILED`` or ``KILLED``. Default: unchanged.
            name: The new name. Default: unchanged.

        Raises:
            RunNotFoundError: No run has this id.
            InvalidParameterError: The status is unknown, or the run is deleted.

        Example:
            >>> client.update_run(run_id, name="final model")
            >>> client.get_run(run_id).info.run_name
            'final model'
        """
        checked = None if status is None else RunStatus.to_string(status)
        name = None if name is None else tag_value(RUN_NAME, name)
        self.backend.runs.update(check_run_id(run_id), status=checked, name=name)

    def set_terminated(self, run_id: str, status: str | None = None, end_time: int | None = None) -> None:
        """End a run.

        Values that were queued with ``synchronous=False`` are written first.

        Args:
            run_id: The run's id.
            status: The final status. Default: ``FINISHED``.
            end_time: Milliseconds since the epoch. Default: now.

        Raises:
            RunNotFoundError: No run has this id.
            InvalidParameterError: The status is unknown, or the run is deleted.

        Example:
            >>> run = client.create_run("1")
            >>> client.set_terminated(run.info.run_id, "FAILED")
            >>> client.get_run(run.info.run_id).info.status
            'FAILED'
        """
        checked = RunStatus.to_string(status or "FINISHED")
        self.backend.log_queue.flush()
        self.backend.runs.update(check_run_id(run_id), status=checked, end_time=metric_timestamp(end_time))

    def delete_run(self, run_id: str) -> None:
        """Mark a run as deleted.

        Nothing is removed from disk, and models that came from the run still load. `restore_run` undoes it until
        `registry gc` removes the run.

        Args:
            run_id: The run's id.

        Raises:
            RunNotFoundError: No run has this id.

        Example:
            >>> client.delete_run(run_id)
            >>> client.get_run(run_id).info.lifecycle_stage
            'deleted'
        """
        self.backend.runs.delete(check_run_id(run_id))

    def restore_run(self, run_id: str) -> None:
        """Restore a deleted run.

        Args:
            run_id: The run's id.

        Raises:
            RunNotFoundError: No run has this id.
            InvalidStateError: `registry gc` has removed the run's data.

        Example:
            >>> client.delete_run(run_id)
            >>> client.restore_run(run_id)
            >>> client.get_run(run_id).info.lifecycle_stage
            'active'
        """
        self.backend.runs.restore(check_run_id(run_id))

    def log_inputs(
        self,
        run_id: str,
        datasets: Sequence[DatasetInput] | None = None,
        models: Sequence[LoggedModelInput] | None = None,
    ) -> None:
        """Record the data sets and logged models that a run used.

        Args:
            run_id: The run's id.
            datasets: The data sets, as `DatasetInput` entities.
            models: The logged models, as `LoggedModelInput` entities.

        Raises:
            RunNotFoundError: No run has this id.
            LoggedModelNotFoundError: A logged model does not exist.

        Example:
            >>> from registry.entities import DatasetInput
            >>> dataset = mlflow.data.from_pandas(X, name="games 2026")
            >>> client.log_inputs(run_id, [DatasetInput(dataset.to_entity())])
            >>> [used.dataset.name for used in client.get_run(run_id).inputs.dataset_inputs]
            ['games 2026']
        """
        self.backend.runs.log_inputs(
            check_run_id(run_id),
            datasets=check_list(datasets, "datasets", DatasetInput),
            models=check_list(models, "models", LoggedModelInput),
        )

    def log_outputs(self, run_id: str, models: Sequence[LoggedModelOutput]) -> None:
        """Record the logged models that a run produced.

        `log_model` does this by itself.

        Args:
            run_id: The run's id.
            models: The logged models, as `LoggedModelOutput` entities.

        Raises:
            RunNotFoundError: No run has this id.
            LoggedModelNotFoundError: A logged model does not exist.

        Example:
            >>> from registry.entities import LoggedModelOutput
            >>> made = client.create_logged_model("1", name="calibrated")
            >>> client.log_outputs(run_id, [LoggedModelOutput(made.model_id, step=2)])
            >>> client.get_run(run_id).outputs.model_outputs[-1].step
            2
        """
        self.backend.runs.log_inputs(check_run_id(run_id), outputs=check_list(models, "models", LoggedModelOutput))


def _choose_name(run_name: str | None, tags: Mapping[str, str]) -> str:
    tagged = tags.get(RUN_NAME)
    if run_name and tagged and run_name != tagged:
        raise InvalidParameterError(
            f"Both 'run_name' argument and '{RUN_NAME}' tag are specified, but with different values "
            f"(run_name={run_name!r}, {RUN_NAME}={tagged!r}); give one of them."
        )
    return tag_value(RUN_NAME, run_name) if run_name else tagged or _random_name()


def _random_name() -> str:
    # A separate generator: naming a run must not change the random state of a training script.
    generator = random.SystemRandom()
    return f"{generator.choice(_ADJECTIVES)}-{generator.choice(_NOUNS)}-{generator.randrange(1000)}"

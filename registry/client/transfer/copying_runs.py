"""Client methods that copy runs, experiments and registered models to another registry, and move runs within one.

Guarantees: those of `run_copying`; a registered model appears with all of its versions or not at all.
"""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from registry.client.base import ClientBase
from registry.entities import LifecycleStage
from registry.exceptions import (
    AlreadyExistsError,
    ExperimentNotFoundError,
    InvalidStateError,
    ModelNotFoundError,
    RunNotFoundError,
)
from registry.validation.arguments import check_list
from registry.validation.names import MAX_EXPERIMENT_NAME, check_model_name, check_run_id, check_text

if TYPE_CHECKING:
    from registry.client.backend import Backend
    from registry.client.transfer.run_copying import RunCopier, Watcher
    from registry.entities.copy_report import CopyReport
    from registry.entities.model_registry import RegisteredModel
    from registry.entities.portable_model import PortableModel


class RunCopyingMethods(ClientBase):
    """Client methods that copy runs, experiments and registered models."""

    def copy_runs(
        self, run_ids: Sequence[str], *, to: str | Path, experiment: str | None = None, dry_run: bool = False
    ) -> "CopyReport":
        """Copy runs to another registry, or complete the copies that are there.

        Ids, times, status, params, tags, every metric point, data sets, files and logged models stay as they are. Only
        what the target lacks is sent, so an interrupted copy is finished by repeating it. Nothing is removed or changed
        in the target, except that name, status, end time and tags of a run are those of the original.

        Args:
            run_ids: Runs of this registry.
            to: Tracking URI of the other registry.
            experiment: Name of the target's experiment for new runs. Default: that of their own; created if missing.
            dry_run: Only report what would be sent.

        Returns:
            What was done with each run, and what both sides have of them now. A run that was deleted in the target is
            not brought back: it is ``skipped``, with a note.

        Raises:
            ConflictError: The target has a different run, or logged model, of the same id. The others were copied.
            IntegrityError: A file of a logged model differs from what was sealed.
            RunNotFoundError: A run does not exist. Nothing was copied.
            UnavailableError: The target cannot be reached.

        Example:
            >>> report = client.copy_runs([run_id], to="file:./team")
            >>> report.runs[0].outcome.value, report.runs[0].points, report.runs[0].models
            ('copied', 4, 1)
            >>> client.copy_runs([run_id], to="file:./team").outcomes
            {'unchanged': 1}
        """
        report = copy_runs(self, run_ids, to, experiment=experiment, dry_run=dry_run)
        report.raise_errors()
        return report

    def move_runs(self, run_ids: Sequence[str], experiment: str) -> None:
        """Move runs to another experiment of this registry.

        Ids and everything that was logged stay. Files are copied to the experiment's own place; ``registry gc`` removes
        the old ones. Logged models are sealed and stay where they are, as outputs of their run. Runs are moved one by
        one, so an interrupted move is finished by repeating it. On PostgreSQL it takes the owner of the tables.

        Args:
            run_ids: Runs that have ended.
            experiment: Name of the experiment; created if it is missing.

        Raises:
            InvalidStateError: A run has not ended or is deleted, or the experiment is deleted.
            RunNotFoundError: A run does not exist. Nothing was moved.

        Example:
            >>> client.move_runs([run_id], "season 2026")
            >>> run = client.get_run(run_id)
            >>> client.get_experiment(run.info.experiment_id).name, run.data.params["max_depth"]
            ('season 2026', '4')
            >>> [file.path for file in client.list_artifacts(run_id)]
            ['notes.txt']
        """
        from registry.client.transfer.importing import find_or_create_experiment

        ids = [check_run_id(run_id) for run_id in check_list(run_ids, "run_ids", str)]
        check_text(experiment, "experiment", MAX_EXPERIMENT_NAME)
        backend = self.backend
        _require_runs(backend, ids)
        experiment_id = find_or_create_experiment(backend, experiment)
        for run_id in ids:
            move = backend.run_move.begin(run_id, experiment_id, f"move-{run_id}-{secrets.token_hex(4)}")
            if move is None:
                continue
            if move.is_needed:
                backend.ownership.claim(move.new, experiment_id)
                source = backend.blobs(move.old)
                backend.blobs(move.new).copy_from(source, source.stamps())
            backend.run_move.finish(move, experiment_id)

    def copy_experiment(
        self, name: str, *, to: str | Path, new_name: str | None = None, dry_run: bool = False
    ) -> "CopyReport":
        """Copy all runs of an experiment, and its logged models without a run, to another registry.

        Args:
            name: The experiment's name.
            to: Tracking URI of the other registry.
            new_name: Its name there. Default: the same. An existing experiment gets the runs that it lacks, so two
                registries are merged by copying the experiments of one to the other.
            dry_run: Only report what would be sent.

        Returns:
            What was done with each run, and what both sides have of them now; see `copy_runs`.

        Raises:
            ConflictError: The target has a different run, or logged model, of the same id. The others were copied.
            ExperimentNotFoundError: There is no active experiment of this name.
            InvalidStateError: The target's experiment is deleted.
            UnavailableError: The target cannot be reached.

        Example:
            >>> report = client.copy_experiment("games", to="file:./team")
            >>> report.outcomes, report.target_counts == report.source_counts
            ({'copied': 3}, True)
            >>> registry.MlflowClient("file:./team").get_run(run_id).info.run_name
            'depth-4'
        """
        report = copy_experiment(self, name, to, new_name=new_name, dry_run=dry_run)
        report.raise_errors()
        return report

    def copy_registered_model(
        self,
        name: str,
        *,
        to: str | Path,
        new_name: str | None = None,
        with_stages: bool = False,
        reason: str | None = None,
    ) -> "RegisteredModel":
        """Copy a registered model with its versions, their numbers, runs and files to another registry.

        It is what `export_model` and `import_model` do, without a file between them, and with the runs' own files.
        Copied again, the model gets the versions that were made since; its stages, aliases and rules are left alone
        then.

        Args:
            name: Registered model.
            to: Tracking URI of the other registry.
            new_name: Its name there. Default: the same.
            with_stages: Also copy stages and aliases. Otherwise all versions are in stage None.
            reason: Why, for the history.

        Returns:
            The model in the other registry.

        Raises:
            AlreadyExistsError: The name is taken there by another model.
            ConflictError: A version would get another number there, or a run or logged model of the same id differs.
            IntegrityError: The history, a table or a stored file differs from what was recorded.
            ModelNotFoundError: There is no such model.
            UnavailableError: The target cannot be reached.

        Example:
            >>> copy = client.copy_registered_model("churn", to="file:./production", with_stages=True)
            >>> copy.name, copy.aliases
            ('churn', {'champion': 2})
            >>> production = registry.MlflowClient("file:./production")
            >>> production.get_model_version("churn", 2).digest == client.get_model_version("churn", 2).digest
            True
        """
        from registry.client.transfer.run_copying import open_target
        from registry.entities.history_replay import replay
        from registry.store.transfer.model_import import ImportedModel

        target = open_target(to)
        there = check_model_name(new_name or name)
        model = self.backend.model_export.model(check_model_name(name), None).model
        origin = (model.own.registry_id, model.own.model_uid)
        is_new = _check_name(target, there, origin)
        _copy_contents(self, target, str(to), model)
        if is_new:
            state = replay(model.own.events)
            imported = ImportedModel(there, model.segments, state, model.versions, {}, [], with_stages)
            target.model_import.insert(imported, reason=reason)
        else:
            for version in model.versions:
                _add_version(self.backend, target, name, there, version.version, origin, reason)
        return target.models.get(there)


def copy_runs(
    client: ClientBase,
    run_ids: Sequence[str],
    to: str | Path,
    *,
    experiment: str | None = None,
    dry_run: bool = False,
    on_run: "Watcher | None" = None,
) -> "CopyReport":
    """Copy runs; what fails is in the report. See `RunCopyingMethods.copy_runs`."""
    from registry.client.transfer.run_copying import open_target

    ids = [check_run_id(run_id) for run_id in check_list(run_ids, "run_ids", str)]
    if experiment is not None:
        check_text(experiment, "experiment", MAX_EXPERIMENT_NAME)
    _require_runs(client.backend, ids)
    target = open_target(to, read_only=bool(dry_run))
    copier = _copier(client, target, str(to), experiment=experiment, dry_run=dry_run, on_run=on_run)
    return copier.copy(list(dict.fromkeys(ids)))


def copy_experiment(
    client: ClientBase,
    name: str,
    to: str | Path,
    *,
    new_name: str | None = None,
    dry_run: bool = False,
    on_run: "Watcher | None" = None,
) -> "CopyReport":
    """Copy an experiment; what fails is in the report. See `RunCopyingMethods.copy_experiment`."""
    from registry.client.transfer.run_copying import open_target

    check_text(name, "name", MAX_EXPERIMENT_NAME)
    if new_name is not None:
        check_text(new_name, "new_name", MAX_EXPERIMENT_NAME)
    experiment = client.backend.experiments.find_by_name(name)
    if experiment is None or experiment.lifecycle_stage != LifecycleStage.ACTIVE:
        raise ExperimentNotFoundError(f"There is no active experiment {name!r} to copy.")
    export = client.backend.run_export
    target = open_target(to, read_only=bool(dry_run))
    copier = _copier(client, target, str(to), experiment=new_name, dry_run=dry_run, on_run=on_run)
    return copier.copy(export.run_ids(name), export.lone_models(name))


def _require_runs(backend: "Backend", run_ids: Sequence[str]) -> None:
    found = backend.run_export.runs(run_ids)
    for run_id in run_ids:
        if run_id not in found:
            raise RunNotFoundError(f"Run with id={run_id} not found")


def _copier(
    client: ClientBase,
    target: "Backend",
    to: str,
    *,
    experiment: str | None = None,
    dry_run: bool = False,
    on_run: "Watcher | None" = None,
) -> "RunCopier":
    from registry.client.transfer.run_copying import RunCopier

    return RunCopier(
        client.backend,
        target,
        source_uri=client.tracking_uri,
        target_uri=to,
        experiment=experiment,
        dry_run=dry_run,
        on_run=on_run,
    )


def _check_name(target: "Backend", name: str, origin: tuple[str, str]) -> bool:
    """Tell whether a name is free in the target.

    Raises:
        AlreadyExistsError: Another model has it than the one that is copied.
    """
    try:
        segments = target.model_import.imported_histories(name)
    except ModelNotFoundError:
        target.model_import.check_free(name)
        return True
    if not segments or (segments[-1].registry_id, segments[-1].model_uid) != origin:
        raise AlreadyExistsError(
            f"Registered Model (name={name}) already exists there and is no copy of this one. Copy it under another "
            "name (new_name='…', --as)."
        )
    return False


def _copy_contents(client: ClientBase, target: "Backend", to: str, model: "PortableModel") -> None:
    """Copy the runs and logged models of all versions; of a run that is deleted here, only what a version needs."""
    from registry.client.transfer.copying import copy_run_record

    found = client.backend.run_export.runs([run.run_id for run in model.runs])
    active = [run_id for run_id, run in found.items() if run.lifecycle_stage == LifecycleStage.ACTIVE]
    with_runs = {model_id for run_id in active for model_id in client.backend.run_export.models_of_run(run_id)}
    lone = [logged.model_id for logged in model.logged_models if logged.model_id not in with_runs]
    for run_id in found.keys() - set(active):
        copy_run_record(client.backend, target, run_id, model.own.registry_id)
    report = _copier(client, target, to).copy(active, lone)
    report.raise_errors()
    missing = [
        logged.model_id for logged in model.logged_models if target.run_export.logged_model(logged.model_id) is None
    ]
    if missing:
        raise InvalidStateError(
            f"The logged model {missing[0]} of a version was removed in the target, so the version cannot be copied."
        )


def _add_version(
    backend: "Backend",
    target: "Backend",
    name: str,
    there: str,
    number: int,
    origin: tuple[str, str],
    reason: str | None,
) -> None:
    from registry.store.registry import NewVersion

    version = backend.versions.get(name, number)
    new = NewVersion(
        source=f"models:/{name}/{number}",
        model_id=version.model_id or "",
        run_id=version.run_id,
        run_link=version.run_link,
        description=version.description,
        tags=version.tags,
        origin=f"{origin[0]}/{origin[1]}/{number}",
        number=number,
    )
    target.versions.create(there, new, reason=reason)

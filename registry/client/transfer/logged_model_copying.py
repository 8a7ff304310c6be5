"""Copies logged models to another registry under their ids.

Guarantees: those of `run_copying`; a logged model appears with all of its files, whose digests are those of the
original, or not at all.
"""

import contextlib
import secrets
from collections.abc import Callable, Iterator

from registry.client.backend import Backend
from registry.client.models.loading import compare_manifests
from registry.client.models.model_upload import discard_if_expired, store_copy
from registry.entities import LoggedModelStatus
from registry.exceptions import IntegrityError
from registry.store.logged_models.logged_models import NewModel
from registry.store.transfer.run_export import ExportedLoggedModel
from registry.store.transfer.run_merge import Origin, Presence


class LoggedModelCopier:
    """Copies logged models from one registry to another.

    `experiment_id` returns the target's experiment for the name and id of one of the source; `places` returns where
    files are now; `known` holds what needs no comparison, and is added to.
    """

    def __init__(
        self,
        source: Backend,
        target: Backend,
        origin: Origin,
        *,
        experiment_id: Callable[[str, str], str],
        places: Callable[[str], str],
        known: dict[str, ExportedLoggedModel],
        dry_run: bool,
    ) -> None:
        self._source = source
        self._target = target
        self._origin = origin
        self._experiment_id = experiment_id
        self._places = places
        self._known = known
        self._dry_run = dry_run

    def copy(self, model_id: str, run_id: str | None, step: int, notes: list[str]) -> int:
        """Copy a logged model under its id; return 1 if it was not there."""
        exported = self._source.run_export.logged_model(model_id)
        if exported is None:
            return 0
        if self._known.get(model_id) == exported:
            return 0
        if exported.status == LoggedModelStatus.PENDING:
            notes.append(f"the logged model {model_id} is not finished yet")
            return 0
        if self._dry_run:
            is_known = self._target.run_export.logged_model(model_id) or self._target.run_export.tombstones([model_id])
            return 0 if is_known else 1
        presence, sent = self._target.run_merge.merge_model(exported, self._origin), 0
        if presence is None:
            sent = self._add_model(exported, run_id, step)
            presence = self._target.run_merge.merge_model(exported, self._origin)
        if presence != Presence.PRESENT:
            notes.append(f"the logged model {model_id} stays away: it was deleted there")
        else:
            self._known[model_id] = exported
        return sent

    def _add_model(self, exported: ExportedLoggedModel, run_id: str | None, step: int) -> int:
        model, target = exported.model, self._target
        new = NewModel(
            model_id=model.model_id,
            experiment_id=self._experiment_of_model(exported, run_id),
            name=model.name,
            run_id=run_id,
            model_type=model.model_type,
            params=model.params,
            tags=model.tags,
            step=step,
            inherits_params=False,  # it has those that its original got from the run, not those that the run has now
            creation_time=exported.creation_time,
            upload_id=f"{model.model_id}-{secrets.token_hex(4)}",
        )
        if exported.digest is None:
            return int(target.run_merge.add_model(exported, new, None))
        location = self._places(exported.location)
        if model.manifest.digest != exported.digest:
            raise IntegrityError(
                f"The manifest of {model.model_id} hashes to {model.manifest.digest}, but its digest is "
                f"{exported.digest}: a line of its list of files was edited. It was not copied."
            )
        with self._removed_unless_added(new) as added:
            copy = store_copy(target, location, "", new)
            compare_manifests(copy.seal.manifest, model.manifest, location)
            with discard_if_expired(target, copy.location):
                added.append(target.run_merge.add_model(exported, new, copy.seal))
        return int(added[0])

    def _experiment_of_model(self, exported: ExportedLoggedModel, run_id: str | None) -> str:
        if run_id is not None:
            return self._target.run_export.runs([run_id])[run_id].experiment_id
        source_id = self._source.experiments.find_by_name(exported.model.experiment)
        return self._experiment_id(exported.model.experiment, source_id.experiment_id if source_id else "0")

    @contextlib.contextmanager
    def _removed_unless_added(self, new: NewModel) -> Iterator[list[bool]]:
        """Remove the files of an upload that becomes no model: another copy was faster, or an error came up."""
        added: list[bool] = []
        try:
            yield added
        finally:
            if not any(added):
                root = self._target.experiments.get(new.experiment_id).artifact_location
                self._target.blobs(f"{root.rstrip('/')}/models").purge(new.upload_name)
                self._target.run_merge.abandon_upload(new.upload_name)

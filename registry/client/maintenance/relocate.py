"""Client methods that record that bytes were moved, or who owns them. They move none themselves."""

from dataclasses import dataclass

from registry.client.base import ClientBase
from registry.client.tracking.experiments import normalize_location
from registry.exceptions import ArtifactNotFoundError, InvalidParameterError, RegistryError


@dataclass(frozen=True, slots=True)
class RelocationPlan:
    """What `relocate` would change; `missing` is a file that is not at the new location, None if nothing is missing.

    `adopted` are the runs and logged models whose files were adopted there.
    """

    experiments: int
    missing: str | None
    adopted: int = 0


class RelocationMethods(ClientBase):
    """Client methods to call after a bucket or directory was moved, or a database was copied."""

    def relocate(self, old: str, new: str) -> int:
        """Change where experiments look for their files, after the files were moved.

        All experiments at `old` or below change in one transaction, and so do the places of files that an import
        adopted (``import_mlflow(…, files="adopt")``). `old` matches whole path segments: ``s3://b/ml``
        does not match ``s3://b/mlruns``.

        Args:
            old: Former local path or ``s3://bucket/prefix``.
            new: Present local path or ``s3://bucket/prefix``.

        Returns:
            The number of experiments that changed; 0 if only adopted files are there.

        Raises:
            ExperimentNotFoundError: No experiment keeps its files at `old`, and none were adopted there; the message
                lists the locations in use.
            InvalidUriError: A location is neither a path nor an S3 URI.

        Example:
            >>> client.relocate(client.get_experiment("1").artifact_location, "s3://models/games")
            1
            >>> client.get_experiment("1").artifact_location
            's3://models/games'
        """
        return self.backend.experiments.relocate(_place(old), _place(new) or "/")

    def plan_relocation(self, old: str, new: str) -> RelocationPlan:
        """Return what `relocate` would change, and whether the files are at the new location; change nothing.

        Looks for one file of a sealed model, or else for any file at all.

        Args:
            old: Former local path or ``s3://bucket/prefix``.
            new: Present local path or ``s3://bucket/prefix``.

        Returns:
            The number of experiments, of runs and logged models with adopted files, and a file that is missing at
            `new`, or None.

        Raises:
            ExperimentNotFoundError: No experiment keeps its files at `old`, and none were adopted there; the message
                lists the locations in use.
            InvalidUriError: A location is neither a path nor an S3 URI.

        Example:
            >>> location = client.get_experiment("1").artifact_location
            >>> plan = client.plan_relocation(location, "s3://models/games")
            >>> plan.experiments
            1
        """
        old, new = _place(old), _place(new) or "/"
        count, found = self.backend.experiments.below(old)
        adopted = found.runs + found.models
        for path in (self.backend.ownership.find_sealed_file(old), found.file and found.file.removeprefix(f"{old}/")):
            if path is not None and self.backend.blobs(new).find(path) is None:
                return RelocationPlan(count, f"{new}/{path}", adopted)
        is_missing = found.file is None and self._has_files(old) and not self._has_files(new)
        return RelocationPlan(count, f"every file of {old}" if is_missing else None, adopted)

    def _has_files(self, root: str) -> bool:
        """Tell whether there is anything at a location; no, if it cannot be listed."""
        try:
            return bool(self.backend.blobs(root).list())
        except RegistryError:
            return False

    def adopt(self, *, take_over: bool = False, new_root: str | None = None, old_root: str | None = None) -> list[str]:
        """Let this database, a copy or a restored backup, own files again, so that it may remove and replace them.

        Args:
            take_over: Own the files where they are. The database that owned them may not remove any from then on.
            new_root: Own a copy of the files that you have put there: a local path or ``s3://bucket/prefix``. The
                original database keeps its own.
            old_root: The root that `new_root` is a copy of; needed if experiments keep files below more than one root.

        Returns:
            The roots that this database owns now.

        Raises:
            ArtifactNotFoundError: The files are not at `new_root`.
            InvalidParameterError: Both `take_over` and `new_root` are given, or neither, or `old_root` is needed.

        Example:
            >>> [root] = client.adopt(take_over=True)
            >>> root.rpartition("/")[2]
            'mlruns'
        """
        ownership = self.backend.ownership
        roots = ownership.roots()
        if take_over == (new_root is not None):
            raise InvalidParameterError("adopt takes either take_over=True, or new_root and the place of the files.")
        if new_root is None:
            if old_root is not None:
                raise InvalidParameterError(
                    "old_root belongs to new_root; take_over=True means the files where they are."
                )
            for root in roots:
                ownership.take_over(root)
            return roots
        old, new = _old_root(old_root, roots), _place(new_root) or "/"
        if not ownership.has_copy(old, new):
            raise ArtifactNotFoundError(
                f"The files of {old} are not at {new}. Copy them first, for example with 'aws s3 sync' or 'cp -r'."
            )
        if new != old:
            self.backend.experiments.relocate(old, new)
        ownership.take_over(new)
        return [new]


def _old_root(old_root: str | None, roots: list[str]) -> str:
    if old_root is not None:
        return _place(old_root) or "/"
    if len(roots) != 1:
        raise InvalidParameterError(
            f"Experiments keep their files below {len(roots)} roots; say with old_root which of them new_root is a "
            f"copy of: {', '.join(roots)}."
        )
    return roots[0]


def _place(location: str) -> str:
    return normalize_location(location).rstrip("/")

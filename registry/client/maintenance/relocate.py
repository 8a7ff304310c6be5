"""Telling the registry that bytes were moved, and whose they are. Moves none itself."""

from registry.client.base import ClientBase
from registry.client.tracking.experiments import normalize_location
from registry.exceptions import ArtifactNotFoundError, InvalidParameterError


class RelocationMethods(ClientBase):
    """What a client says after a bucket or directory was moved, or a database was copied."""

    def relocate(self, old: str, new: str) -> int:
        """Look for the files of experiments at `old`, and below it, at `new` from now on; how many experiments.

        Both are local paths or ``s3://bucket/prefix``. `old` stands for whole segments: ``s3://b/ml`` is not above
        ``s3://b/mlruns``. All change in one transaction, or none.

        Raises:
            ExperimentNotFoundError: no experiment keeps its files at `old`; the message says where they are.
            InvalidUriError: either is not a place for bytes.
        """
        return self.backend.experiments.relocate(_place(old), _place(new) or "/")

    def adopt(self, *, take_over: bool = False, new_root: str | None = None, old_root: str | None = None) -> list[str]:
        """Let this database, a copy or a restored backup, own bytes again, so that it may remove and replace them.

        Args:
            take_over: Own the bytes where they are. The database that had them may not remove any from then on.
            new_root: Own a copy of the bytes, which you have put there before: a local path or ``s3://bucket/prefix``.
                The database that this one is a copy of keeps its own.
            old_root: Whose copy `new_root` is; needed if experiments keep their files below more than one root.

        Returns:
            The roots that are this database's from now on.

        Raises:
            InvalidParameterError: not exactly one of `take_over` and `new_root` was given, or `old_root` is needed.
            ArtifactNotFoundError: the files are not at `new_root`.

        Example:
            >>> registry.MlflowClient("sqlite:///restored.db").adopt(take_over=True)
            ['s3://models/prod']
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

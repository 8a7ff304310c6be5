"""Telling the registry that bytes were moved. Moves none itself."""

from registry.client.base import ClientBase
from registry.client.tracking.experiments import normalize_location


class RelocationMethods(ClientBase):
    """What a client says after a bucket or directory was moved."""

    def relocate(self, old: str, new: str) -> int:
        """Look for the files of experiments at `old`, and below it, at `new` from now on; how many experiments.

        Both are local paths or ``s3://bucket/prefix``. `old` stands for whole segments: ``s3://b/ml`` is not above
        ``s3://b/mlruns``. All change in one transaction, or none.

        Raises:
            ExperimentNotFoundError: no experiment keeps its files at `old`; the message says where they are.
            InvalidUriError: either is not a place for bytes.
        """
        return self.backend.experiments.relocate(
            normalize_location(old).rstrip("/"), normalize_location(new).rstrip("/") or "/"
        )

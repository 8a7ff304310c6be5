"""Telling the registry that bytes were moved. Moves none itself."""

from registry.client.base import ClientBase
from registry.client.tracking.experiments import checked_location


class RelocationMethods(ClientBase):
    """What a client says after a bucket or directory was moved."""

    def relocate(self, old: str, new: str) -> int:
        """Change where experiments look for their files, after the files were moved.

        All experiments at `old` or below change in one transaction. `old` matches whole path segments: ``s3://b/ml``
        does not match ``s3://b/mlruns``.

        Args:
            old: Former local path or ``s3://bucket/prefix``.
            new: Present local path or ``s3://bucket/prefix``.

        Returns:
            The number of experiments that changed.

        Raises:
            ExperimentNotFoundError: No experiment keeps its files at `old`; the message lists the locations in use.
            InvalidUriError: A location is neither a path nor an S3 URI.

        Example:
            >>> client.relocate(client.get_experiment("1").artifact_location, "s3://models/games")
            1
            >>> client.get_experiment("1").artifact_location
            's3://models/games'
        """
        return self.backend.experiments.relocate(
            checked_location(old).rstrip("/"), checked_location(new).rstrip("/") or "/"
        )

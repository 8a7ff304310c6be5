"""The result of resolving a model URI."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """The sealed directory that a ``models:`` or ``runs:`` URI refers to, and its model version, if any.

    Attributes:
        name: The name of the registered model, or None if the URI refers to a logged model.
        version: The version number, or None if the URI refers to a logged model.
        model_id: The id of the logged model.
        location: The absolute path or URI of the directory.
        digest: The SHA-256 (hex) of the directory's manifest.
        is_adopted: Whether the files were adopted where another program keeps them, and are not this registry's.

    Example:
        >>> resolved = client.resolve("models:/churn/Production")
        >>> resolved.name, resolved.version
        ('churn', 2)
    """

    name: str | None
    version: int | None
    model_id: str
    location: str
    digest: str
    is_adopted: bool = False

"""What a model URI stands for, as a frozen value."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """What a ``models:`` or ``runs:`` URI stands for: one sealed directory, and whose version it is, if any.

    ``location`` is the URI or absolute path of the directory, ``digest`` that of its manifest.
    """

    name: str | None
    version: int | None
    model_id: str
    location: str
    digest: str

"""What all data sets share: a name, a digest, a source, and the form in which a run records them."""

import json
import logging
from functools import cached_property
from typing import Any, Final

from registry.datasets.sources import DatasetSource
from registry.entities.dataset import Dataset
from registry.exceptions import InvalidParameterError
from registry.validation.names import check_text

MAX_NAME: Final = 500
MAX_DIGEST: Final = 36
_logger = logging.getLogger(__name__)


class RecordedDataset:
    """A data set with its identity. The data are kept, not copied; a subclass describes them."""

    def __init__(self, source: DatasetSource, name: str | None, digest: str | None) -> None:
        self._source = source
        self._name = "dataset" if name is None else check_text(name, "name of the data set", MAX_NAME)
        self._digest = self._compute_digest() if digest is None else check_text(digest, "digest", MAX_DIGEST)

    def _compute_digest(self) -> str:
        raise NotImplementedError

    def _infer_schema(self) -> Any:
        raise NotImplementedError

    def _schema_document(self) -> dict[str, Any]:
        return {"mlflow_colspec": self.schema.to_dict()}

    @property
    def profile(self) -> dict[str, Any]:
        """Return figures about the size of the data."""
        raise NotImplementedError

    @property
    def source(self) -> DatasetSource:
        """Return the source of the data."""
        return self._source

    @property
    def name(self) -> str:
        """Return the name; ``dataset`` if none was given."""
        return self._name

    @property
    def digest(self) -> str:
        """Return the digest that was given or computed."""
        return self._digest

    @cached_property
    def schema(self) -> Any:
        """Return the schema, or None if it cannot be inferred."""
        try:
            return self._infer_schema()
        except (InvalidParameterError, TypeError, ValueError) as error:
            _logger.debug("No schema for data set %r: %s", self.name, error)
            return None

    def to_entity(self) -> Dataset:
        """Return the stored form of the data set: everything but the data."""
        return Dataset(
            name=self.name,
            digest=self.digest,
            source_type=self.source.source_type,
            source=self.source.to_json(),
            # Column names may be numbers, dates or tuples.
            schema=json.dumps(self._schema_document(), default=str) if self.schema else None,
            profile=json.dumps(self.profile),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of the stored data set by name; schema, source and profile are JSON texts."""
        return self.to_entity().to_dictionary()

    def to_json(self) -> str:
        """Return `to_dict` as JSON text."""
        return json.dumps(self.to_dict())

    # MLflow's name, which its scripts and plugins call.
    _to_mlflow_entity = to_entity

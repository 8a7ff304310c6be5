"""The fields of each searchable entity, and the lookup from a written field to one of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from registry.filters.grammar import unquote
from registry.filters.nodes import Field, Kind, Op
from registry.filters.syntax_errors import FilterSyntaxError

if TYPE_CHECKING:
    from lark import Token


class Subject(StrEnum):
    """A kind of entity that can be searched."""

    RUNS = "runs"
    EXPERIMENTS = "experiments"
    REGISTERED_MODELS = "registered models"
    MODEL_VERSIONS = "model versions"
    LOGGED_MODELS = "logged models"


class ValueType(StrEnum):
    """The type of a field's values."""

    TEXT = "text"
    NUMBER = "number"
    INTEGER = "integer"
    TIME = "time"
    STAGE = "stage"


_NULLS: Final = frozenset({Op.IS_NULL, Op.IS_NOT_NULL})
_LISTS: Final = frozenset({Op.IN, Op.NOT_IN})
_ORDER: Final = frozenset({Op.EQ, Op.NE, Op.LT, Op.LE, Op.GT, Op.GE})
_TEXT: Final = frozenset({Op.EQ, Op.NE, Op.LIKE, Op.ILIKE}) | _LISTS | _NULLS

OPERATORS: Final[Mapping[ValueType, frozenset[Op]]] = {
    ValueType.TEXT: _TEXT,
    ValueType.STAGE: _TEXT,
    ValueType.NUMBER: _ORDER | _NULLS,
    ValueType.INTEGER: _ORDER | _LISTS | _NULLS,
    ValueType.TIME: _ORDER | _NULLS,
}

PREFIXES: Final[Mapping[str, Kind]] = {
    "metric": Kind.METRIC,
    "metrics": Kind.METRIC,
    "param": Kind.PARAM,
    "params": Kind.PARAM,
    "parameter": Kind.PARAM,
    "parameters": Kind.PARAM,
    "tag": Kind.TAG,
    "tags": Kind.TAG,
    "dataset": Kind.DATASET,
    "datasets": Kind.DATASET,
    "attr": Kind.ATTRIBUTE,
    "attribute": Kind.ATTRIBUTE,
    "attributes": Kind.ATTRIBUTE,
    "run": Kind.ATTRIBUTE,
}

DATASET_FIELDS: Final = ("name", "digest", "context")


@dataclass(frozen=True, slots=True)
class Attribute:
    """The type of an attribute; `plural` if one subject can have many values of it."""

    type: ValueType = ValueType.TEXT
    plural: bool = False


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The fields of one subject: kinds of keyed fields, attributes, and synonyms (in lower case) of attributes."""

    kinds: frozenset[Kind]
    attributes: Mapping[str, Attribute]
    synonyms: Mapping[str, str] = field(default_factory=dict)

    def attribute(self, name: str) -> str | None:
        """Return the canonical key of an attribute, given in any case or as a synonym; None if unknown."""
        lowered = name.lower()
        key = self.synonyms.get(lowered, lowered)
        return key if key in self.attributes else None


def vocabulary(subject: Subject) -> Vocabulary:
    """Return the fields of a subject."""
    return _VOCABULARIES[subject]


_PLAIN: Final = Attribute()
_TIME: Final = Attribute(ValueType.TIME)
_ALIAS_SYNONYMS: Final = {"aliases": "alias"}

_VOCABULARIES: Final[Mapping[Subject, Vocabulary]] = {
    Subject.RUNS: Vocabulary(
        kinds=frozenset({Kind.METRIC, Kind.PARAM, Kind.TAG, Kind.DATASET}),
        attributes={
            "run_id": _PLAIN,
            "run_name": _PLAIN,
            "experiment_id": _PLAIN,
            "user_id": _PLAIN,
            "status": _PLAIN,
            "lifecycle_stage": _PLAIN,
            "artifact_uri": _PLAIN,
            "start_time": _TIME,
            "end_time": _TIME,
        },
        synonyms={"created": "start_time", "run name": "run_name", "run_uuid": "run_id"},
    ),
    Subject.EXPERIMENTS: Vocabulary(
        kinds=frozenset({Kind.TAG}),
        attributes={
            "name": _PLAIN,
            "experiment_id": _PLAIN,
            "lifecycle_stage": _PLAIN,
            "artifact_location": _PLAIN,
            "creation_time": _TIME,
            "last_update_time": _TIME,
        },
    ),
    Subject.REGISTERED_MODELS: Vocabulary(
        kinds=frozenset({Kind.TAG}),
        attributes={
            "name": _PLAIN,
            "description": _PLAIN,
            "alias": Attribute(plural=True),
            "creation_timestamp": _TIME,
            "last_updated_timestamp": _TIME,
        },
        synonyms={**_ALIAS_SYNONYMS, "timestamp": "last_updated_timestamp"},
    ),
    Subject.MODEL_VERSIONS: Vocabulary(
        # Metrics and params are those of the version's run.
        kinds=frozenset({Kind.METRIC, Kind.PARAM, Kind.TAG}),
        attributes={
            "name": _PLAIN,
            "version": Attribute(ValueType.INTEGER),
            "current_stage": Attribute(ValueType.STAGE),
            "ever_stage": Attribute(ValueType.STAGE, plural=True),
            "alias": Attribute(plural=True),
            "status": _PLAIN,
            "description": _PLAIN,
            "user_id": _PLAIN,
            "run_id": _PLAIN,
            "run_link": _PLAIN,
            "source": _PLAIN,
            "model_id": _PLAIN,
            "digest": _PLAIN,
            "creation_timestamp": _TIME,
            "last_updated_timestamp": _TIME,
        },
        synonyms={
            **_ALIAS_SYNONYMS,
            "version_number": "version",
            "stage": "current_stage",
            "source_path": "source",
        },
    ),
    Subject.LOGGED_MODELS: Vocabulary(
        kinds=frozenset({Kind.METRIC, Kind.PARAM, Kind.TAG}),
        attributes={
            "name": _PLAIN,
            "model_id": _PLAIN,
            "model_type": _PLAIN,
            "status": _PLAIN,
            "experiment_id": _PLAIN,
            "source_run_id": _PLAIN,
            "digest": _PLAIN,
            "creation_timestamp": _TIME,
            "last_updated_timestamp": _TIME,
        },
        synonyms={"creation_time": "creation_timestamp", "last_updated_time": "last_updated_timestamp"},
    ),
}


def resolve_field(token: "Token", subject: Subject) -> Field:
    """Return the field that a token names; raise FilterSyntaxError if the subject has no such field."""
    position = token.start_pos or 0
    if token.type != "FIELD":
        return _attribute(unquote(token), subject, position)
    prefix, _, key = token.partition(".")
    kind = PREFIXES.get(prefix.strip("`").lower())
    if kind is None or (kind is not Kind.ATTRIBUTE and kind not in vocabulary(subject).kinds):
        raise FilterSyntaxError(
            f"{subject} have no {prefix.strip('`')[:40]!r} fields; {_list_fields(subject)}", position
        )
    key = unquote(key)
    if kind is Kind.ATTRIBUTE:
        return _attribute(key, subject, position)
    if key == "":
        raise FilterSyntaxError(f"the key after '{prefix}.' is empty", position)
    if kind is Kind.DATASET and key not in DATASET_FIELDS:
        raise FilterSyntaxError(f"data sets have no {key[:40]!r}; they have {', '.join(DATASET_FIELDS)}", position)
    return Field(kind, key)


def field_attribute(field: Field, subject: Subject) -> Attribute:
    """Return the type of a subject's field, and whether the field has many values."""
    if field.kind is Kind.ATTRIBUTE:
        return vocabulary(subject).attributes[field.key]
    return Attribute(ValueType.NUMBER if field.kind is Kind.METRIC else ValueType.TEXT, field.kind is Kind.DATASET)


def _attribute(name: str, subject: Subject, position: int) -> Field:
    key = vocabulary(subject).attribute(name)
    if key is None:
        raise FilterSyntaxError(f"{subject} have no attribute {name[:40]!r}; {_list_fields(subject)}", position)
    return Field(Kind.ATTRIBUTE, key)


def _list_fields(subject: Subject) -> str:
    fields = vocabulary(subject)
    keyed = [f"{kind}s.<key>" for kind in Kind if kind in fields.kinds]
    return f"there are {', '.join([*fields.attributes, *keyed])}"

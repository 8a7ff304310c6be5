"""From a written field to the field that is meant, or a fault that lists the ones there are."""

from typing import TYPE_CHECKING

from registry.filters.faults import FaultError
from registry.filters.grammar import unquote
from registry.filters.nodes import Field, Kind
from registry.filters.subjects import DATASET_FIELDS, PREFIXES, Attribute, Subject, ValueType, vocabulary

if TYPE_CHECKING:
    from lark import Token


def resolve_field(token: "Token", subject: Subject) -> Field:
    """The field of a subject that a token names.

    Raises:
        FaultError: the subject has no such field.
    """
    position = token.start_pos or 0
    if token.type != "FIELD":
        return _attribute(unquote(token), subject, position)
    prefix, _, key = token.partition(".")
    kind = PREFIXES.get(prefix.strip("`").lower())
    if kind is None or (kind is not Kind.ATTRIBUTE and kind not in vocabulary(subject).kinds):
        raise FaultError(f"{subject} have no {prefix.strip('`')[:40]!r} fields; {_known(subject)}", position)
    key = unquote(key)
    if kind is Kind.ATTRIBUTE:
        return _attribute(key, subject, position)
    if key == "":
        raise FaultError(f"the key after '{prefix}.' is empty", position)
    if kind is Kind.DATASET and key not in DATASET_FIELDS:
        raise FaultError(f"data sets have no {key[:40]!r}; they have {', '.join(DATASET_FIELDS)}", position)
    return Field(kind, key)


def attribute_of(field: Field, subject: Subject) -> Attribute:
    """The type of any field of a subject, and whether it has many values."""
    if field.kind is Kind.ATTRIBUTE:
        return vocabulary(subject).attributes[field.key]
    return Attribute(ValueType.NUMBER if field.kind is Kind.METRIC else ValueType.TEXT, field.kind is Kind.DATASET)


def _attribute(name: str, subject: Subject, position: int) -> Field:
    key = vocabulary(subject).attribute(name)
    if key is None:
        raise FaultError(f"{subject} have no attribute {name[:40]!r}; {_known(subject)}", position)
    return Field(Kind.ATTRIBUTE, key)


def _known(subject: Subject) -> str:
    words = vocabulary(subject)
    keyed = [f"{kind}s.<key>" for kind in Kind if kind in words.kinds]
    return f"there are {', '.join([*words.attributes, *keyed])}"

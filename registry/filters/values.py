"""The values and operators of a comparison, converted to the type of its field."""

import math
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from registry.entities.stages import parse_stage
from registry.entities.times import parse_time_or_date
from registry.exceptions import InvalidParameterError
from registry.filters.fields import OPERATORS, ValueType
from registry.filters.grammar import unquote
from registry.filters.nodes import Field, Op, Scalar
from registry.filters.syntax_errors import FilterSyntaxError

if TYPE_CHECKING:
    from lark import Token

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_INTEGER_LIMIT: Final = 2**63
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}")


def parse_operator(field: Field, type_: ValueType, written: str, position: int) -> Op:
    """Return the operator; raise FilterSyntaxError if it is unknown or the type does not allow it."""
    allowed = OPERATORS[type_]
    try:
        op = Op(written.upper())
    except ValueError:
        op = None
    if op in allowed:
        return op
    hint = {"==": "; for equality write =", "<>": "; for inequality write !="}.get(written, "")
    listed = ", ".join(known for known in Op if known in allowed)
    raise FilterSyntaxError(
        f"invalid comparator {written[:10]!r} for {field}, which is {_describe_type(type_)}{hint}; allowed: {listed}",
        position,
    )


def parse_value(field: Field, type_: ValueType, op: Op, token: "Token") -> Scalar:
    """Convert a token to the field's type; raise FilterSyntaxError if it has another type or is out of range."""
    position = token.start_pos or 0
    quoted = token.type != "NUMBER"
    try:
        if type_ is ValueType.TEXT or op in (Op.LIKE, Op.ILIKE):
            return _text(token, quoted=quoted)
        if type_ is ValueType.STAGE:
            return parse_stage(_text(token, quoted=quoted))
        if type_ is ValueType.TIME and quoted:
            return _milliseconds(parse_time_or_date(unquote(token)))
        if type_ is ValueType.INTEGER:
            return _integer(unquote(token))
        return _number(token, whole=type_ is ValueType.TIME)
    except (ValueError, InvalidParameterError) as error:
        raise FilterSyntaxError(
            f"{field} is {_describe_type(type_)}, but its value is {_truncated(token)}: {error}".rstrip("."), position
        ) from error


def _text(token: "Token", *, quoted: bool) -> str:
    if not quoted:
        raise ValueError(f"quote it, as in '{token}'")
    return unquote(token)


def _number(token: "Token", *, whole: bool) -> int | float:
    if token.type != "NUMBER":
        raise ValueError("write a number without quotes, such as 0.5 or -1e3")
    if whole and token.lstrip("+-").isdigit():
        return _integer(token)
    number = float(token)
    if not math.isfinite(number):
        raise ValueError("it is too large for a double")
    return number


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text) or not -_INTEGER_LIMIT <= int(text) < _INTEGER_LIMIT:
        raise ValueError("write a whole number of at most 64 bits")
    return int(text)


def _milliseconds(moment: datetime) -> int | float:
    whole, rest = divmod(moment - _EPOCH, _MILLISECOND)
    return whole + rest / _MILLISECOND if rest else whole


def _describe_type(type_: ValueType) -> str:
    return {
        ValueType.TEXT: "a text",
        ValueType.NUMBER: "a number",
        ValueType.INTEGER: "a whole number",
        ValueType.TIME: "a time (milliseconds since the epoch, or a quoted date or ISO time)",
        ValueType.STAGE: "a stage",
    }[type_]


def _truncated(token: str) -> str:
    return str(token) if len(token) <= 40 else token[:40] + "…"

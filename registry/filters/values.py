"""From a written value to the typed value that a field is compared with, or a fault that says what is allowed."""

import math
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from registry.entities.stages import parse_stage
from registry.entities.times import parse_time
from registry.exceptions import InvalidParameterError
from registry.filters.fields import OPERATORS, ValueType
from registry.filters.grammar import unquote
from registry.filters.nodes import Field, Op, Scalar
from registry.filters.syntax_errors import FaultError

if TYPE_CHECKING:
    from lark import Token

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_BOUND: Final = 2**63
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,19}")


def check_operator(field: Field, type_: ValueType, written: str, position: int) -> Op:
    """The operator as it may stand between this field and a value.

    Raises:
        FaultError: there is no such operator, or not for this type.
    """
    allowed = OPERATORS[type_]
    try:
        op = Op(written.upper())
    except ValueError:
        op = None
    if op in allowed:
        return op
    hint = {"==": "; for equality write =", "<>": "; for inequality write !="}.get(written, "")
    listed = ", ".join(known for known in Op if known in allowed)
    raise FaultError(
        f"invalid comparator {written[:10]!r} for {field}, which is {_a(type_)}{hint}; allowed: {listed}", position
    )


def typed_value(field: Field, type_: ValueType, op: Op, token: "Token") -> Scalar:
    """The value of a token as the field's type has it.

    Raises:
        FaultError: the token is of another type, or is outside what the type can hold.
    """
    position = token.start_pos or 0
    quoted = token.type != "NUMBER"
    try:
        if type_ is ValueType.TEXT or op in (Op.LIKE, Op.ILIKE):
            return _text(token, quoted=quoted)
        if type_ is ValueType.STAGE:
            return parse_stage(_text(token, quoted=quoted))
        if type_ is ValueType.TIME and quoted:
            return _milliseconds(parse_time(unquote(token)))
        if type_ is ValueType.INTEGER:
            return _integer(unquote(token))
        return _number(token, whole=type_ is ValueType.TIME)
    except (ValueError, InvalidParameterError) as error:
        raise FaultError(
            f"{field} is {_a(type_)}, but its value is {_shown(token)}: {error}".rstrip("."), position
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
    if not _WHOLE.fullmatch(text) or not -_BOUND <= int(text) < _BOUND:
        raise ValueError("write a whole number of at most 64 bits")
    return int(text)


def _milliseconds(moment: datetime) -> int | float:
    whole, rest = divmod(moment - _EPOCH, _MILLISECOND)
    return whole + rest / _MILLISECOND if rest else whole


def _a(type_: ValueType) -> str:
    return {
        ValueType.TEXT: "a text",
        ValueType.NUMBER: "a number",
        ValueType.INTEGER: "a whole number",
        ValueType.TIME: "a time (milliseconds since the epoch, or a quoted ISO time)",
        ValueType.STAGE: "a stage",
    }[type_]


def _shown(token: str) -> str:
    return str(token) if len(token) <= 40 else token[:40] + "…"

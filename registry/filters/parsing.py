"""From the text of a filter to its nodes: syntax, then bounds, then fields and types."""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from registry.exceptions import InvalidFilterError, InvalidTypeError
from registry.filters.fields import Subject, attribute_of, resolve_field
from registry.filters.nodes import And, Comparison, Node, Not, Op, Or, OrderBy
from registry.filters.syntax_errors import FaultError, showing, syntax_tree
from registry.filters.values import check_operator, typed_value

if TYPE_CHECKING:
    from lark import Token, Tree


# SQLite refuses expressions deeper than 1,000 and statements of more than 32,766 bound values.
MAX_LENGTH: Final = 200_000
MAX_DEPTH: Final = 50
MAX_COMPARISONS: Final = 200
MAX_VALUES: Final = 10_000
# The nodes of texts no longer than this are kept: who searches again searches by the same filter.
_REMEMBERED: Final = 1_000

# The operators of two words and of none; those of one word are a token of their own.
_OPERATORS: Final = {"contains": Op.IN, "excludes": Op.NOT_IN, "missing": Op.IS_NULL, "present": Op.IS_NOT_NULL}
_VALUES: Final = ("SINGLE", "DOUBLE", "NUMBER")


def parse_filter(filter_string: str | None, subject: Subject) -> Node | None:
    """The nodes of a filter over a subject; None for None and the empty text, which filter nothing.

    Raises:
        InvalidFilterError: the text is not of the language, names a field that the subject does not have, compares
            it with a value of another type, or is too long or too deep; the message shows the place.
        InvalidTypeError: the filter is not text.
    """
    if filter_string is None:
        return None
    if not isinstance(filter_string, str):
        raise InvalidTypeError(f"A filter must be a string, got {type(filter_string).__name__}: {filter_string!r}.")
    if filter_string == "":
        return None
    if len(filter_string) > MAX_LENGTH:
        raise InvalidFilterError(f"A filter may have {MAX_LENGTH} characters; this one has {len(filter_string)}.")
    return (_parsed if len(filter_string) <= _REMEMBERED else _parsed.__wrapped__)(filter_string, subject)


@functools.lru_cache(maxsize=256)
def _parsed(text: str, subject: Subject) -> Node:
    with showing(text, "filter"):
        return _Builder(subject).node(syntax_tree(text, "filter"), depth=0)


class _Builder:
    """Makes the nodes of one filter and counts what is bounded."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.comparisons = 0
        self.values = 0

    def node(self, tree: "Tree[Token]", depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise FaultError(f"parentheses and NOT may be {MAX_DEPTH} deep", _position(tree))
        match tree.data:
            case "group":
                return self.node(_branches(tree)[0], depth + 1)
            case "not_":
                return Not(self.node(_branches(tree)[0], depth + 1))
            case "and_":
                return And(tuple(self.node(item, depth) for item in _spine(tree)))
            case "or_":
                return Or(tuple(self.node(item, depth) for item in _spine(tree)))
        return self.comparison(tree)

    def comparison(self, tree: "Tree[Token]") -> Comparison:
        field_token, op_token, *rest = _tokens(tree)
        self.count(field_token, len(rest))
        field = resolve_field(field_token, self.subject)
        type_ = attribute_of(field, self.subject).type
        op = check_operator(field, type_, _OPERATORS.get(tree.data, str(op_token)), op_token.start_pos or 0)
        values = tuple(typed_value(field, type_, op, token) for token in rest if token.type in _VALUES)
        if op in (Op.IN, Op.NOT_IN):
            return Comparison(field, op, values)
        return Comparison(field, op, values[0] if values else None)

    def count(self, at: "Token", values: int) -> None:
        self.comparisons += 1
        self.values += values
        if self.comparisons > MAX_COMPARISONS:
            raise FaultError(f"a filter may have {MAX_COMPARISONS} comparisons", at.start_pos or 0)
        if self.values > MAX_VALUES:
            raise FaultError(f"a filter may have {MAX_VALUES} values", at.start_pos or 0)


def _spine(tree: "Tree[Token]") -> "list[Tree[Token]]":
    """The items of ``a AND b AND c``, which the grammar nests to the left."""
    rule, items = tree.data, []
    while tree.data == rule:
        tree, right = _branches(tree)
        items.append(right)
    return [tree, *reversed(items)]


def _branches(tree: "Tree[Token]") -> "list[Tree[Token]]":
    return [child for child in tree.children if not isinstance(child, str)]


def _tokens(tree: "Tree[Token]") -> "list[Token]":
    return [child for child in tree.children if isinstance(child, str)]


def _position(tree: "Tree[Token]") -> int:
    """Where the first token of a piece of the filter begins."""
    while not (tokens := _tokens(tree)):
        tree = _branches(tree)[0]
    return tokens[0].start_pos or 0


MAX_CLAUSE: Final = 1_000
MAX_CLAUSES: Final = 20


def parse_order_by(order_by: Sequence[str] | None, subject: Subject) -> tuple[OrderBy, ...]:
    """The keys of an ordering, most significant first; ascending unless DESC is said.

    Raises:
        InvalidFilterError: a clause does not parse, names a field that the subject does not have or that has many
            values, or names a field twice.
        InvalidTypeError: `order_by` is not a list of texts.
    """
    if order_by is None:
        return ()
    if isinstance(order_by, str) or not isinstance(order_by, Sequence):
        raise InvalidTypeError(f"order_by must be a list of clauses, such as ['metrics.f1 DESC'], got {order_by!r}.")
    if len(order_by) > MAX_CLAUSES:
        raise InvalidFilterError(f"order_by may have {MAX_CLAUSES} clauses; this one has {len(order_by)}.")
    keys = tuple(_clause(_checked(clause), subject) for clause in order_by)
    fields = [key.field for key in keys]
    twice = next((field for field in fields if fields.count(field) > 1), None)
    if twice is not None:
        raise InvalidFilterError(f"`order_by` contains duplicate fields: {twice} is named more than once.")
    return keys


def _checked(clause: object) -> str:
    if not isinstance(clause, str):
        raise InvalidTypeError(f"A clause of order_by must be a string, got {type(clause).__name__}: {clause!r}.")
    if len(clause) > MAX_CLAUSE:
        raise InvalidFilterError(f"A clause of order_by may have {MAX_CLAUSE} characters; this one has {len(clause)}.")
    return clause


@functools.lru_cache(maxsize=256)
def _clause(clause: str, subject: Subject) -> OrderBy:
    with showing(clause, "order_by clause"):
        token, *direction = syntax_tree(clause, "order").children
        if not isinstance(token, str):
            raise FaultError("a field is expected", 0)
        field = resolve_field(token, subject)
        if attribute_of(field, subject).plural:
            raise FaultError(f"{field} can have many values and gives no order", token.start_pos or 0)
        return OrderBy(field, ascending=not direction or str(direction[0]).upper() == "ASC")

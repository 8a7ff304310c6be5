"""The parsers of filters and order_by clauses: syntax first, then limits, then fields and types."""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from registry.exceptions import InvalidFilterError, InvalidTypeError
from registry.filters.fields import Subject, field_attribute, resolve_field
from registry.filters.nodes import And, Comparison, Node, Not, Op, Or, OrderBy
from registry.filters.syntax_errors import FilterSyntaxError, locate_errors, parse_syntax
from registry.filters.values import parse_operator, parse_value

if TYPE_CHECKING:
    from lark import Token, Tree


# SQLite refuses expressions deeper than 1,000 and statements of more than 32,766 bound values.
MAX_LENGTH: Final = 200_000
MAX_DEPTH: Final = 50
MAX_COMPARISONS: Final = 200
MAX_VALUES: Final = 10_000
# Filters up to this length are cached: the same filter is often used again, with other page tokens.
_MAX_CACHED_LENGTH: Final = 1_000

# Operators that the grammar gives as rules. The others are tokens.
_OPERATORS: Final = {"contains": Op.IN, "excludes": Op.NOT_IN, "missing": Op.IS_NULL, "present": Op.IS_NOT_NULL}
_VALUE_TOKENS: Final = ("SINGLE", "DOUBLE", "NUMBER")


def parse_filter(filter_string: str | None, subject: Subject) -> Node | None:
    """Parse a filter for a subject; return None if the filter is None or empty.

    Raises:
        InvalidFilterError: the syntax is wrong, the subject has no such field, a value has the wrong type, or the
            filter is too long or too deep. The message points to the character.
        InvalidTypeError: the filter is not a string.
    """
    if filter_string is None:
        return None
    if not isinstance(filter_string, str):
        raise InvalidTypeError(f"A filter must be a string, got {type(filter_string).__name__}: {filter_string!r}.")
    if filter_string == "":
        return None
    if len(filter_string) > MAX_LENGTH:
        raise InvalidFilterError(
            f"A filter may have at most {MAX_LENGTH} characters; this one has {len(filter_string)}."
        )
    return (_parse if len(filter_string) <= _MAX_CACHED_LENGTH else _parse.__wrapped__)(filter_string, subject)


@functools.lru_cache(maxsize=256)
def _parse(text: str, subject: Subject) -> Node:
    with locate_errors(text, "filter"):
        return _FilterBuilder(subject).build_node(parse_syntax(text, "filter"), depth=0)


class _FilterBuilder:
    """Builder of the nodes of one filter; counts comparisons and values against the limits."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.comparisons = 0
        self.values = 0

    def build_node(self, tree: "Tree[Token]", depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise FilterSyntaxError(f"parentheses and NOT may be at most {MAX_DEPTH} deep", _position(tree))
        match tree.data:
            case "group":
                return self.build_node(_subtrees(tree)[0], depth + 1)
            case "not_":
                return Not(self.build_node(_subtrees(tree)[0], depth + 1))
            case "and_":
                return And(tuple(self.build_node(item, depth) for item in _chain_items(tree)))
            case "or_":
                return Or(tuple(self.build_node(item, depth) for item in _chain_items(tree)))
        return self.build_comparison(tree)

    def build_comparison(self, tree: "Tree[Token]") -> Comparison:
        field_token, op_token, *rest = _tokens(tree)
        self.check_limits(field_token, len(rest))
        field = resolve_field(field_token, self.subject)
        type_ = field_attribute(field, self.subject).type
        op = parse_operator(field, type_, _OPERATORS.get(tree.data, str(op_token)), op_token.start_pos or 0)
        values = tuple(parse_value(field, type_, op, token) for token in rest if token.type in _VALUE_TOKENS)
        if op in (Op.IN, Op.NOT_IN):
            return Comparison(field, op, values)
        return Comparison(field, op, values[0] if values else None)

    def check_limits(self, at: "Token", values: int) -> None:
        self.comparisons += 1
        self.values += values
        if self.comparisons > MAX_COMPARISONS:
            raise FilterSyntaxError(f"a filter may have at most {MAX_COMPARISONS} comparisons", at.start_pos or 0)
        if self.values > MAX_VALUES:
            raise FilterSyntaxError(f"a filter may have at most {MAX_VALUES} values", at.start_pos or 0)


def _chain_items(tree: "Tree[Token]") -> "list[Tree[Token]]":
    """Return the items of ``a AND b AND c``, which the grammar nests to the left."""
    rule, items = tree.data, []
    while tree.data == rule:
        tree, right = _subtrees(tree)
        items.append(right)
    return [tree, *reversed(items)]


def _subtrees(tree: "Tree[Token]") -> "list[Tree[Token]]":
    return [child for child in tree.children if not isinstance(child, str)]


def _tokens(tree: "Tree[Token]") -> "list[Token]":
    return [child for child in tree.children if isinstance(child, str)]


def _position(tree: "Tree[Token]") -> int:
    """Return the position of the first token below a tree."""
    while not (tokens := _tokens(tree)):
        tree = _subtrees(tree)[0]
    return tokens[0].start_pos or 0


MAX_CLAUSE: Final = 1_000
MAX_CLAUSES: Final = 20


def parse_order_by(order_by: Sequence[str] | None, subject: Subject) -> tuple[OrderBy, ...]:
    """Parse order_by clauses into sort keys, most significant first; the default direction is ascending.

    Raises:
        InvalidFilterError: a clause does not parse, the subject has no such field, the field has many values, or a
            field is named twice.
        InvalidTypeError: `order_by` is not a list of strings.
    """
    if order_by is None:
        return ()
    if isinstance(order_by, str) or not isinstance(order_by, Sequence):
        raise InvalidTypeError(f"order_by must be a list of clauses, such as ['metrics.f1 DESC'], got {order_by!r}.")
    if len(order_by) > MAX_CLAUSES:
        raise InvalidFilterError(f"order_by may have at most {MAX_CLAUSES} clauses; this one has {len(order_by)}.")
    keys = tuple(_parse_clause(_check_clause(clause), subject) for clause in order_by)
    fields = [key.field for key in keys]
    duplicate = next((field for field in fields if fields.count(field) > 1), None)
    if duplicate is not None:
        raise InvalidFilterError(f"`order_by` contains duplicate fields: {duplicate} is named more than once.")
    return keys


def _check_clause(clause: object) -> str:
    if not isinstance(clause, str):
        raise InvalidTypeError(f"A clause of order_by must be a string, got {type(clause).__name__}: {clause!r}.")
    if len(clause) > MAX_CLAUSE:
        raise InvalidFilterError(
            f"A clause of order_by may have at most {MAX_CLAUSE} characters; this one has {len(clause)}."
        )
    return clause


@functools.lru_cache(maxsize=256)
def _parse_clause(clause: str, subject: Subject) -> OrderBy:
    with locate_errors(clause, "order_by clause"):
        token, *direction = parse_syntax(clause, "order").children
        if not isinstance(token, str):
            raise FilterSyntaxError("a field is expected", 0)
        field = resolve_field(token, subject)
        if field_attribute(field, subject).plural:
            raise FilterSyntaxError(f"{field} can have many values, so it cannot be sorted by", token.start_pos or 0)
        return OrderBy(field, ascending=not direction or str(direction[0]).upper() == "ASC")

"""The grammar of filters and order_by clauses, and its parser.

The grammar knows only syntax; `fields` knows which fields exist. A field is one terminal (prefix and key together), so
a key may be a keyword, as in ``params.in``. Guarantees: parsing takes linear time (LALR; terminals never backtrack).
"""

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lark import Lark, Token

# A trailing AND is allowed, as in MLflow.
_GRAMMAR: Final = r"""
    ?filter: or_
           | and_ _AND
           | or_ _OR and_ _AND              -> or_

    ?or_: and_ | or_ _OR and_
    ?and_: not_ | and_ _AND not_
    ?not_: _comparison
         | NOT not_                         -> not_
         | "(" or_ ")"                      -> group

    _comparison: compare | contains | excludes | missing | present
    compare: _field (OP | LIKE) _value
    contains: _field IN _list
    excludes: _field NOT IN _list
    missing: _field IS _NULL
    present: _field IS NOT _NULL

    order: _field DIRECTION?

    _field: FIELD | WORD | BACKTICKED | DOUBLE
    _list: "(" _value ("," _value)* ","? ")"
    _value: SINGLE | DOUBLE | NUMBER

    _AND.2: /and\b/i
    _OR.2: /or\b/i
    NOT.2: /not\b/i
    IN.2: /in\b/i
    IS.2: /is\b/i
    _NULL.2: /null\b/i
    LIKE.2: /i?like\b/i
    DIRECTION.2: /(?:asc|desc)\b/i
    OP: /[<>=!~]+/

    FIELD.3: /(?:`\w+`|[^\W\d]\w*)\.(?:`[^`]*(?:``[^`]*)*`|"[^"]*(?:""[^"]*)*"|[\w.\-\/:@]+)/
    WORD: /(?!(?:and|or|not|in|is|null|i?like)\b)[^\W\d]\w*/i
    BACKTICKED: /`[^`]*(?:``[^`]*)*`/
    SINGLE: /'[^']*(?:''[^']*)*'/
    DOUBLE: /"[^"]*(?:""[^"]*)*"/
    NUMBER: /[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?/

    %ignore /\s+/
"""

# In the order in which messages list them. DOUBLE is missing: it is either a field or a text.
_TERMINAL_NAMES: Final = {
    "FIELD": "a field",
    "OP": "a comparator (=, !=, <, <=, >, >=)",
    "LIKE": "LIKE or ILIKE",
    "SINGLE": "a quoted text",
    "NUMBER": "a number",
    "NOT": "NOT",
    "IN": "IN",
    "IS": "IS",
    "_NULL": "NULL",
    "_AND": "AND",
    "_OR": "OR",
    "LPAR": "'('",
    "COMMA": "','",
    "RPAR": "')'",
    "DIRECTION": "ASC or DESC",
    "$END": "the end",
}


@cache
def parser() -> "Lark":
    """Return the parser, built on first use. Its start rules are ``filter`` and ``order``."""
    from lark import Lark

    return Lark(_GRAMMAR, parser="lalr", start=["filter", "order"])


def describe_expected(terminals: Iterable[str]) -> str:
    """Describe a set of terminals for a message: ``expected a quoted text or a number``."""
    allowed = set(terminals)
    names = [name for terminal, name in _TERMINAL_NAMES.items() if terminal in allowed]
    if len(names) > 1:
        return f"expected {', '.join(names[:-1])} or {names[-1]}"
    return f"expected {names[0]}" if names else "expected something else"


def unquote(token: "Token | str") -> str:
    """Remove the quotes of a token and undouble the quotes inside; return an unquoted token as it is."""
    text = str(token)
    if text[:1] in ("'", '"', "`"):
        return text[1:-1].replace(text[0] * 2, text[0])
    return text

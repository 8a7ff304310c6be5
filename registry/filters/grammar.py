"""The grammar of filters and order_by clauses, and the parser made from it.

Owns syntax and the words for what a place in a text expects; what fields there are is decided later. Invariant: LALR
with terminals that never rescan, so that time is linear in the text.

A field is one terminal, prefix and key together: so a key may be any word of the language, as in ``params.in``.
"""

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lark import Lark, Token

# One AND may trail, as MLflow lets it.
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

# In the order in which a message lists them; DOUBLE is a field or a text and says nothing of its own.
_WORDS: Final = {
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
    """The parser, made on first use; it starts at ``filter`` or at ``order``."""
    from lark import Lark

    return Lark(_GRAMMAR, parser="lalr", start=["filter", "order"])


def expectation(terminals: Iterable[str]) -> str:
    """The words for a set of terminals: ``expected a quoted text or a number``."""
    known = set(terminals)
    words = [word for terminal, word in _WORDS.items() if terminal in known]
    if len(words) > 1:
        return f"expected {', '.join(words[:-1])} or {words[-1]}"
    return f"expected {words[0]}" if words else "expected something else"


def unquote(token: "Token | str") -> str:
    """The text between the quotes of a token, doubled quotes taken as one; a token without quotes as it is."""
    text = str(token)
    if text[:1] in ("'", '"', "`"):
        return text[1:-1].replace(text[0] * 2, text[0])
    return text

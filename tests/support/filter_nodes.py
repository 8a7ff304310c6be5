"""Hypothesis strategies for well-typed filters, as nodes; ``str(node)`` is the text."""

from typing import Any

from hypothesis import strategies as st

from registry.filters import And, Comparison, Field, Kind, Node, Not, Op, Or, Subject, ValueType, vocabulary


def attribute(key: str) -> Field:
    return Field(Kind.ATTRIBUTE, key)


KEYS = st.sampled_from("ab") | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
FRACTIONS = FLOATS.filter(lambda number: not number.is_integer())
SCALARS = {
    ValueType.TEXT: TEXTS,
    ValueType.STAGE: st.sampled_from(["None", "Staging", "Production", "Archived"]),
    ValueType.NUMBER: FLOATS,
    ValueType.INTEGER: INTEGERS,
    ValueType.TIME: INTEGERS | FRACTIONS,
}
ORDERED = [Op.EQ, Op.NE, Op.LT, Op.LE, Op.GT, Op.GE]
PLAIN = {
    ValueType.TEXT: [Op.EQ, Op.NE, Op.LIKE, Op.ILIKE],
    ValueType.STAGE: [Op.EQ, Op.NE],
    ValueType.NUMBER: ORDERED,
    ValueType.INTEGER: ORDERED,
    ValueType.TIME: ORDERED,
}
LISTED = (ValueType.TEXT, ValueType.STAGE, ValueType.INTEGER)


def typed_fields(subject: Subject) -> st.SearchStrategy[Any]:
    words = vocabulary(subject)
    named = st.sampled_from([(attribute(key), entry.type) for key, entry in words.attributes.items()])
    keyed = [
        KEYS.map(lambda key, kind=kind: (Field(kind, key), ValueType.NUMBER if kind is Kind.METRIC else ValueType.TEXT))
        for kind in sorted(words.kinds - {Kind.DATASET})
    ]
    return st.one_of(named, *keyed)


@st.composite
def comparisons(draw: st.DrawFn, subject: Subject) -> Comparison:
    field, type_ = draw(typed_fields(subject))
    shape = draw(st.sampled_from(["plain", "null", "list"] if type_ in LISTED else ["plain", "null"]))
    if shape == "null":
        return Comparison(field, draw(st.sampled_from([Op.IS_NULL, Op.IS_NOT_NULL])))
    if shape == "list":
        values = draw(st.lists(SCALARS[type_], min_size=1, max_size=3))
        return Comparison(field, draw(st.sampled_from([Op.IN, Op.NOT_IN])), tuple(values))
    return Comparison(field, draw(st.sampled_from(PLAIN[type_])), draw(SCALARS[type_]))


def nodes(subject: Subject) -> st.SearchStrategy[Node]:
    def grown(items: Any) -> Any:
        several = st.lists(items, min_size=2, max_size=3).map(tuple)
        return several.map(And) | several.map(Or) | items.map(Not)

    return st.recursive(comparisons(subject), grown, max_leaves=8)

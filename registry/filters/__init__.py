"""The filter and order_by language of every search: its grammar, its fields and their types.

`store` maps the fields to SQL. Guarantees: a node that `parse_filter` returns is within bounds and well typed, so a
compiler needs no checks of its own. A compiler must bind every value, never splice it into SQL.

A filter is made of comparisons joined by AND, OR, NOT and parentheses::

    metrics.f1 >= 0.8 AND params.`max depth` IN ('6', '8') AND NOT tags.owner = 'o''brien'
    start_time > '2026-03-01T00:00:00Z' OR attributes.status = 'FAILED'
    name = 'churn' AND ever_stage = 'Staging' AND metrics.auc > 0.9

Semantics for a compiler:

- `Comparison.field` names a metric, param, tag, data set field or attribute. Attribute keys are canonical: synonyms
  are resolved (``created`` is ``start_time``, ``stage`` is ``current_stage``).
- A comparison other than IS NULL is true only if the field exists: ``params.a != 'x'`` excludes runs without ``a``,
  and ``NOT params.a = 'x'`` includes them. ``IS NULL`` is true if the field is missing; a NaN metric is not missing.
  ``!=`` is true for a NaN metric; every other operator is false.
- Data set fields, ``alias`` and ``ever_stage`` have many values (`Attribute.plural`): a comparison is true if it is
  true for one of them; ``IS NULL`` is true if there are none.
- Times are milliseconds since the epoch: an int, or a float if the text has a finer resolution.
- LIKE knows ``%`` and ``_`` and has no escape character. LIKE is case-sensitive, ILIKE is not.

"""

from registry.filters.fields import Attribute, Subject, ValueType, Vocabulary, vocabulary
from registry.filters.nodes import And, Comparison, Field, Kind, Node, Not, Op, Or, OrderBy, Scalar
from registry.filters.parsing import MAX_COMPARISONS, MAX_DEPTH, MAX_LENGTH, MAX_VALUES, parse_filter, parse_order_by

__all__ = [
    "MAX_COMPARISONS",
    "MAX_DEPTH",
    "MAX_LENGTH",
    "MAX_VALUES",
    "And",
    "Attribute",
    "Comparison",
    "Field",
    "Kind",
    "Node",
    "Not",
    "Op",
    "Or",
    "OrderBy",
    "Scalar",
    "Subject",
    "ValueType",
    "Vocabulary",
    "parse_filter",
    "parse_order_by",
    "vocabulary",
]

"""The filter and order_by language of every search, from text to a checked value.

Owns the grammar, the fields that each subject has, and the types of their values; what a field means in SQL is
`store`'s matter. Invariant: whatever `parse_filter` returns is within bounds and well typed, so a compiler needs no
checks of its own; every value in it is to be bound, never spliced.

A filter is made of comparisons joined by AND, OR, NOT and parentheses::

    metrics.f1 >= 0.8 AND params.`max depth` IN ('6', '8') AND NOT tags.owner = 'o''brien'
    start_time > '2026-03-01T00:00:00Z' OR attributes.status = 'FAILED'
    name = 'churn' AND ever_stage = 'Staging' AND metrics.auc > 0.9

Meaning of the parts, for who compiles them:

- `Comparison.field` names a metric, param, tag, data set field or attribute; attribute keys are canonical, whatever
  synonym was written (``created`` is ``start_time``, ``stage`` is ``current_stage``).
- A comparison other than IS NULL holds only where the field is there: ``params.a != 'x'`` leaves out what has no ``a``,
  and ``NOT params.a = 'x'`` takes it in. ``IS NULL`` holds where the field is missing; a NaN metric is not missing.
  ``!=`` holds for a NaN metric, every other operator does not.
- Data set fields, ``alias`` and ``ever_stage`` have many values (`Attribute.plural`): a comparison holds if it holds
  for one of them, ``IS NULL`` if there are none.
- Times are milliseconds since the epoch: an int, or a float where the text was finer than a millisecond.
- LIKE has ``%`` and ``_`` and no escape character; it heeds case, ILIKE does not.
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

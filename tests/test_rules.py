"""Promotion rules: what passes, what fails and with which figures, and the JSON they are stored as."""

import json
import math

import pytest
from hypothesis import given, strategies as st

from registry.entities.history import canonical_json
from registry.entities.param_schema import ParamSchema, ParamSpec
from registry.entities.schema import AnyType, ColSpec, DataType, Schema, TensorSpec
from registry.entities.signature import ModelSignature
from registry.exceptions import InvalidParameterError, InvalidTypeError
from registry.rules import (
    Approvals,
    Facts,
    FlavorIn,
    MetricAtLeast,
    MetricAtMost,
    MetricNotWorse,
    SignatureCompatible,
    SignatureUnchanged,
    TagEquals,
    evaluate,
    rules_from_json,
    rules_to_json,
)

INF, NAN = math.inf, math.nan


def verdict(rule, candidate, holder=None):
    (only,) = evaluate([rule], candidate, holder)
    return only


def scored(version, **metrics):
    return Facts(version=version, metrics=metrics)


@pytest.mark.parametrize(
    ("rule", "value", "passed"),
    [
        (MetricAtLeast("f1", 0.8), 0.8, True),
        (MetricAtLeast("f1", 0.8), 0.7999999, False),
        (MetricAtLeast("f1", 0.8), INF, True),
        (MetricAtLeast("f1", 0.8), -INF, False),
        (MetricAtLeast("f1", 0.8), NAN, False),
        (MetricAtLeast("f1", -1), NAN, False),
        (MetricAtMost("f1", 0.8), 0.8, True),
        (MetricAtMost("f1", 0.8), 0.8000001, False),
        (MetricAtMost("f1", 0.8), -INF, True),
        (MetricAtMost("f1", 0.8), NAN, False),
    ],
)
def test_a_metric_is_held_against_a_bound(rule, value, passed):
    assert verdict(rule, scored(1, f1=value)).passed is passed


@pytest.mark.parametrize("rule", [MetricAtLeast("f1", 0.8), MetricAtMost("f1", 0.8)])
def test_a_missing_metric_fails(rule):
    found = verdict(rule, scored(1, auc=0.9))
    assert (found.passed, found.actual) == (False, "missing")


def test_a_verdict_names_the_rule_and_both_figures():
    failed = verdict(MetricAtLeast("f1", 0.8), scored(1, f1=0.7500000000000001))
    assert (failed.expected, failed.actual) == ("f1 >= 0.8", "0.7500000000000001")
    assert failed.text == (
        "MetricAtLeast(metric='f1', value=0.8) failed: expected f1 >= 0.8, actual 0.7500000000000001"
    )
    assert verdict(MetricAtMost("f1", 1), scored(1, f1=NAN)).actual == "NaN"
    passed = verdict(MetricAtMost("f1", 1), scored(1, f1=0.5))
    assert passed.text == "MetricAtMost(metric='f1', value=1.0) passed: expected f1 <= 1.0, actual 0.5"


@pytest.mark.parametrize(
    ("rule", "candidate", "holder", "passed"),
    [
        (MetricNotWorse("f1"), 0.8, 0.8, True),
        (MetricNotWorse("f1"), 0.9, 0.8, True),
        (MetricNotWorse("f1"), 0.79, 0.8, False),
        (MetricNotWorse("f1", tolerance=0.01), 0.80, 0.81, True),
        (MetricNotWorse("f1", tolerance=0.2), 0.9, 1.1, True),
        (MetricNotWorse("f1", tolerance=0.2), 0.8999, 1.1, False),
        (MetricNotWorse("f1", higher_is_better=False), 0.8, 0.9, True),
        (MetricNotWorse("f1", higher_is_better=False), 0.9, 0.8, False),
        (MetricNotWorse("f1", False, 0.1), 0.9, 0.8, True),
        (MetricNotWorse("f1"), INF, INF, True),
        (MetricNotWorse("f1"), -INF, -INF, True),
        (MetricNotWorse("f1"), 1.0, INF, False),
        (MetricNotWorse("f1"), NAN, 0.8, False),
        (MetricNotWorse("f1"), 0.8, NAN, False),
    ],
)
def test_a_metric_is_held_against_the_holder(rule, candidate, holder, passed):
    assert verdict(rule, scored(2, f1=candidate), scored(1, f1=holder)).passed is passed


def test_a_holder_without_the_metric_cannot_be_compared_with():
    found = verdict(MetricNotWorse("f1", tolerance=0.01), scored(2, f1=0.8), scored(1))
    assert (found.passed, found.expected, found.actual) == (False, "f1 >= missing - 0.01 (version 1)", "0.8")


def test_the_figures_of_a_comparison_name_the_holder():
    found = verdict(MetricNotWorse("loss", False, 0.5), scored(3, loss=2.0), scored(1, loss=1.0))
    assert (found.passed, found.expected, found.actual) == (False, "loss <= 1.0 + 0.5 (version 1)", "2.0")


@pytest.mark.parametrize("rule", [MetricNotWorse("f1"), SignatureUnchanged(), SignatureCompatible()])
@pytest.mark.parametrize("candidate", [Facts(1), scored(1, f1=NAN), Facts(1, signature="{")])
def test_what_compares_with_a_holder_passes_when_there_is_none(rule, candidate):
    assert verdict(rule, candidate).passed is True


def signed(version, inputs=None, outputs=None, params=None):
    return Facts(version, signature=ModelSignature(inputs, outputs, params).to_json())


def columns(*specs):
    return Schema([ColSpec(type_, name, required) for name, type_, required in specs])


A_LONG = columns(("a", DataType.long, True))
A_DOUBLE = columns(("a", DataType.double, True))


def test_an_equal_signature_is_unchanged_whatever_its_spelling():
    facts = signed(1, A_LONG)
    respelt = Facts(2, signature=json.dumps(json.loads(facts.signature), indent=4, sort_keys=True))
    assert verdict(SignatureUnchanged(), respelt, facts).passed is True
    assert verdict(SignatureUnchanged(), Facts(2), Facts(1)).passed is True


@pytest.mark.parametrize(
    ("candidate", "actual"),
    [
        (signed(2, A_DOUBLE), "different inputs"),
        (signed(2, A_LONG, A_LONG), "different outputs"),
        (signed(2, A_DOUBLE, A_LONG), "different inputs and outputs"),
        (Facts(2), "no signature"),
    ],
)
def test_a_changed_signature_fails_and_says_where(candidate, actual):
    found = verdict(SignatureUnchanged(), candidate, signed(1, A_LONG))
    assert (found.passed, found.expected, found.actual) == (False, "the signature of version 1", actual)


def test_a_signature_where_the_holder_has_none_is_a_change():
    assert verdict(SignatureUnchanged(), signed(2, A_LONG), Facts(1)).actual == "a signature where the holder has none"


@pytest.mark.parametrize("rule", [SignatureUnchanged(), SignatureCompatible()])
@pytest.mark.parametrize("text", ["{", "[]", '{"inputs": "["}', "[" * 100_000])
def test_a_signature_that_cannot_be_read_fails(rule, text):
    found = verdict(rule, Facts(2, signature=text), signed(1, A_LONG))
    assert found.passed is False
    assert found.actual.startswith("unreadable: ")


ANY = Schema([ColSpec(AnyType(), "a")])
UNNAMED = Schema([ColSpec(DataType.long)])
TWO_UNNAMED = Schema([ColSpec(DataType.long), ColSpec(DataType.long)])
ROWS = Schema([TensorSpec("float64", (-1, 3))])
FIXED = Schema([TensorSpec("float64", (2, 3))])
PARAM = ParamSchema([ParamSpec("k", DataType.long, 1)])


@pytest.mark.parametrize(
    ("old", "new", "actual"),
    [
        ((A_LONG,), (A_LONG,), "compatible"),
        ((columns(("a", DataType.integer, True)),), (A_LONG,), "compatible"),
        ((columns(("a", DataType.float, True)),), (A_DOUBLE,), "compatible"),
        ((A_LONG,), (ANY,), "compatible"),
        ((A_LONG,), (columns(("a", DataType.long, True), ("b", DataType.string, False)),), "compatible"),
        ((columns(("a", DataType.long, True), ("b", DataType.long, True)),), (A_LONG,), "compatible"),
        ((FIXED,), (ROWS,), "compatible"),
        ((A_LONG,), (A_LONG, A_LONG), "compatible"),
        ((A_LONG,), (A_LONG, None, PARAM), "compatible"),
        ((None, A_LONG), (A_LONG, A_LONG), "compatible"),
        ((A_LONG,), (columns(("a", DataType.integer, True)),), "input 'a' was long and is integer"),
        ((A_LONG,), (columns(("a", DataType.string, True)),), "input 'a' was long and is string"),
        (
            (A_LONG,),
            (columns(("a", DataType.long, True), ("b", DataType.long, True)),),
            "input 'b' is new and required",
        ),
        ((columns(("a", DataType.long, False)),), (A_LONG,), "input 'a' was optional and is required"),
        ((ROWS,), (FIXED,), "input 0 was float64[-1, 3] and is float64[2, 3]"),
        ((ROWS,), (Schema([TensorSpec("float32", (-1, 3))]),), "input 0 was float64[-1, 3] and is float32[-1, 3]"),
        ((ROWS,), (UNNAMED,), "input 0 was float64[-1, 3] and is long"),
        ((TWO_UNNAMED,), (UNNAMED,), "there were 2 inputs without names and are 1"),
        ((A_LONG,), (None, A_LONG), "the inputs are no longer recorded"),
        ((A_LONG, A_LONG), (A_LONG,), "the outputs are no longer recorded"),
        ((None, A_LONG), (None, A_DOUBLE), "output 'a' was long and is double"),
        ((None, A_LONG), (None, columns(("b", DataType.long, True))), "output 'a' is gone"),
        ((A_LONG, None, PARAM), (A_LONG,), "param 'k' is gone"),
        (
            (A_LONG, None, PARAM),
            (A_LONG, None, ParamSchema([ParamSpec("k", DataType.string, "x")])),
            "param 'k' was long and is string",
        ),
    ],
)
def test_compatible_is_what_every_caller_of_the_holder_can_call(old, new, actual):
    found = verdict(SignatureCompatible(), signed(2, *new), signed(1, *old))
    assert (found.passed, found.actual) == (actual == "compatible", actual)


def test_a_holder_without_a_signature_promises_nothing():
    assert verdict(SignatureCompatible(), signed(2, A_LONG), Facts(1)).passed is True
    assert verdict(SignatureCompatible(), Facts(2), signed(1, A_LONG)).actual == "there is no signature"


@pytest.mark.parametrize(
    ("tags", "passed", "actual"),
    [({"owner": "ada"}, True, "'ada'"), ({"owner": "Ada"}, False, "'Ada'"), ({"x": "ada"}, False, "missing")],
)
def test_a_tag_has_exactly_the_value(tags, passed, actual):
    found = verdict(TagEquals("owner", "ada"), Facts(1, tags=tags))
    assert (found.passed, found.expected, found.actual) == (passed, "tag owner = 'ada'", actual)


@pytest.mark.parametrize(
    ("flavors", "passed", "actual"),
    [
        ({"xgboost", "python_function"}, True, "python_function, xgboost"),
        ({"python_function"}, False, "python_function"),
        (set(), False, "none"),
    ],
)
def test_one_flavor_is_among_those_listed(flavors, passed, actual):
    found = verdict(FlavorIn(["xgboost", "sklearn"]), Facts(1, flavors=flavors))
    assert (found.passed, found.expected, found.actual) == (passed, "a flavor of xgboost, sklearn", actual)


@pytest.mark.parametrize(
    ("n", "approvers", "passed", "actual"),
    [
        (1, ["bob"], True, "1 (bob)"),
        (1, ["ada"], False, "0"),
        (1, [], False, "0"),
        (2, ["bob", "bob"], False, "1 (bob)"),
        (2, ["bob", "ada"], False, "1 (bob)"),
        (2, ["cyd", "bob", "ada"], True, "2 (bob, cyd)"),
    ],
)
def test_approvals_count_distinct_actors_but_not_who_registered(n, approvers, passed, actual):
    found = verdict(Approvals(n), Facts(1, approvers=approvers, registered_by="ada"))
    assert (found.passed, found.actual) == (passed, actual)
    assert found.expected == ("1 approval" if n == 1 else "2 approvals")


RULES = (
    MetricAtLeast("f1", 0.8),
    MetricAtMost("loss", 1),
    MetricNotWorse("f1", tolerance=0.01),
    SignatureUnchanged(),
    SignatureCompatible(),
    TagEquals("owner", "ada"),
    FlavorIn(["xgboost"]),
    Approvals(2),
)
TEXT = (
    '[{"metric":"f1","value":0.8,"kind":"metric_at_least"},'
    '{"metric":"loss","value":1.0,"kind":"metric_at_most"},'
    '{"metric":"f1","higher_is_better":true,"tolerance":0.01,"kind":"metric_not_worse"},'
    '{"kind":"signature_unchanged"},{"kind":"signature_compatible"},'
    '{"key":"owner","value":"ada","kind":"tag_equals"},'
    '{"flavors":["xgboost"],"kind":"flavor_in"},{"n":2,"kind":"approvals"}]'
)


def test_rules_are_stored_as_json_and_read_back():
    assert rules_to_json(list(RULES)) == TEXT
    assert rules_from_json(TEXT) == RULES
    assert rules_from_json(rules_to_json([])) == ()


def test_all_rules_are_judged_in_order_and_fit_an_event():
    verdicts = evaluate(RULES, scored(2, f1=NAN), scored(1, f1=0.9))
    assert [found.rule for found in verdicts] == list(RULES)
    assert [found.passed for found in verdicts] == [False, False, False, True, True, False, False, False]
    assert json.loads(canonical_json([found.to_dict() for found in verdicts]))[0] == {
        "rule": "MetricAtLeast(metric='f1', value=0.8)",
        "passed": False,
        "expected": "f1 >= 0.8",
        "actual": "NaN",
    }


def test_rules_are_values():
    assert MetricAtLeast("f1", 0.8) == MetricAtLeast(metric="f1", value=0.8)
    assert MetricAtLeast("f1", 0.8) != MetricAtMost("f1", 0.8)
    assert len({*RULES, FlavorIn(("xgboost",))}) == len(RULES)
    with pytest.raises(AttributeError):
        RULES[0].value = 0.1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MetricAtLeast("f1", "0.8"), "MetricAtLeast: value: Input should be a valid number, got '0.8'"),
        (lambda: MetricAtLeast("f1", NAN), "MetricAtLeast: value: Input should be a finite number, got nan"),
        (lambda: MetricAtLeast("f1", True), "MetricAtLeast: value: Input should be a valid number, got True"),
        (lambda: MetricAtLeast("f1"), "MetricAtLeast: value: Field required"),
        (lambda: MetricAtLeast("f@1", 1), "MetricAtLeast: metric: Value error, Invalid value 'f@1'"),
        (lambda: MetricAtMost(3, 1), "MetricAtMost: metric: Input should be a valid string, got 3"),
        (
            lambda: MetricNotWorse("f1", tolerance=-1),
            "MetricNotWorse: tolerance: Input should be greater than or equal",
        ),
        (lambda: MetricNotWorse("f1", "yes"), "MetricNotWorse: higher_is_better: Input should be a valid boolean"),
        (lambda: SignatureUnchanged(1), "SignatureUnchanged: 0: Unexpected positional argument, got 1"),
        (lambda: SignatureUnchanged(kind="approvals"), "SignatureUnchanged: kind: Input should be"),
        (lambda: TagEquals("owner", None), "TagEquals: value: Input should be a valid string, got None"),
        (lambda: FlavorIn([]), "FlavorIn: flavors: "),
        (lambda: FlavorIn("xgboost"), "FlavorIn: flavors: "),
        (lambda: FlavorIn([3]), "FlavorIn: flavors: Input should be a valid string, got 3"),
        (lambda: Approvals(0), "Approvals: n: Input should be greater than or equal to 1, got 0"),
        (lambda: Approvals(1.5), "Approvals: n: Input should be a valid integer, got 1.5"),
        (lambda: Approvals(n=1, of=2), "Approvals: of: Unexpected keyword argument, got 2"),
    ],
)
def test_a_malformed_rule_names_itself_and_the_field(make, message):
    with pytest.raises(InvalidParameterError) as caught:
        make()
    assert str(caught.value).startswith(message)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Not promotion rules: Invalid JSON"),
        ("{}", "Input should be a valid array"),
        ("[1]", "rule 0: Input should be"),
        ('[{"kind":"metric_at_least","metric":"f1"}]', "rule 0.metric_at_least.value: Field required"),
        ('[{"kind":"nope"}]', "rule 0: Input tag 'nope' found using 'kind' does not match any of the expected tags"),
        ("[{}]", "rule 0: Unable to extract tag using discriminator 'kind'"),
        ('[{"kind":"approvals","n":1,"x":2}]', "rule 0.approvals.x: Unexpected keyword argument"),
        ('[{"kind":"approvals","n":"1"}]', "rule 0.approvals.n: Input should be a valid integer"),
        ('[{"kind":"metric_at_most","metric":"f1","value":NaN}]', "value: Input should be a finite number"),
        ("[" + ",".join(['{"kind":"approvals","n":1}'] * 51) + "]", "at most 50 items"),
        ("[" * 100_000, "Not promotion rules: Invalid JSON"),
    ],
)
def test_json_that_is_not_of_rules_names_the_place(text, message):
    with pytest.raises(InvalidParameterError) as caught:
        rules_from_json(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "rules", ["[]", MetricAtLeast("f1", 1), {"kind": "approvals"}, [{"kind": "approvals"}], [None]]
)
def test_what_is_no_list_of_rules_is_refused(rules):
    with pytest.raises(InvalidTypeError):
        rules_to_json(rules)


def test_the_number_of_rules_is_bounded():
    with pytest.raises(InvalidParameterError, match="A stage may have 50 promotion rules, got 51"):
        rules_to_json([Approvals(1)] * 51)


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
KEYS = st.from_regex(r"[a-z][a-z0-9_.]{0,8}[a-z]", fullmatch=True)
ANY_RULE = st.one_of(
    st.builds(MetricAtLeast, KEYS, NUMBERS),
    st.builds(MetricAtMost, KEYS, NUMBERS),
    st.builds(MetricNotWorse, KEYS, st.booleans(), NUMBERS.map(abs)),
    st.builds(TagEquals, KEYS, st.text(st.characters(exclude_categories=["Cs"]))),
    st.builds(FlavorIn, st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=3)),
    st.builds(Approvals, st.integers(1, 100)),
    st.sampled_from([SignatureUnchanged(), SignatureCompatible()]),
)


@given(st.lists(ANY_RULE, max_size=5))
def test_any_rules_survive_their_json(rules):
    assert rules_from_json(rules_to_json(rules)) == tuple(rules)


@given(st.lists(ANY_RULE, max_size=5), st.dictionaries(KEYS, st.floats()), st.dictionaries(KEYS, st.floats()))
def test_judging_gives_one_verdict_per_rule_and_never_raises(rules, metrics, held):
    verdicts = evaluate(rules, Facts(2, metrics=metrics), Facts(1, metrics=held))
    assert [found.rule for found in verdicts] == rules
    assert all(isinstance(found.passed, bool) for found in verdicts)

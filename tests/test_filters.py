"""The filter language: MLflow's syntax, our extensions, and errors that point to the character."""

import subprocess
import sys

import pytest
from filter_nodes import attribute, nodes
from hypothesis import example, given, strategies as st

from registry.exceptions import InvalidFilterError, InvalidTypeError
from registry.filters import (
    MAX_COMPARISONS,
    MAX_DEPTH,
    MAX_LENGTH,
    MAX_VALUES,
    And,
    Comparison,
    Field,
    Kind,
    Not,
    Op,
    Or,
    OrderBy,
    Subject,
    parse_filter,
    parse_order_by,
)

RUNS = Subject.RUNS
VERSIONS = Subject.MODEL_VERSIONS
LOSS = Field(Kind.METRIC, "loss")
DEPTH = Field(Kind.PARAM, "depth")


def run_filter(text):
    return parse_filter(text, RUNS)


@pytest.mark.parametrize("text", [None, ""])
@pytest.mark.parametrize("subject", list(Subject))
def test_no_filter_filters_nothing(text, subject):
    assert parse_filter(text, subject) is None


@pytest.mark.parametrize(
    ("written", "field"),
    [
        ("metrics.loss", LOSS),
        ("metric.loss", LOSS),
        ("`metrics`.loss", LOSS),
        ("METRICS.loss", LOSS),
        ("metrics.`loss`", LOSS),
        ('metrics."loss"', LOSS),
        ("metrics.Loss", Field(Kind.METRIC, "Loss")),
        ("metrics.a.b/c:d@e-f_g", Field(Kind.METRIC, "a.b/c:d@e-f_g")),
        ("metrics.validation_0-logloss", Field(Kind.METRIC, "validation_0-logloss")),
        ("metrics.`a b = ' \" c`", Field(Kind.METRIC, "a b = ' \" c")),
        ("metrics.`a``b`", Field(Kind.METRIC, "a`b")),
        ('metrics."a""b"', Field(Kind.METRIC, 'a"b')),
        ("metrics.é", Field(Kind.METRIC, "é")),
        ("metrics.in", Field(Kind.METRIC, "in")),
        ("metrics.case", Field(Kind.METRIC, "case")),
        ("metrics.and", Field(Kind.METRIC, "and")),
        ("metrics.not.null", Field(Kind.METRIC, "not.null")),
    ],
)
def test_a_metric_is_named_with_or_without_quotes(written, field):
    assert run_filter(f"{written}=1") == Comparison(field, Op.EQ, 1.0)


@pytest.mark.parametrize(
    ("written", "field"),
    [
        ("params.depth", DEPTH),
        ("param.depth", DEPTH),
        ("parameter.depth", DEPTH),
        ("parameters.depth", DEPTH),
        ("tag.mlflow.source.name", Field(Kind.TAG, "mlflow.source.name")),
        ("tags.`mlflow.user`", Field(Kind.TAG, "mlflow.user")),
        ("tags.server_name", Field(Kind.TAG, "server_name")),
        ("dataset.name", Field(Kind.DATASET, "name")),
        ("datasets.context", Field(Kind.DATASET, "context")),
        ("datasets.digest", Field(Kind.DATASET, "digest")),
        ("attr.status", attribute("status")),
        ("attribute.status", attribute("status")),
        ("attributes.status", attribute("status")),
        ("run.status", attribute("status")),
        ("status", attribute("status")),
        ("`status`", attribute("status")),
        ('"status"', attribute("status")),
        ("`Run name`", attribute("run_name")),
        ("attributes.`run name`", attribute("run_name")),
        ("user_id", attribute("user_id")),
        ("run_id", attribute("run_id")),
        ("artifact_uri", attribute("artifact_uri")),
        ("experiment_id", attribute("experiment_id")),
        ("lifecycle_stage", attribute("lifecycle_stage")),
    ],
)
def test_prefixes_and_synonyms_lead_to_one_field(written, field):
    assert run_filter(f"{written} = 'x'") == Comparison(field, Op.EQ, "x")


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("1", 1.0),
        ("-1", -1.0),
        ("+1", 1.0),
        ("0.5", 0.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("-1.5E-2", -0.015),
    ],
)
def test_a_metric_is_compared_with_any_number(literal, value):
    comparison = run_filter(f"metrics.loss<={literal}")
    assert comparison == Comparison(LOSS, Op.LE, value)
    assert type(comparison.value) is float


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("'x'", "x"),
        ('"x"', "x"),
        ("''", ""),
        ("'it''s'", "it's"),
        ('"it\'s"', "it's"),
        ('"a""b"', 'a"b'),
        (r"'a\'", "a\\"),
        ("'a;b -- c'", "a;b -- c"),
        ("'a AND b'", "a AND b"),
        ("'%_'", "%_"),
        ("'é\n'", "é\n"),
    ],
)
def test_a_text_stands_in_either_quote_with_the_quote_doubled(literal, value):
    assert run_filter(f"params.depth != {literal}") == Comparison(DEPTH, Op.NE, value)


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("params.depth LIKE 'a%'", Comparison(DEPTH, Op.LIKE, "a%")),
        ("params.depth iLike 'a%'", Comparison(DEPTH, Op.ILIKE, "a%")),
        ("params.depth IS NULL", Comparison(DEPTH, Op.IS_NULL)),
        ("params.depth is not null", Comparison(DEPTH, Op.IS_NOT_NULL)),
        ("metrics.loss IS NULL", Comparison(LOSS, Op.IS_NULL)),
        ("end_time IS NULL", Comparison(attribute("end_time"), Op.IS_NULL)),
        ("params.depth IN ('1', \"2\",'3')", Comparison(DEPTH, Op.IN, ("1", "2", "3"))),
        ("run_id not in('a')", Comparison(attribute("run_id"), Op.NOT_IN, ("a",))),
        ("run_id IN ('a',)", Comparison(attribute("run_id"), Op.IN, ("a",))),
        ("status IN ('FAILED')", Comparison(attribute("status"), Op.IN, ("FAILED",))),
        ("dataset.name IN ('a')", Comparison(Field(Kind.DATASET, "name"), Op.IN, ("a",))),
        ("start_time > 5", Comparison(attribute("start_time"), Op.GT, 5)),
        ("start_time > 5.5", Comparison(attribute("start_time"), Op.GT, 5.5)),
        ("Created > 5", Comparison(attribute("start_time"), Op.GT, 5)),
        ("start_time >= '1970-01-01T00:00:01Z'", Comparison(attribute("start_time"), Op.GE, 1000)),
        ("end_time < '1970-01-01T01:00:00+01:00'", Comparison(attribute("end_time"), Op.LT, 0)),
        ("end_time < '1970-01-01T00:00:00.001500Z'", Comparison(attribute("end_time"), Op.LT, 1.5)),
        ("end_time < '1969-12-31T23:59:59Z'", Comparison(attribute("end_time"), Op.LT, -1000)),
    ],
)
def test_each_type_has_its_operators(text, node):
    assert run_filter(text) == node


A, B, C, D = (Comparison(Field(Kind.METRIC, key), Op.GT, 1.0) for key in "abcd")


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("metrics.a>1 AND metrics.b>1", And((A, B))),
        ("metrics.a>1 and metrics.b>1 aNd metrics.c>1", And((A, B, C))),
        ("metrics.a>1 AND metrics.b>1 AND", And((A, B))),
        ("metrics.a>1 AND ", A),
        ("metrics.a>1 OR metrics.b>1 AND", Or((A, B))),
        ("metrics.a>1 OR metrics.b>1 AND metrics.c>1 OR metrics.d>1", Or((A, And((B, C)), D))),
        ("(metrics.a>1 OR metrics.b>1) AND metrics.c>1", And((Or((A, B)), C))),
        ("(metrics.a>1 AND metrics.b>1) AND metrics.c>1", And((And((A, B)), C))),
        ("NOT metrics.a>1 AND metrics.b>1", And((Not(A), B))),
        ("NOT (metrics.a>1 AND metrics.b>1)", Not(And((A, B)))),
        ("NOT NOT metrics.a>1", Not(Not(A))),
        ("((metrics.a>1))", A),
        ("\n metrics.a>1\tAND\nNOT(metrics.b>1)", And((A, Not(B)))),
    ],
)
def test_not_binds_before_and_before_or(text, node):
    assert run_filter(text) == node


@pytest.mark.parametrize(
    ("subject", "text", "node"),
    [
        (Subject.EXPERIMENTS, "name ILIKE 'a%'", Comparison(attribute("name"), Op.ILIKE, "a%")),
        (Subject.EXPERIMENTS, "attribute.creation_time > 3", Comparison(attribute("creation_time"), Op.GT, 3)),
        (Subject.EXPERIMENTS, "last_update_time > 3", Comparison(attribute("last_update_time"), Op.GT, 3)),
        (Subject.EXPERIMENTS, "experiment_id IN ('1')", Comparison(attribute("experiment_id"), Op.IN, ("1",))),
        (Subject.EXPERIMENTS, "tags.a IS NULL", Comparison(Field(Kind.TAG, "a"), Op.IS_NULL)),
        (Subject.REGISTERED_MODELS, "name NOT IN ('a')", Comparison(attribute("name"), Op.NOT_IN, ("a",))),
        (Subject.REGISTERED_MODELS, "tag.a LIKE 'x'", Comparison(Field(Kind.TAG, "a"), Op.LIKE, "x")),
        (Subject.REGISTERED_MODELS, "aliases = 'champion'", Comparison(attribute("alias"), Op.EQ, "champion")),
        (VERSIONS, "version_number >= 3", Comparison(attribute("version"), Op.GE, 3)),
        (VERSIONS, "version_number = '3'", Comparison(attribute("version"), Op.EQ, 3)),
        (VERSIONS, "version IN (1, '2')", Comparison(attribute("version"), Op.IN, (1, 2))),
        (VERSIONS, "source_path LIKE 's3:%'", Comparison(attribute("source"), Op.LIKE, "s3:%")),
        (VERSIONS, "stage = 'production'", Comparison(attribute("current_stage"), Op.EQ, "Production")),
        (VERSIONS, "current_stage LIKE 'prod%'", Comparison(attribute("current_stage"), Op.LIKE, "prod%")),
        (VERSIONS, "ever_stage IN ('staging')", Comparison(attribute("ever_stage"), Op.IN, ("Staging",))),
        (VERSIONS, "alias IS NULL", Comparison(attribute("alias"), Op.IS_NULL)),
        (VERSIONS, "status = 'READY'", Comparison(attribute("status"), Op.EQ, "READY")),
        (VERSIONS, "metrics.loss < 1", Comparison(LOSS, Op.LT, 1.0)),
        (VERSIONS, "params.depth = '6'", Comparison(DEPTH, Op.EQ, "6")),
        (VERSIONS, "creation_timestamp > 3", Comparison(attribute("creation_timestamp"), Op.GT, 3)),
        (Subject.LOGGED_MODELS, "creation_time > 3", Comparison(attribute("creation_timestamp"), Op.GT, 3)),
        (Subject.LOGGED_MODELS, "source_run_id = 'r'", Comparison(attribute("source_run_id"), Op.EQ, "r")),
    ],
)
def test_each_subject_has_its_own_fields(subject, text, node):
    assert parse_filter(text, subject) == node


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        (" ", 0, "but the text ends"),
        ("metrics.loss", 12, "expected a comparator (=, !=, <, <=, >, >=), LIKE or ILIKE, NOT, IN or IS, but the text"),
        ("metrics.loss >", 14, "expected a quoted text or a number, but the text ends"),
        ("metrics.loss > 1 metrics.a > 1", 17, "expected AND, OR or the end, found 'metrics.a'"),
        ("metrics.loss foo 1", 13, "found 'foo'"),
        ("metrics.loss > foo", 15, "expected a quoted text or a number, found 'foo'"),
        ("5 < metrics.loss", 0, "expected a field, NOT or '(', found '5'"),
        ("metrics.loss > 1;", 16, "found ';'"),
        ("metrics.loss > 1; DROP TABLE runs", 16, "found ';'"),
        ("metrics.loss > 1 -- x", 17, "found '-'"),
        ("metrics.loss == 1", 13, "invalid comparator '==' for metrics.loss, which is a number; for equality write ="),
        ("metrics.loss <> 1", 13, "for inequality write !="),
        ("metrics.loss =~ 1", 13, "invalid comparator '=~'"),
        ("metrics.loss LIKE 'x'", 13, "allowed: =, !=, <, <=, >, >=, IS NULL, IS NOT NULL"),
        ("metrics.loss IN ('x')", 13, "invalid comparator 'IN' for metrics.loss"),
        ("params.depth > '1'", 13, "for params.depth, which is a text; allowed: =, !=, LIKE, ILIKE, IN, NOT IN"),
        ("status < 'x'", 7, "invalid comparator '<' for status"),
        ("start_time LIKE 'x'", 11, "which is a time"),
        ("metrics.loss > '1'", 15, "metrics.loss is a number, but its value is '1': write a number without quotes"),
        ("metrics.loss > 1e999", 15, "too large for a double"),
        ("metrics.loss > nan", 15, "found 'nan'"),
        ("params.depth = 3", 15, "params.depth is a text, but its value is 3: quote it, as in '3'"),
        ("run_id IN ('a', 3)", 16, "quote it, as in '3'"),
        ("run_id IN ()", 11, "expected a quoted text or a number, found ')'"),
        ("run_id IN 'a'", 10, "expected '(', found"),
        ("run_id IN ('a' 'b')", 15, "expected ',' or ')', found"),
        ("start_time > 'yesterday'", 13, "is not an ISO time"),
        ("start_time > '2026-03-01T00:00:00'", 13, "has no time zone"),
        ("start_time > 9223372036854775808", 13, "a whole number of at most 64 bits"),
        ("status = 'a", 9, "the quote ' is not closed"),
        ("metrics.`a > 1", 7, "the quote ` is not closed"),
        ("metrics.`` > 1", 0, "the key after 'metrics.' is empty"),
        ("metrics. > 1", 7, "found '.'"),
        ("metric > 1", 0, "runs have no attribute 'metric'; there are run_id, run_name"),
        ("foo.bar = 'x'", 0, "runs have no 'foo' fields"),
        ("attributes.foo = 'x'", 0, "runs have no attribute 'foo'"),
        ("dataset.size = 'x'", 0, "data sets have no 'size'; they have name, digest, context"),
        ("(status = 'x'", 13, "expected AND, OR or ')', but the text ends"),
        ("status = 'x')", 12, "expected AND, OR or the end, found ')'"),
        ("status = 'x' AND AND status = 'y'", 17, "found 'AND'"),
        ("AND status = 'x'", 0, "expected a field, NOT or '(', found 'AND'"),
        ("(status = 'x' AND)", 17, "found ')'"),
        ("status = 'a\0'", 11, r"'\x00' cannot be part of a text"),
        ("status = 'a\ud800'", 11, r"'\ud800' cannot be part of a text"),
        ("status BETWEEN 'a' AND 'b'", 7, "found 'BETWEEN'"),
        ("lower(status) = 'a'", 5, "found '('"),
        ("status NOT LIKE 'a'", 11, "expected IN, found 'LIKE'"),
    ],
)
def test_an_error_shows_the_place_and_what_was_expected(text, position, reason):
    with pytest.raises(InvalidFilterError) as caught:
        run_filter(text)
    message = str(caught.value)
    assert message.startswith(f"Invalid filter at character {position + 1}: ")
    assert reason in message
    assert message.splitlines()[-1] == "  " + " " * position + "^"
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize(
    ("subject", "text", "reason"),
    [
        (Subject.EXPERIMENTS, "metrics.a > 1", "experiments have no 'metrics' fields; there are name"),
        (Subject.REGISTERED_MODELS, "version = 1", "registered models have no attribute 'version'"),
        (VERSIONS, "version_number = 1.5", "version is a whole number, but its value is 1.5"),
        (VERSIONS, "version_number = '1_0'", "write a whole number"),
        (VERSIONS, "version_number = '١'", "write a whole number"),
        (VERSIONS, "version_number = '--1'", "write a whole number"),
        (VERSIONS, "stage = 'Prod'", "Value must be one of None, Staging, Production, Archived"),
        (VERSIONS, "datasets.name = 'x'", "model versions have no 'datasets' fields"),
    ],
)
def test_a_field_of_another_subject_or_type_is_refused(subject, text, reason):
    with pytest.raises(InvalidFilterError) as caught:
        parse_filter(text, subject)
    assert reason in str(caught.value)


def test_the_caret_stays_in_view_of_a_long_filter():
    with pytest.raises(InvalidFilterError) as caught:
        run_filter("status = 'x' AND " * 20 + "metrics.loss > 'a\tb' AND " + "status = 'x' AND " * 20)
    first, excerpt, caret = str(caught.value).splitlines()
    assert first.startswith("Invalid filter at character 356: metrics.loss is a number")
    assert max(len(excerpt), len(caret)) <= 84
    assert excerpt[caret.index("^") :].startswith("'a b' AND")


@pytest.mark.parametrize("value", [3, b"status = 'x'", ["status = 'x'"], 0, False])
def test_a_filter_that_is_no_text_is_refused(value):
    with pytest.raises(InvalidTypeError, match="A filter must be a string"):
        run_filter(value)


def test_depth_is_bounded():
    assert run_filter("(" * MAX_DEPTH + "metrics.a>1" + ")" * MAX_DEPTH) == A
    for hostile in ("(" * (MAX_DEPTH + 1) + "metrics.a>1" + ")" * (MAX_DEPTH + 1), "NOT " * 40_000 + "metrics.a>1"):
        with pytest.raises(InvalidFilterError, match="parentheses and NOT may be at most 50 deep"):
            run_filter(hostile)


def test_length_is_bounded():
    most = " AND ".join(["metrics.a>1"] * MAX_COMPARISONS)
    assert run_filter(most) == And((A,) * MAX_COMPARISONS)
    with pytest.raises(InvalidFilterError, match="may have at most 200 comparisons"):
        run_filter(f"{most} AND metrics.a>1")
    with pytest.raises(InvalidFilterError, match="may have at most 10000 values"):
        run_filter(f"run_id IN ({','.join(['1'] * (MAX_VALUES + 1))})".replace("1", "'1'"))
    with pytest.raises(InvalidFilterError, match="A filter may have at most 200000 characters; this one has 200001"):
        run_filter(" " * (MAX_LENGTH + 1))


@pytest.mark.parametrize(
    "hostile",
    [
        "'" * MAX_LENGTH,
        "status = " + "'" * 99_999,
        "`" * 99_999,
        "metrics." * 20_000,
        "(" * MAX_LENGTH,
        "a" * MAX_LENGTH,
        "1" * MAX_LENGTH,
        "metrics.a > " + "9" * 100_000,
        "metrics.a > 1e" + "9" * 100_000,
        "start_time > " + "9" * 100_000,
        "\n" * 100_000 + "'",
    ],
)
def test_a_hostile_filter_is_refused(hostile):
    with pytest.raises(InvalidFilterError):
        run_filter(hostile)


@pytest.mark.parametrize(
    ("subject", "clause", "key"),
    [
        (RUNS, "start_time", OrderBy(attribute("start_time"))),
        (RUNS, "attributes.created DESC", OrderBy(attribute("start_time"), ascending=False)),
        (RUNS, "metrics.loss asc", OrderBy(LOSS)),
        (RUNS, "metrics.`a b`  Desc ", OrderBy(Field(Kind.METRIC, "a b"), ascending=False)),
        (RUNS, 'params."a b"', OrderBy(Field(Kind.PARAM, "a b"))),
        (RUNS, "tag.desc DESC", OrderBy(Field(Kind.TAG, "desc"), ascending=False)),
        (Subject.EXPERIMENTS, "last_update_time DESC", OrderBy(attribute("last_update_time"), ascending=False)),
        (Subject.REGISTERED_MODELS, "timestamp ASC", OrderBy(attribute("last_updated_timestamp"))),
        (VERSIONS, "version_number DESC", OrderBy(attribute("version"), ascending=False)),
        (VERSIONS, "metrics.f1_score DESC", OrderBy(Field(Kind.METRIC, "f1_score"), ascending=False)),
    ],
)
def test_a_clause_orders_by_one_field(subject, clause, key):
    assert parse_order_by([clause], subject) == (key,)
    assert parse_order_by([str(key)], subject) == (key,)


def test_no_clauses_give_no_order():
    assert parse_order_by(None, RUNS) == ()
    assert parse_order_by([], RUNS) == ()


@pytest.mark.parametrize(
    ("subject", "clauses", "reason"),
    [
        (RUNS, [""], "expected a field, but the text ends"),
        (RUNS, ["foo"], "runs have no attribute 'foo'"),
        (RUNS, ["start_time DOWN"], "expected ASC or DESC or the end, found 'DOWN'"),
        (RUNS, ["start_time DESC NULLS LAST"], "expected the end, found 'NULLS'"),
        (RUNS, ["start_time, end_time"], "found ','"),
        (RUNS, ["start_time; DROP TABLE runs"], "found ';'"),
        (RUNS, ["dataset.name"], "can have many values, so it cannot be sorted by"),
        (VERSIONS, ["alias"], "can have many values, so it cannot be sorted by"),
        (VERSIONS, ["ever_stage"], "can have many values, so it cannot be sorted by"),
        (RUNS, ["start_time", "attributes.Created DESC"], "contains duplicate fields: start_time is named more"),
        (RUNS, ["metrics.a", "metrics.`a`"], "contains duplicate fields: metrics.a"),
        (RUNS, [f"metrics.a{n}" for n in range(21)], "may have at most 20 clauses"),
        (RUNS, ["metrics." + "a" * 1000], "may have at most 1000 characters"),
    ],
)
def test_an_order_that_cannot_be_is_refused(subject, clauses, reason):
    with pytest.raises(InvalidFilterError) as caught:
        parse_order_by(clauses, subject)
    assert reason in str(caught.value)


@pytest.mark.parametrize("order_by", ["start_time", 3, {"start_time"}, [3], [None]])
def test_an_order_that_is_no_list_of_texts_is_refused(order_by):
    with pytest.raises(InvalidTypeError):
        parse_order_by(order_by, RUNS)


@given(st.sampled_from(list(Subject)).flatmap(lambda subject: st.tuples(st.just(subject), nodes(subject))))
def test_the_text_of_a_node_parses_back_to_it(subject_and_node):
    subject, node = subject_and_node
    assert parse_filter(str(node), subject) == node


PIECES = st.sampled_from(
    [
        "metrics.a",
        "params.`",
        "status",
        " AND ",
        " OR ",
        "NOT ",
        "(",
        ")",
        " IN ",
        " IS NULL",
        "=",
        ">",
        "'",
        '"',
        ",",
        "1",
    ]
)


@given(st.lists(PIECES | st.text(max_size=4), max_size=12).map("".join), st.sampled_from(list(Subject)))
@example("metrics.a\u2028> 1", RUNS)
@example("metrics.a > ٣", RUNS)
def test_any_text_is_a_stable_node_or_an_error_of_its_own_kind(text, subject):
    try:
        node = parse_filter(text, subject)
    except InvalidFilterError:
        return
    assert node is None or parse_filter(str(node), subject) == node


@given(st.lists(PIECES | st.text(max_size=4), max_size=5).map("".join), st.sampled_from(list(Subject)))
def test_any_clause_is_a_stable_key_or_an_error_of_its_own_kind(text, subject):
    try:
        keys = parse_order_by([text], subject)
    except InvalidFilterError:
        return
    assert parse_order_by([str(key) for key in keys], subject) == keys


def test_the_parser_generator_is_imported_on_first_use_only():
    program = "import sys, registry.filters as f; assert 'lark' not in sys.modules; f.parse_filter('', f.Subject.RUNS)"
    checked = subprocess.run([sys.executable, "-c", f"{program}; print('lark' in sys.modules)"], capture_output=True)
    assert checked.stdout.decode().strip() == "False", checked.stderr.decode()

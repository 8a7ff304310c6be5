"""Random texts for the parsers of filters, orders and page tokens: each gives a value or one of our errors."""

import pytest
from filter_nodes import nodes
from hypothesis import HealthCheck, given, settings, strategies as st
from searched_runs import NAN, log_run
from volumes import volume

from registry import MlflowClient
from registry.exceptions import InvalidFilterError, RegistryError
from registry.filters import Field, Kind, OrderBy, Subject, parse_filter, parse_order_by

pytestmark = pytest.mark.storm

EXAMPLES = volume(50_000, 2_500)
STORM = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))

WORDS = st.sampled_from(
    "metrics. params. tags. datasets. attributes. `a b` a \"a\" 'it''s' '%' 1 -2.5e3 1e999 = != <> == > <= LIKE ILIKE "
    "IN NOT IS NULL AND OR ( ) , ; -- /* */ \\ ' \" ` . .. stage ever_stage alias start_time 2026-03-01 ASC DESC name "
    "version run_id \x00 \ud800 \u2028 ٣ é 𝟏 \ufeff".split(" ")
)
TEXTS = st.lists(WORDS | st.text(max_size=3), max_size=24).map(" ".join) | st.lists(WORDS, max_size=30).map("".join)
SUBJECTS = st.sampled_from(list(Subject))


@STORM
@given(TEXTS, SUBJECTS)
def test_any_filter_is_a_value_that_writes_itself_or_an_error_of_ours(text: str, subject: Subject) -> None:
    try:
        node = parse_filter(text, subject)
    except InvalidFilterError as error:
        excerpt = str(error).splitlines()[1:]
    else:
        assert node is None or parse_filter(str(node), subject) == node
        return
    assert max(map(len, excerpt)) <= 84


@STORM
@given(TEXTS, SUBJECTS)
def test_any_order_is_a_value_that_writes_itself_or_an_error_of_ours(text: str, subject: Subject) -> None:
    try:
        keys = parse_order_by([text], subject)
    except InvalidFilterError:
        return
    assert parse_order_by([str(key) for key in keys], subject) == keys


def filled(url: str) -> MlflowClient:
    client = MlflowClient(url)
    for number, (metrics, params) in enumerate(
        [({"a": 1.0}, {"a": "A"}), ({"a": NAN, "b": -1.0}, {"b": "a%"}), ({}, {})]
    ):
        log_run(client, f"r{number}", start=number * 1_000, metrics=metrics, params=params, end=number or None)
    return client


KEYED = st.sampled_from([Field(kind, key) for kind in (Kind.METRIC, Kind.PARAM, Kind.TAG) for key in "abc"])


# What parses runs, and finds the same on both databases.
@settings(STORM, max_examples=EXAMPLES // 10)
@given(data=st.data())
def test_any_filter_and_order_find_the_same_on_both_databases(both: list[MlflowClient], data: st.DataObject) -> None:
    text = str(data.draw(nodes(Subject.RUNS)))
    keys = data.draw(st.lists(KEYED, max_size=2, unique=True))
    order_by = [str(OrderBy(key, ascending=data.draw(st.booleans()))) for key in keys]

    found = [
        [run.info.run_name for run in client.search_runs(["0"], text, order_by=[*order_by, "run_name"])]
        for client in both
    ]

    assert found[0] == found[1], text


@pytest.fixture
def both(sqlite_url: str, postgres_url: str) -> list[MlflowClient]:
    return [filled(url) for url in (sqlite_url, postgres_url)]


@settings(STORM, max_examples=EXAMPLES // 10)
@given(st.text(max_size=80) | st.binary(max_size=80))
def test_any_token_but_the_right_one_is_an_error_of_ours(both: list[MlflowClient], token: str | bytes) -> None:
    if token in ("", b""):
        return
    with pytest.raises(RegistryError):
        both[0].search_runs(["0"], page_token=token)  # type: ignore[arg-type]

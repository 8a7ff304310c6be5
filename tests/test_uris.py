"""The grammar of URIs: a parsed URI is canonical and stable, an error says what was expected."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given, strategies as st

from registry.exceptions import InvalidUriError, RegistryError
from registry.uris import (
    LocalUri,
    LoggedModelUri,
    ModelAliasUri,
    ModelLatestUri,
    ModelStageUri,
    ModelVersionUri,
    RunUri,
    S3Uri,
    parse,
    parse_location,
    parse_models,
)
from registry.validation.names import check_alias, check_model_name
from registry.validation.paths import check_path

MODEL_ID = "m-0123456789abcdef0123456789abcdef"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("file:///a%20b", "/a b"),
        ("file:///a%2520b", "/a%20b"),
        ("file:/tmp/%C3%A9/%3F%23%25", "/tmp/é/?#%"),
        ("file:./a%20b", "./a b"),
        ("file://localhost/%2e%2e", "/.."),
        ("/a%20b", "/a%20b"),
        ("./100%", "./100%"),
    ],
)
def test_a_file_uri_is_decoded_once_and_a_plain_path_never(text, path):
    assert parse(text) == LocalUri(path)
    assert parse_location(text) == LocalUri(path)


@pytest.mark.parametrize("name", ["a b", "100%", "a%20b", "what?", "hash#1", "é", "a+b&c=d", "x:y"])
def test_what_pathlib_writes_as_a_uri_names_the_same_path(name, tmp_path):
    assert parse((tmp_path / name).as_uri()) == LocalUri(str(tmp_path / name))


@pytest.mark.parametrize(
    "text",
    [
        *("s3://user:secret@bucket/x", "s3://key:se@cret@bucket", "s3a://user:secret@b", "gs://secret@b/x"),
        *("https://host/x?X-Amz-Signature=secret", "s3://b/x?token=secret&y=1", "http://u:secret/x@host"),
    ],
)
def test_no_message_shows_a_secret(text):
    with pytest.raises(InvalidUriError) as caught:
        parse(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value", "canonical"),
    [
        ("models:/churn/1", ModelVersionUri("churn", 1), "models:/churn/1"),
        ("models:/churn/007", ModelVersionUri("churn", 7), "models:/churn/7"),
        ("models:/churn/0", ModelVersionUri("churn", 0), "models:/churn/0"),
        ("MODELS:/churn/1/", ModelVersionUri("churn", 1), "models:/churn/1"),
        ("models:/a b%20c/1", ModelVersionUri("a b%20c", 1), "models:/a b%20c/1"),
        ("models:/7/7/7", ModelVersionUri("7", 7, "7"), "models:/7/7/7"),
        ("models:/m-12/3", ModelVersionUri("m-12", 3), "models:/m-12/3"),
        ("models:/churn/1/a/b.txt", ModelVersionUri("churn", 1, "a/b.txt"), "models:/churn/1/a/b.txt"),
        ("models:/churn/pRODUCTION", ModelStageUri("churn", "Production"), "models:/churn/Production"),
        ("models:/churn/none", ModelStageUri("churn", "None"), "models:/churn/None"),
        ("models:/churn/Staging/MLmodel", ModelStageUri("churn", "Staging", None, "MLmodel"), None),
        ("models:/churn/Staging?at=2026-03-01T12:00:00Z", ModelStageUri("churn", "Staging", NOON), None),
        (
            "models:/churn/staging/a/b?at=2026-03-01 13:00+01:00",
            ModelStageUri("churn", "Staging", NOON, "a/b"),
            "models:/churn/Staging/a/b?at=2026-03-01T12:00:00Z",
        ),
        ("models:/churn/LATEST", ModelLatestUri("churn"), "models:/churn/latest"),
        ("models:/churn@latest", ModelLatestUri("churn"), "models:/churn/latest"),
        ("models:/churn@champion", ModelAliasUri("churn", "champion"), None),
        ("models:/churn@champion/1", ModelAliasUri("churn", "champion", None, "1"), None),
        ("models:/churn@1?at=2026-03-01T12:00:00Z", ModelAliasUri("churn", "1", NOON), None),
        (f"models:/{MODEL_ID}", LoggedModelUri(MODEL_ID), None),
        (f"models:/{MODEL_ID}/a/b", LoggedModelUri(MODEL_ID, "a/b"), None),
        (f"models:/{MODEL_ID}/1", LoggedModelUri(MODEL_ID, "1"), None),
        ("runs:/abc123/model", RunUri("abc123", "model"), None),
        ("Runs:/abc123/plots/a b.png", RunUri("abc123", "plots/a b.png"), "runs:/abc123/plots/a b.png"),
        ("runs:/abc123/model/", RunUri("abc123", "model"), "runs:/abc123/model"),
        ("runs:/abc123", RunUri("abc123"), "runs:/abc123"),
        ("s3://my-bucket/a/b/", S3Uri("my-bucket", "a/b"), "s3://my-bucket/a/b"),
        ("S3://my-bucket", S3Uri("my-bucket"), "s3://my-bucket"),
        ("s3://my-bucket/100%25/x", S3Uri("my-bucket", "100%25/x"), None),
        ("file:///data/model", LocalUri("/data/model"), "/data/model"),
        ("file://localhost/data/model", LocalUri("/data/model"), "/data/model"),
        ("file:/data/model", LocalUri("/data/model"), "/data/model"),
        ("file:./mlruns", LocalUri("./mlruns"), "./mlruns"),
        ("/data/50%#1?/model", LocalUri("/data/50%#1?/model"), None),
        ("../model", LocalUri("../model"), None),
        ("./a:b", LocalUri("./a:b"), None),
        (r"C:\models\churn", LocalUri(r"C:\models\churn"), None),
    ],
)
def test_a_form_parses_to_its_value_and_has_one_canonical_text(text, value, canonical):
    parsed = parse(text)
    assert parsed == value
    assert str(parsed) == (canonical or text)
    assert parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("models:/churn", "without a version, stage, 'latest' or @alias"),
        ("models:/m-0123", "without a version, stage, 'latest' or @alias"),
        ("models:/" + MODEL_ID.upper(), "without a version, stage, 'latest' or @alias"),
        ("models:/churn/", "without a version, stage, 'latest' or @alias"),
        ("models:/", "is expected after 'models:/'"),
        ("models:churn/1", "is expected after 'models:/'"),
        ("models://churn/1", "is expected after 'models:/'"),
        ("models://profile/churn/1", "is expected after 'models:/'"),
        ("models:/churn//1", "is expected after 'models:/'"),
        ("models:/churn@", "write one '@'"),
        ("models:/@champion", "write one '@'"),
        ("models:/a@b@c", "write one '@'"),
        ("models:/churn/1@champion", "write one '@'"),
        ("models:/churn/Prod", "stage (None, Staging, Production, Archived)"),
        ("models:/churn/Prod", "for an alias write 'models:/churn@Prod'"),
        ("models:/churn/-1", "neither a version (digits)"),
        ("models:/churn/+1", "neither a version (digits)"),
        ("models:/churn/1.0", "neither a version (digits)"),
        ("models:/churn/1_0", "neither a version (digits)"),
        ("models:/churn/ 1", "neither a version (digits)"),
        ("models:/churn/²", "neither a version (digits)"),
        ("models:/churn/١", "neither a version (digits)"),
        ("models:/churn/" + "9" * 19, "must be an integer"),
        ("models:/churn@v1", "reserved for versions"),
        ("models:/churn@a b", "Invalid alias name"),
        ("models:/../1", "'.' and '..' are not names"),
        ("models:/a:b/1", "Names cannot contain"),
        ("models:/ a/1", "begins or ends with a blank"),
        (f"models:/{MODEL_ID}@champion", "form of a logged model's id"),
        ("models:/cafe\u0301/1", "normal form C"),
        ("models:/churn/1\n", "control character"),
        ("models:/churn\u0000/1", "control character"),
        ("models:/churn\u200b/1", "unprintable character"),
        ("models:/churn/1#x", "'1#x' is neither a version"),
        ("models:/churn/1/#/../../etc", "has the segment '..'"),
        ("models:/churn/1?x=2", "the only query is '?at="),
        ("models:/churn/Staging?at=", "the only query is '?at="),
        ("models:/churn/Staging?at=2026-03-01T12:00:00Z&x=1", "the only query is '?at="),
        ("models:/churn/Staging?at=2026-03-01T12:00:00Z/a", "is not an ISO time"),
        ("models:/churn/Staging?at=2026-03-01T12:00:00", "has no time zone"),
        ("models:/churn/Staging?at=2026-03-01", "is not an ISO time"),
        ("models:/churn/Staging?at=2026-02-30T12:00:00Z", "is not a valid date and time"),
        ("models:/churn/Staging?at=0001-01-01T00:00:00+14:00", "is not a valid date and time"),
        ("models:/churn/1?at=2026-03-01T12:00:00Z", "goes with a stage or an alias"),
        ("models:/churn/latest?at=2026-03-01T12:00:00Z", "goes with a stage or an alias"),
        (f"models:/{MODEL_ID}?at=2026-03-01T12:00:00Z", "goes with a stage or an alias"),
        ("models:/churn/1/../2", "has the segment '..'"),
        ("models:/churn/1//etc/passwd", "is absolute"),
        ("models:/churn/1/a//b", "has the segment ''"),
        ("models:/churn/1//", "is expected after 'models:/'"),
        (r"models:/churn/1/..\..\x", "has a backslash"),
        ("runs:/", "'runs:/<run_id>/<path>'"),
        ("runs:abc/model", "'runs:/<run_id>/<path>'"),
        ("runs://profile/abc/model", "'runs:/<run_id>/<path>'"),
        ("runs:/abc/model?at=2026-03-01T12:00:00Z", "'runs:/<run_id>/<path>'"),
        ("runs:/a.b/model", "Invalid value 'a.b' for parameter 'run_id' supplied"),
        ("runs:/abc/../../x", "has the segment '..'"),
        ("runs:/abc//x", "is absolute"),
        ("s3:/bucket/x", "'s3://<bucket>/<prefix>'"),
        ("s3:///x", "'s3://<bucket>/<prefix>'"),
        ("s3://a..b/x", "'s3://<bucket>/<prefix>'"),
        ("s3://user:secret@bucket/x", "'s3://<bucket>/<prefix>'"),
        ("s3://bucket/a?versionId=1", "'s3://<bucket>/<prefix>'"),
        ("s3://bucket/a/../b", "has the segment '..'"),
        ("s3://bucket/a//b", "has the segment ''"),
        ("file://host/share", "on this machine"),
        ("file:////proc/self/root", "on this machine"),
        ("file:///a%2/b", "two hexadecimal digits"),
        ("file:///a%zz", "two hexadecimal digits"),
        ("file:///a%2fb", "no name has a '/'"),
        ("file:///a%ff", "not UTF-8"),
        ("file:///a%0ab", "control character"),
        ("file:///a%00b", "control character"),
        ("file:///a?b", "written '%3F' and '%23'"),
        ("file:models%3A/churn/1", "is not a path"),
        ("file:", "on this machine"),
        ("file:models:/churn/1", "is not a path"),
        ("http://169.254.169.254/latest", "the scheme 'http' is not known"),
        ("mlflow-artifacts:/1/x", "the scheme 'mlflow-artifacts' is not known"),
        ("model:/churn/1", "the scheme 'model' is not known"),
        ("", "it is empty"),
        ("  ", "it is empty"),
        ("x" * 4097, "more than 4096"),
    ],
)
def test_what_is_no_uri_is_refused_with_what_was_expected(text, expected):
    with pytest.raises(InvalidUriError) as caught:
        parse(text)
    assert expected in str(caught.value)
    shown = text if "@" not in text and "://" not in text else text.partition("//")[0]
    assert repr(shown[:40])[1:-1] in str(caught.value)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize("value", [None, 3, b"models:/churn/1", ["models:/churn/1"]])
def test_what_is_no_text_is_refused(value):
    with pytest.raises(InvalidUriError, match="must be a string"):
        parse(value)


def test_a_path_object_is_a_local_path():
    assert parse(Path("data/model")) == LocalUri("data/model")


def test_every_known_form_is_listed_when_none_fits():
    with pytest.raises(InvalidUriError) as caught:
        parse("ftp://host/x")
    for form in ("models:/name/version", "models:/name@alias", "models:/model_id", "runs:/", "s3://", "file:/"):
        assert form in str(caught.value)


def test_a_whole_model_is_asked_for_by_refusing_subpaths():
    assert parse_models("models:/churn/1/") == ModelVersionUri("churn", 1)
    assert parse_models("models:/churn/1/a", subpath=True) == ModelVersionUri("churn", 1, "a")
    with pytest.raises(InvalidUriError, match="a whole model is expected here, not the path 'a' inside one"):
        parse_models("models:/churn/1/a")
    with pytest.raises(InvalidUriError, match="a whole model is expected here"):
        parse("models:/churn@champion/a", subpath=False)
    assert parse("runs:/abc/model", subpath=False) == RunUri("abc", "model")


@pytest.mark.parametrize("text", ["runs:/abc/model", "churn", "s3://bucket/x"])
def test_a_models_uri_is_asked_for_by_refusing_the_others(text):
    with pytest.raises(InvalidUriError, match="Models URIs are"):
        parse_models(text)


def test_a_location_is_a_place_for_files():
    assert parse_location("s3://bucket/x") == S3Uri("bucket", "x")
    assert parse_location("mlruns") == LocalUri("mlruns")
    with pytest.raises(InvalidUriError, match="a place for files is expected"):
        parse_location("models:/churn/1")


def test_microseconds_of_a_moment_survive():
    text = "models:/churn/Production?at=2026-03-01T12:00:00.000001Z"
    assert parse(text) == ModelStageUri("churn", "Production", NOON.replace(microsecond=1))
    assert str(parse(text)) == text


def accepted(check):
    def passes(text):
        try:
            check(text)
        except RegistryError:
            return False
        return True

    return passes


NAMES = st.text(min_size=1, max_size=20).filter(accepted(check_model_name))
ALIASES = st.text("abcXYZ019_-é", min_size=1, max_size=12).filter(accepted(check_alias))
PATHS = st.none() | st.text("ab ./é%-", min_size=1, max_size=20).filter(accepted(check_path))
TIMES = st.none() | st.datetimes(timezones=st.just(UTC))
STAGES = st.sampled_from(["None", "Staging", "Production", "Archived"])
HELD_STAGES = st.sampled_from(["Staging", "Production"])
VALUES = st.one_of(
    st.builds(ModelVersionUri, NAMES, st.integers(0, 10**18 - 1), PATHS),
    st.builds(ModelStageUri, NAMES, STAGES, st.none(), PATHS),
    st.builds(ModelStageUri, NAMES, HELD_STAGES, TIMES, PATHS),
    st.builds(ModelLatestUri, NAMES, PATHS),
    st.builds(ModelAliasUri, NAMES, ALIASES, TIMES, PATHS),
    st.builds(LoggedModelUri, st.just(MODEL_ID), PATHS),
    st.builds(RunUri, st.from_regex(r"[a-z0-9][\w\-]{0,10}", fullmatch=True), PATHS),
    st.builds(S3Uri, st.just("bucket"), PATHS.map(lambda path: path or "")),
)


@given(VALUES)
def test_the_text_of_a_value_parses_back_to_it(value):
    assert parse(str(value)) == value


PIECES = st.sampled_from(["models:/", "runs:/", "s3://", "file:", "/", "@", "?at=", "#", "..", "1", "latest", MODEL_ID])


@given(st.lists(PIECES | st.text(max_size=5), max_size=8).map("".join))
@example("models:/" + "/@" * 2000)
@example("models:/a/1" + "/" * 4000)
@example("models:/a/1/" + "a/" * 2000 + "?at")
def test_any_text_is_a_stable_value_or_an_error_of_its_own_kind(text):
    try:
        value = parse(text)
    except InvalidUriError:
        return
    assert parse(str(value)) == value
    assert str(parse(str(value))) == str(value)

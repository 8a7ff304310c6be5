"""Profiles: what they say of columns, how they are stored, merged, and built from more rows than fit."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow
import pyarrow.parquet
import pytest
from monitored_games import estimator, games

from registry.exceptions import InvalidParameterError, InvalidTypeError
from registry.monitoring import PrivacyRules, Profile, make_profile
from registry.monitoring.performance import Performance
from registry.monitoring.profiles import METADATA_KEY, ProfileBuilder, merge_profiles


def test_a_profile_describes_numbers_categories_and_times() -> None:
    frame = pd.DataFrame(
        {
            "gap": [1.0, 2.0, 3.0, np.nan, np.inf],
            "venue": ["home", "away", "home", None, "home"],
            "indoor": [True, False, True, True, False],
            "day": pd.to_datetime(["2026-01-01", "2026-01-02", None, "2026-01-02", "2026-01-03"], utc=True),
        }
    )
    profile = make_profile(frame, predictions=[1, 0, 1, 1, 0], targets=[1.5, 2.5, 0.0, 0.0, 0.0])

    gap = profile.get("input", "gap")
    assert (gap.kind, gap.count, gap.missing, gap.minimum, gap.maximum, gap.mean) == ("number", 5, 2, 1.0, 3.0, 2.0)
    assert gap.std == pytest.approx(np.std([1, 2, 3]))
    assert (len(gap.quantiles), gap.quantiles[0], gap.quantiles[50], gap.quantiles[100]) == (101, 1.0, 2.0, 3.0)
    assert sum(gap.counts) == gap.present == 3
    venue = profile.get("input", "venue")
    assert (venue.kind, venue.missing, venue.categories, venue.other) == ("category", 1, {"home": 3, "away": 1}, 0)
    assert venue.singletons == 1
    assert profile.get("input", "indoor").categories == {"True": 3, "False": 2}
    day = profile.get("input", "day")
    assert (day.kind, day.missing, day.minimum) == ("time", 1, 1_767_225_600_000.0)
    assert profile.get("prediction", "prediction").categories == {"1": 3, "0": 2}
    assert profile.get("target", "target").kind == "number"
    assert profile.performance is None  # classes are not compared with numbers
    with pytest.raises(InvalidParameterError, match="has no input column 'rest'; it has input gap, input venue"):
        profile.get("input", "rest")


def test_a_profile_is_the_same_after_it_was_stored() -> None:
    inputs, won = games(300)
    frame = inputs.assign(venue=np.where(won, "home", None), empty=np.nan, nothing=None)
    profile = make_profile(frame, estimator().predict(inputs), won)
    again = Profile.from_parquet(profile.to_parquet())

    assert again.to_dict() == profile.to_dict()
    assert again.sample is not None
    assert profile.sample is not None
    pd.testing.assert_frame_equal(
        again.sample.drop(columns=["input.venue", "input.nothing"]),
        profile.sample.drop(columns=["input.venue", "input.nothing"]),
        check_dtype=False,
    )
    assert again.values("input", "venue").tolist() == profile.values("input", "venue").tolist()
    assert repr(again) == "Profile(300 rows, 7 columns, 300 sampled rows)"


def test_the_file_is_parquet_that_others_can_read() -> None:
    data = make_profile(games(50)[0]).to_parquet()
    table = pyarrow.parquet.read_table(io.BytesIO(data))

    assert table.column_names == ["input.gap", "input.rest", "sample_key"]
    described = json.loads(table.schema.metadata[METADATA_KEY])
    assert (described["format"], described["rows"], described["columns"][0]["name"]) == (1, 50, "gap")


@pytest.mark.parametrize("data", [b"", b"PAR1", b"no parquet at all", make_profile(games(5)[0]).to_parquet()[:-20]])
def test_a_damaged_file_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidParameterError, match="This is no"):
        Profile.from_parquet(data)


def test_a_parquet_file_of_something_else_is_refused() -> None:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), buffer)
    with pytest.raises(InvalidParameterError, match="This is no profile of format 1"):
        Profile.from_parquet(buffer.getvalue())
    with pytest.raises(InvalidParameterError, match="This is no profile: KeyError"):
        Profile.from_dict({"format": 1})


def test_pandas_polars_arrow_arrays_and_files_give_the_same_profile(tmp_path: Path) -> None:
    inputs, _ = games(250)
    expected = make_profile(inputs).to_dict()
    path = tmp_path / "games.parquet"
    inputs.to_parquet(path)
    batches: Iterator[Any] = iter([inputs.iloc[:100], inputs.iloc[100:]])

    assert make_profile(polars.from_pandas(inputs)).to_dict() == expected
    assert make_profile(pyarrow.Table.from_pandas(inputs)).to_dict() == expected
    assert make_profile({"gap": inputs["gap"], "rest": inputs["rest"]}).to_dict() == expected
    assert make_profile(path).to_dict() == expected
    columns = make_profile(inputs.to_numpy()).columns
    assert [(column.name, column.counts) for column in columns] == [
        ("input_0", tuple(expected["columns"][0]["counts"])),
        ("input_1", tuple(expected["columns"][1]["counts"])),
    ]
    batched = make_profile(batches).to_dict()
    for one, other in zip(batched["columns"], expected["columns"], strict=True):
        assert one.pop("mean") == pytest.approx(other.pop("mean"))
        assert one.pop("std") == pytest.approx(other.pop("std"))
    assert batched == expected


def test_predictions_and_targets_may_be_columns_of_the_data(tmp_path: Path) -> None:
    inputs, won = games(100)
    frame = inputs.assign(won=won, guess=won)
    path = tmp_path / "games.parquet"
    frame.to_parquet(path)

    for data in (frame, path, pyarrow.Table.from_pandas(frame)):
        profile = make_profile(data, predictions="guess", targets="won")
        assert [column.key for column in profile.columns] == [
            ("input", "gap"),
            ("input", "rest"),
            ("prediction", "guess"),
            ("target", "won"),
        ]
        assert profile.performance == Performance("accuracy", 100, 0.0, 0.0)
    with pytest.raises(InvalidParameterError, match="The data has no column 'lost'; it has gap, rest, won, guess"):
        make_profile(frame, targets="lost")
    with pytest.raises(InvalidTypeError, match="the data must have named columns"):
        make_profile(inputs.to_numpy(), targets="won")
    with pytest.raises(InvalidParameterError, match="cannot be read as Parquet"):
        make_profile(tmp_path / "absent.parquet")


def test_a_long_file_is_profiled_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "games.parquet"
    with pyarrow.parquet.ParquetWriter(path, pyarrow.schema([("gap", pyarrow.float64())])) as writer:
        for number in range(20):
            values = np.random.default_rng(number).normal(size=50_000)
            writer.write_table(pyarrow.table({"gap": values}))
    profile = make_profile(path, sample_rows=100)

    gap = profile.get("input", "gap")
    assert (profile.rows, gap.count, sum(gap.counts)) == (1_000_000, 1_000_000, 1_000_000)
    assert profile.sample is not None
    assert len(profile.sample) == 100
    assert abs(gap.quantiles[50]) < 0.01
    assert max(gap.counts) - min(gap.counts) < 2_000  # bins are the tenths of the data


def test_without_a_sample_there_are_no_rows() -> None:
    profile = make_profile(games(50)[0], sample_rows=0)
    assert profile.sample is None
    assert profile.values("input", "gap") is None
    assert Profile.from_parquet(profile.to_parquet()).sample is None
    with pytest.raises(InvalidParameterError, match="sample_rows must be an integer of 0 or more, got -1"):
        make_profile(games(5)[0], sample_rows=-1)


def test_personal_columns_are_left_out_or_hashed_before_anything_is_written() -> None:
    inputs, _ = games(50)
    frame = inputs.assign(
        email=[f"ann{i}@example.org" for i in range(50)], player=[f"player {i % 3}" for i in range(50)], age=33
    )
    rules = PrivacyRules(exclude=["*mail"], hash=["player", "age"], key="secret")
    profile = make_profile(frame, rules=rules)
    data = profile.to_parquet()

    assert [column.name for column in profile.columns] == ["gap", "rest", "player", "age"]
    player = profile.get("input", "player")
    assert sorted((player.categories or {}).values()) == [16, 17, 17]
    assert (player.categories or {})[rules.digest("player 0")] == 17
    assert rules.digest("player 0") != PrivacyRules(key="other").digest("player 0")
    assert (profile.get("input", "age").categories or {}) == {rules.digest("33"): 50}
    for text in (b"ann1", b"example.org", b"player 1", b"secret"):
        assert text not in data
    assert "secret" not in repr(rules)


def test_bins_of_a_reference_are_used_again_so_that_counts_can_be_compared() -> None:
    reference = make_profile(games(500)[0])
    builder = ProfileBuilder(like=reference)
    builder.add(games(100, seed=1)[0])
    window = builder.finish()

    assert window.get("input", "gap").edges == reference.get("input", "gap").edges
    assert sum(window.get("input", "gap").counts) == 100
    with pytest.raises(InvalidParameterError, match="All batches of a profile must have the same columns"):
        builder.add(games(10)[0][["gap"]])


def test_profiles_of_parts_are_merged() -> None:
    reference = make_profile(games(500)[0].assign(venue="home"))
    parts, frames = [], []
    for seed in (1, 2):
        inputs, won = games(100 * seed, seed)
        frames.append(inputs.assign(venue=np.where(won, "home", "away")))
        builder = ProfileBuilder(like=reference, seed=seed)
        builder.add(frames[-1], won, won)
        parts.append(builder.finish())
    merged, whole = merge_profiles(parts), pd.concat(frames)

    assert merged.rows == 300
    gap = merged.get("input", "gap")
    assert (gap.count, gap.minimum, gap.maximum) == (300, whole["gap"].min(), whole["gap"].max())
    assert sum(gap.counts) == 300
    assert merged.get("input", "venue").categories == whole["venue"].value_counts().to_dict()
    assert merged.performance == Performance("accuracy", 300, 0.0, 0.0)
    assert merged.sample is not None
    assert len(merged.sample) == 300
    assert merge_profiles([]).rows == 0


def test_parts_with_other_bins_have_no_common_histogram() -> None:
    parts = [make_profile(games(100, seed)[0]) for seed in (1, 2)]
    merged = merge_profiles(parts)

    assert merged.get("input", "gap").counts == ()
    assert merged.get("input", "gap").minimum == min(part.get("input", "gap").minimum or 0 for part in parts)
    assert merge_profiles([make_profile(games(9)[0], sample_rows=0), parts[0]]).sample is None
    empty = make_profile(pd.DataFrame({"gap": [np.nan, np.nan]}))
    assert merge_profiles([empty, empty]).get("input", "gap").missing == 4


@pytest.mark.parametrize(
    ("predictions", "targets", "metric", "value"),
    [
        ([1, 0, 1, 1], [1, 0, 0, 1], "accuracy", 0.75),
        (["a", "b", "a", "a"], ["a", "b", "b", "a"], "accuracy", 0.75),
        ([1.5, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 5.5], "mean_absolute_error", 0.5),
        ([0.5, 0.5, 1.0, 0.0], [1, 0, 1, 0], "brier_score", 0.125),
        ([0.5, 0.5, 1.0, 0.0], [True, False, True, False], "brier_score", 0.125),
    ],
)
def test_performance_fits_the_kind_of_predictions(predictions: Any, targets: Any, metric: str, value: float) -> None:
    performance = make_profile({"a": [0.0] * 4}, predictions, targets).performance
    assert performance is not None
    assert (performance.metric, performance.value) == (metric, pytest.approx(value))
    low, high = performance.interval()
    assert low < performance.value < high


def test_performance_of_different_metrics_or_of_nothing_is_none() -> None:
    assert Performance.merge([]) is None
    assert Performance.merge([Performance("accuracy", 1, 0, 0), Performance("brier_score", 1, 0, 0)]) is None
    assert make_profile({"a": [0.0]}, [[0.1, 0.9]], [1]).performance is None  # two columns of predictions
    assert make_profile({"a": [0.0, 1.0]}, [np.nan, 1.0], [1.0, None]).performance is None
    assert make_profile({"a": [0.0, 1.0]}, [0.5, 1.0], ["x", "y"]).performance is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (7, "must be a DataFrame, an Arrow table, an array, a list or a mapping of columns, got int"),
        ([[1, 2], [3]], "must have the same length"),
        ({"a": [1], "b": [1, 2]}, "must have the same length"),
        (np.zeros((2, 2, 2)), "must have one or two dimensions; it has 3"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "'a' occurs twice"),
        (pd.DataFrame([[1]], columns=pd.Index(["\ud800"], dtype=object)), "is no Unicode text"),
    ],
)
def test_data_of_another_form_is_refused(data: Any, message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        make_profile(data)


def test_each_row_has_a_prediction() -> None:
    with pytest.raises(InvalidParameterError, match="There are 3 rows, but 2 of the prediction; give one per row"):
        make_profile({"a": [1, 2, 3]}, [1, 2])


def test_odd_values_are_texts() -> None:
    texts = pd.Series(["\ud800", "x\x00y", ""], dtype=object)
    frame = pd.DataFrame({"a": [[1], [2], [1]], "b": texts, "c": [1 + 2j, 0, 0]})
    profile = Profile.from_parquet(make_profile(frame).to_parquet())
    assert profile.get("input", "a").categories == {"[1]": 2, "[2]": 1}
    assert profile.get("input", "b").categories == {"": 1, "\\ud800": 1, "x\x00y": 1}
    assert profile.get("input", "c").kind == "category"


def test_sparse_inputs_are_read() -> None:
    from scipy.sparse import csr_matrix

    assert make_profile(csr_matrix(np.eye(3))).get("input", "input_1").mean == pytest.approx(1 / 3)

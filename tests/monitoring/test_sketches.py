"""Sketches: exact while they are small, close to it in bounded memory, and samples that stay uniform when merged."""

import numpy as np
import pandas as pd
import pytest

from registry.monitoring.sketches import SAMPLE_KEY, CategoryCounts, QuantileSketch, RowSample, merge_samples


def test_quantiles_of_a_short_stream_are_exact() -> None:
    sketch = QuantileSketch()
    for part in (np.arange(0.0, 50), np.arange(50.0, 101)):
        sketch.add(part)

    assert sketch.quantiles([0, 0.25, 0.5, 1]).tolist() == [0, 25, 50, 100]
    assert sketch.histogram(np.array([10.0, 90.0])).tolist() == [10, 80, 11]


@pytest.mark.parametrize("order", ["ascending", "shuffled"])
def test_quantiles_of_a_long_stream_are_close_and_its_memory_is_bounded(order: str) -> None:
    values = np.arange(1_000_000.0)
    if order == "shuffled":
        np.random.default_rng(0).shuffle(values)
    sketch = QuantileSketch(size=2_000)
    for part in np.array_split(values, 137):
        sketch.add(part)

    kept, weights = sketch.weighted_values()
    assert weights.sum() == 1_000_000
    assert len(kept) < 25_000
    shares = np.array([0.01, 0.1, 0.5, 0.9, 0.99])
    assert np.abs(sketch.quantiles(shares) / 1_000_000 - shares).max() < 0.004
    assert abs(int(sketch.histogram(np.array([300_000.0]))[0]) - 300_000) < 4_000


def test_counts_of_categories_are_bounded_and_add_up() -> None:
    counts = CategoryCounts(limit=10)
    for number in range(100):
        counts.add({"often": 5, f"rare {number:02}": 1})

    kept, other = counts.result(3)
    assert kept["often"] == 500
    assert len(kept) == 3
    assert sum(kept.values()) + other == 600
    assert CategoryCounts().result(3) == ({}, 0)


def test_equal_counts_are_ordered_by_name() -> None:
    counts = CategoryCounts()
    counts.add({"b": 1, "a": 1, "c": 1})

    assert counts.result(2) == ({"a": 1, "b": 1}, 1)
    assert counts.singletons == 3


def test_a_sample_is_uniform_and_bounded() -> None:
    taken = np.zeros(1_000)
    for seed in range(200):
        sample = RowSample(100, seed)
        for part in np.array_split(np.arange(1_000), 7):
            sample.add(pd.DataFrame({"row": part}))
        rows = sample.result()
        assert rows is not None
        assert len(rows) == 100
        taken[rows["row"]] += 1

    # Each row is taken in a tenth of 200 samples: 20 times, give or take 4.2; the first as often as the last.
    assert abs(taken[:500].mean() - 20) < 0.5
    assert taken.max() < 40


def test_a_sample_of_nothing_is_none() -> None:
    sample = RowSample(0)
    sample.add(pd.DataFrame({"row": [1, 2]}))

    assert sample.result() is None
    assert merge_samples([]) is None
    assert merge_samples([(pd.DataFrame({"row": []}), 0)]) is None


def test_merged_samples_of_unequal_parts_are_uniform() -> None:
    from_large = from_small = 0
    for seed in range(200):
        parts = []
        for label, rows in (("large", 10_000), ("small", 100)):
            sample = RowSample(200, seed * 2 + (label == "small"))
            sample.add(pd.DataFrame({"part": [label] * rows}))
            result = sample.result()
            assert result is not None
            parts.append((result, rows))
        merged = merge_samples(parts)
        assert merged is not None
        assert merged[SAMPLE_KEY].is_monotonic_increasing
        from_large += int((merged["part"] == "large").sum())
        from_small += int((merged["part"] == "small").sum())

    assert from_large == 200 * 200
    # A hundredth of the rows is a hundredth of the sample: 400 rows, give or take 20.
    assert 320 < from_small < 480

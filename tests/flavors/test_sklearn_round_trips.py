"""Every estimator of scikit-learn, and usual pipelines, saved and loaded without allowing code."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401
from sklearn.utils import all_estimators
from sklearn_models import PIPELINES, answers, fitted

from registry import flavors
from registry.exceptions import InvalidParameterError

ESTIMATORS = dict(all_estimators())
# docs/guides/sklearn-models.md names these, with a workaround.
CANNOT = {"Birch"}


@pytest.fixture(autouse=True)
def _quiet() -> object:
    """Ignore warnings of scikit-learn about small data; the tests compare answers before and after loading."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _same_after_loading(model: object, data: object, directory: Path) -> None:
    flavors.save_model(model, directory / "model", "sklearn")
    loaded = flavors.load_model(directory / "model", "sklearn")
    before, after = answers(model, data), answers(loaded, data)
    assert len(before) == len(after)
    for left, right in zip(before, after, strict=True):
        if left.dtype.kind == "f":  # the last bit depends on memory alignment
            np.testing.assert_allclose(left, right, rtol=1e-12, atol=1e-14)
        else:
            np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("name", sorted(ESTIMATORS.keys() - CANNOT))
def test_every_estimator_gives_the_same_answers_after_loading(name: str, tmp_path: Path) -> None:
    model, data = fitted(name, ESTIMATORS[name])
    _same_after_loading(model, data, tmp_path)


@pytest.mark.parametrize("name", sorted(CANNOT))
def test_an_estimator_that_skops_cannot_hold_is_refused_with_a_way_out(name: str, tmp_path: Path) -> None:
    model, _ = fitted(name, ESTIMATORS[name])
    with pytest.raises(InvalidParameterError, match="serialization_format='cloudpickle'"):
        flavors.save_model(model, tmp_path / "model", "sklearn")
    guide = Path(__file__).parents[2] / "docs/guides/sklearn-models.md"
    assert f"`{name}`" in guide.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PIPELINES)
def test_a_composed_pipeline_gives_the_same_answers_after_loading(name: str, tmp_path: Path) -> None:
    model, data = PIPELINES[name]()
    _same_after_loading(model, data, tmp_path)


def test_there_are_at_least_60_composed_pipelines() -> None:
    assert len(PIPELINES) >= 60

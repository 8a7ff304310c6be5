"""What is logged is checked once, at the door that it comes in by."""

import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType

import pytest
from sklearn.linear_model import LogisticRegression

import registry


def calls_of(act: Callable[[], object]) -> Counter[str]:
    """How often each function of the package is called by an action, by ``module.function``."""
    calls: Counter[str] = Counter()

    def count(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_globals.get("__name__", "").startswith("registry."):
            calls[f"{frame.f_globals['__name__'].rpartition('.')[2]}.{frame.f_code.co_name}"] += 1

    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize(
    "act",
    [
        lambda: registry.log_metric("f1", 0.5),
        lambda: registry.log_metrics({"f1": 0.5}),
        lambda: registry.log_param("depth", 3),
        lambda: registry.log_params({"depth": 3}),
        lambda: registry.set_tag("kind", "tree"),
        lambda: registry.set_tags({"kind": "tree"}),
    ],
)
def test_a_key_is_checked_once(act: Callable[[], object]) -> None:
    with registry.start_run():
        assert calls_of(act)["names.check_key"] == 1


def test_the_mlmodel_file_that_was_just_written_is_not_read_again() -> None:
    estimator = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    with registry.start_run():
        calls = calls_of(lambda: registry.sklearn.log_model(estimator, name="model"))

    assert (calls["mlmodel.save"], calls["mlmodel.load"]) == (1, 0)


@pytest.mark.parametrize("key", [["a"], {}, None, 3])
def test_a_key_of_another_type_is_one_error_and_starts_no_run(key: object) -> None:
    for act in (
        lambda: registry.log_metric(key, 1),  # type: ignore[arg-type]
        lambda: registry.log_param(key, 1),  # type: ignore[arg-type]
        lambda: registry.set_tag(key, 1),  # type: ignore[arg-type]
    ):
        with pytest.raises(registry.MlflowException):
            act()
    assert registry.active_run() is None

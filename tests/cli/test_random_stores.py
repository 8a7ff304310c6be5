"""No command cuts a character or folds a name: random stores, at every width, on a terminal and in a pipe."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
from rich.cells import cell_len

import registry
from registry.cli.formatting import visible
from registry.exceptions import InvalidNameError
from registry.validation.names import check_model_name, check_text


def _is_accepted(check: Callable[[str], object], text: str) -> bool:
    try:
        check(text)
    except InvalidNameError:
        return False
    return True


def _names(check: Callable[[str], object], longest: int) -> st.SearchStrategy[str]:
    return st.text(st.characters(codec="utf-8"), min_size=1, max_size=longest).filter(
        lambda text: _is_accepted(check, text)
    )


MODEL_NAMES: Final = _names(check_model_name, 60)
OTHER_NAMES: Final = _names(lambda text: check_text(text, "name", 200), 60)
REASONS: Final = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=200)
_numbers = itertools.count()


def _words(text: str) -> list[str]:
    return [word for word in visible(text).split(" ") if word]


def _verdicts(reason: str) -> list[str]:
    """Return words of the verdicts and approvals of a version that was promoted with a reason."""
    return ["MetricAtLeast(metric='auc',", "value=0.9)", "overridden", "missing", "Approvals(n=1)"] if reason else []


@given(
    model=MODEL_NAMES,
    run=OTHER_NAMES,
    experiment=OTHER_NAMES,
    reason=REASONS,
    width=st.integers(40, 250),
    is_terminal=st.booleans(),
)
@settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # an example takes a second, so none is made smaller
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_every_value_of_a_random_store_is_printed_whole(
    cli: Callable,
    terminal: Callable,
    own_place: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    run: str,
    experiment: str,
    reason: str,
    width: int,
    is_terminal: bool,
) -> None:
    number = next(_numbers)
    uri = f"sqlite:///{own_place}/random-{number}.db"
    source = own_place / f"source-{number}"
    source.mkdir()
    (source / "MLmodel").write_text("flavors: {}\n")
    client = registry.MlflowClient(uri)
    run_id = client.create_run(client.create_experiment(experiment), run_name=run).info.run_id
    client.register_model(str(source), model)
    if reason:
        client.set_promotion_rules(model, "Production", [registry.MetricAtLeast("auc", 0.9), registry.Approvals(1)])
        client.approve(model, 1, "Production", reason=reason)
    client.transition_model_version_stage(model, 1, "Production", reason=reason or None, override=bool(reason))
    terminal(width)
    if not is_terminal:
        monkeypatch.setattr("sys.stdout.isatty", lambda: False)

    def printed(*words: str) -> Any:
        outcome = cli(*words[:2], "--tracking-uri", uri, "--", *words[2:])
        assert outcome.code == 0
        return outcome.out

    for words, whole, folded in (
        (["models", "list"], [model], []),
        (["models", "show", model], [model], [*_words(reason), *_verdicts(reason)]),
        (["models", "holders", model], [], _words(reason)),
        (["models", "history", model], [], _words(reason)),
        (["events", "list"], [model], []),
        (["versions", "list"], [model], []),
        (["versions", "show", f"{model}/1"], [model], [*_words(reason), *_verdicts(reason)]),
        (["experiments", "list"], [experiment], []),
        (["runs", "list"], [run, run_id], []),
        (["runs", "show", run_id], [run, run_id, experiment], []),
    ):
        out = printed(*words)
        lines = out.splitlines()
        assert [value for value in whole if not any(visible(value) in line for line in lines)] == [], words
        assert [word for word in folded if word not in out] == [], words
        if is_terminal and "─" in out and not any(map(str.isspace, run + model + experiment)):
            rule = max((line for line in lines if set(line) == {"─"}), key=len)
            assert cell_len(rule) <= width, words

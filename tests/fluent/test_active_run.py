"""The active run: starting, nesting, resuming and ending it, per thread, per task and per process."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

import registry
from registry import MlflowClient
from registry.exceptions import ActiveRunError, RegistryError


def code_of(call: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(RegistryError) as caught:
        call(*arguments, **named)
    return caught.value.error_code


def status(client: MlflowClient, run_id: str) -> str:
    return client.get_run(run_id).info.status


def test_a_block_ends_its_run(client: MlflowClient) -> None:
    with registry.start_run(run_name="first", tags={"a": 1}, description="what it is about") as run:
        assert registry.active_run() is run
        assert status(client, run.info.run_id) == "RUNNING"

    ended = client.get_run(run.info.run_id)
    assert registry.active_run() is None
    assert (ended.info.status, ended.info.run_name) == ("FINISHED", "first")
    assert ended.info.end_time is not None
    assert (ended.data.tags["a"], ended.data.tags["mlflow.note.content"]) == ("1", "what it is about")


def test_a_run_knows_who_made_it_and_with_what(client: MlflowClient) -> None:
    with registry.start_run() as run:
        pass

    tags = client.get_run(run.info.run_id).data.tags
    assert tags["mlflow.source.type"] == "LOCAL"
    assert tags["mlflow.source.name"] != ""
    assert tags["mlflow.user"] == run.info.user_id


def test_a_block_that_raises_fails_its_run_and_lets_the_error_through(client: MlflowClient) -> None:
    with pytest.raises(KeyError, match="mine"), registry.start_run() as run:
        raise KeyError("mine")

    assert status(client, run.info.run_id) == "FAILED"


def test_ending_inside_the_block_counts(client: MlflowClient) -> None:
    with registry.start_run() as run:
        registry.end_run("KILLED")

    assert status(client, run.info.run_id) == "KILLED"


def test_a_second_run_needs_nested(client: MlflowClient) -> None:
    with registry.start_run() as run:
        with pytest.raises(ActiveRunError, match=f"Run with UUID {run.info.run_id} is already active"):
            registry.start_run()
        assert [found.info.run_id for found in client.search_runs(["0"])] == [run.info.run_id]


def test_nested_runs_end_from_the_inside_out(client: MlflowClient) -> None:
    with registry.start_run() as parent:
        with registry.start_run(nested=True) as child:
            with registry.start_run(nested=True, parent_run_id=child.info.run_id) as grandchild:
                registry.log_param("depth", 2)
            assert registry.active_run() is child
        assert registry.active_run() is parent

    parents = [registry.get_parent_run(run.info.run_id) for run in (parent, child, grandchild)]
    assert [found and found.info.run_id for found in parents] == [None, parent.info.run_id, child.info.run_id]
    assert client.get_run(grandchild.info.run_id).data.params == {"depth": "2"}
    assert {status(client, run.info.run_id) for run in (parent, child, grandchild)} == {"FINISHED"}


def test_a_parent_may_be_named_without_being_active(client: MlflowClient) -> None:
    parent = client.create_run("0").info.run_id
    with registry.start_run(parent_run_id=parent) as child:
        pass
    assert client.get_run(child.info.run_id).data.tags["mlflow.parentRunId"] == parent

    with registry.start_run(nested=True) as orphan:
        assert "mlflow.parentRunId" not in orphan.data.tags


def test_a_parent_must_be_there_and_be_the_active_run(client: MlflowClient) -> None:
    deleted = client.create_run("0").info.run_id
    client.delete_run(deleted)

    assert code_of(registry.start_run, parent_run_id="0" * 32) == "RESOURCE_DOES_NOT_EXIST"
    assert code_of(registry.start_run, parent_run_id=deleted) == "INVALID_STATE"
    with registry.start_run():
        other = client.create_run("0").info.run_id
        assert code_of(registry.start_run, nested=True, parent_run_id=other) == "INVALID_PARAMETER_VALUE"
    assert registry.active_run() is None


def test_a_resumed_run_goes_on(client: MlflowClient) -> None:
    with registry.start_run(run_name="first") as run:
        registry.log_param("a", 1)
    end = client.get_run(run.info.run_id).info.end_time

    with registry.start_run(run.info.run_id, run_name="again", tags={"t": 1}, description="d") as resumed:
        registry.log_param("b", 2)
        during = client.get_run(run.info.run_id)

    assert resumed.info.run_id == run.info.run_id
    assert (during.info.status, during.info.run_name, during.info.end_time) == ("RUNNING", "again", end)
    assert during.data.params == {"a": "1", "b": "2"}
    assert (during.data.tags["t"], during.data.tags["mlflow.note.content"]) == ("1", "d")
    assert status(client, run.info.run_id) == "FINISHED"


def test_what_cannot_be_resumed_is_refused_and_nothing_is_active(client: MlflowClient) -> None:
    deleted = client.create_run("0").info.run_id
    client.delete_run(deleted)
    other = client.create_experiment("other")
    elsewhere = client.create_run("0").info.run_id

    assert code_of(registry.start_run, "0" * 32) == "RESOURCE_DOES_NOT_EXIST"
    assert code_of(registry.start_run, "../x") == "INVALID_PARAMETER_VALUE"
    assert code_of(registry.start_run, deleted) == "INVALID_STATE"
    assert code_of(registry.start_run, elsewhere, experiment_id=other) == "INVALID_PARAMETER_VALUE"
    assert registry.active_run() is None
    assert status(client, elsewhere) == "RUNNING"


@pytest.mark.parametrize("name", ["REGISTRY_RUN_ID", "MLFLOW_RUN_ID"])
def test_the_run_of_the_environment_is_resumed_once(
    name: str, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = client.create_run("0").info.run_id
    monkeypatch.setenv(name, given)

    with registry.start_run() as first:
        pass
    with registry.start_run() as second:
        pass

    assert first.info.run_id == given
    assert second.info.run_id != given


def test_the_run_of_the_environment_is_forgotten_if_it_cannot_be_resumed(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)

    assert code_of(registry.start_run) == "RESOURCE_DOES_NOT_EXIST"
    with registry.start_run() as run:
        assert run.info.run_id != "0" * 32


@pytest.mark.parametrize("name", ["REGISTRY_RUN_ID", "MLFLOW_RUN_ID"])
def test_a_parent_that_is_given_goes_before_the_run_of_the_environment(
    name: str, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = client.create_run("0", run_name="parent").info.run_id
    monkeypatch.setenv(name, parent)

    with registry.start_run(nested=True, parent_run_id=parent, run_name="child") as child:
        pass
    with registry.start_run(parent_run_id=parent) as other:
        pass
    with registry.start_run(nested=True) as alone:
        pass

    assert len({parent, child.info.run_id, other.info.run_id, alone.info.run_id}) == 4
    assert [registry.get_run(run.info.run_id).data.tags.get("mlflow.parentRunId") for run in (child, other, alone)] == [
        parent,
        parent,
        None,
    ]
    assert registry.get_run(parent).info.run_name == "parent"
    assert status(client, parent) == "RUNNING"
    with registry.start_run() as resumed:
        assert resumed.info.run_id == parent


def test_a_run_id_that_is_given_goes_before_the_run_of_the_environment(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, other = client.create_run("0").info.run_id, client.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", other)

    with registry.start_run(run_id=given) as run:
        assert run.info.run_id == given
        with registry.start_run(nested=True) as child:
            assert child.data.tags["mlflow.parentRunId"] == given
    assert status(client, other) == "RUNNING"


def test_a_run_is_never_below_itself(client: MlflowClient) -> None:
    run_id = client.create_run("0").info.run_id

    assert code_of(registry.start_run, run_id, parent_run_id=run_id) == "INVALID_PARAMETER_VALUE"
    assert code_of(registry.start_run, run_id, tags={"mlflow.parentRunId": run_id}) == "INVALID_PARAMETER_VALUE"
    with registry.start_run(run_id), registry.start_run(nested=True):
        assert code_of(registry.start_run, run_id, nested=True) == "INVALID_STATE"
    assert registry.active_run() is None
    assert "mlflow.parentRunId" not in registry.get_run(run_id).data.tags


def test_contradicting_arguments_make_no_run(client: MlflowClient) -> None:
    both = {"mlflow.note.content": "a"}

    assert code_of(registry.start_run, tags=both, description="b") == "INVALID_PARAMETER_VALUE"
    assert code_of(registry.start_run, run_name="a", tags={"mlflow.runName": "b"}) == "INVALID_PARAMETER_VALUE"
    assert client.search_runs(["0"]) == []


def test_an_unknown_status_leaves_the_run_active(client: MlflowClient) -> None:
    with registry.start_run() as run:
        assert code_of(registry.end_run, "DONE") == "INVALID_PARAMETER_VALUE"
        assert registry.active_run() is run

    registry.end_run()
    assert status(client, run.info.run_id) == "FINISHED"


def test_ending_a_run_that_was_deleted_meanwhile_says_so_and_lets_go(client: MlflowClient) -> None:
    run = registry.start_run()
    registry.delete_run(run.info.run_id)

    assert code_of(registry.end_run) == "INVALID_PARAMETER_VALUE"
    assert registry.active_run() is None


def test_the_last_run_is_read_anew(client: MlflowClient) -> None:
    assert registry.last_active_run() is None
    with registry.start_run() as run:
        registry.log_metric("m", 1.0)
        assert registry.last_active_run() is run

    last = registry.last_active_run()
    assert last is not None
    assert (last.info.run_id, last.info.status, last.data.metrics) == (run.info.run_id, "FINISHED", {"m": 1.0})


def test_what_is_logged_without_a_run_starts_one_that_stays(client: MlflowClient) -> None:
    registry.log_metric("m", 1.0)
    registry.log_params({"a": 1, "b": {"c": 2}})
    registry.log_params({"features": {"window": 5, "teams": ["a"]}}, flatten=True)
    registry.set_tags({"x": 1, "y": 2})
    registry.delete_tag("x")

    run = registry.active_run()
    assert run is not None
    registry.end_run()
    data = client.get_run(run.info.run_id).data
    assert data.metrics == {"m": 1.0}
    assert data.params == {"a": "1", "b": "{'c': 2}", "features.window": "5", "features.teams": "['a']"}
    assert data.tags["y"] == "2"
    assert "x" not in data.tags


def test_metrics_of_one_call_have_one_step_and_time(client: MlflowClient) -> None:
    with registry.start_run() as run:
        registry.log_metrics({"a": 1.0, "b": 2.0}, step=3)
        registry.log_metric("a", 3.0, step=4, timestamp=17)

    a, b = (client.get_metric_history(run.info.run_id, key) for key in "ab")
    assert [(m.step, m.value) for m in a] == [(4, 3.0), (3, 1.0)]
    assert a[1].timestamp == b[0].timestamp
    assert a[0].timestamp == 17


def test_logging_to_another_run_leaves_the_active_one_alone(client: MlflowClient) -> None:
    other = client.create_run("0").info.run_id
    with registry.start_run() as run:
        registry.log_metric("m", 1.0, run_id=other)
        registry.log_params({"p": 1}, run_id=other)

    assert client.get_run(other).data.metrics == {"m": 1.0}
    assert client.get_run(other).data.params == {"p": "1"}
    assert client.get_run(run.info.run_id).data.metrics == {}


def test_a_refused_param_is_not_logged_and_the_run_goes_on(client: MlflowClient) -> None:
    with registry.start_run() as run:
        registry.log_param("p", 1)
        with pytest.raises(RegistryError, match="Changing param values is not allowed"):
            registry.log_params({"q": 1, "p": 2})

    assert client.get_run(run.info.run_id).data.params == {"p": "1"}
    assert status(client, run.info.run_id) == "FINISHED"


# Threads, tasks, processes


def test_threads_have_runs_of_their_own(client: MlflowClient) -> None:
    ids: dict[str, str] = {}
    inside = threading.Barrier(3)

    def work(name: str) -> None:
        assert registry.active_run() is None
        assert registry.last_active_run() is None
        with registry.start_run(run_name=name) as run:
            inside.wait(20)
            ids[name] = run.info.run_id
            registry.log_param("name", name)

    with registry.start_run() as mine:
        threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert registry.active_run() is mine

    assert {name: client.get_run(run_id).data.params for name, run_id in ids.items()} == {
        name: {"name": name} for name in "abc"
    }


def test_tasks_have_runs_of_their_own(client: MlflowClient) -> None:
    async def work(name: str) -> str:
        with registry.start_run(run_name=name) as run:
            registry.log_param("name", name)
            await asyncio.sleep(0.01)
            active = registry.active_run()
            assert active is not None
            assert active.info.run_id == run.info.run_id
            return run.info.run_id

    async def main() -> list[str]:
        return await asyncio.gather(*(work(name) for name in "abc"))

    ids = asyncio.run(main())

    assert [client.get_run(run_id).data.params for run_id in ids] == [{"name": name} for name in "abc"]
    assert registry.active_run() is None


@pytest.mark.slow
def test_a_script_that_ends_finishes_its_runs(client: MlflowClient, run_script: Callable) -> None:
    done = run_script("mlflow.start_run(); mlflow.start_run(nested=True); mlflow.log_metric('m', 1)")

    assert (done.returncode, done.stderr) == (0, "")
    assert [run.info.status for run in client.search_runs(["0"])] == ["FINISHED", "FINISHED"]


@pytest.mark.slow
def test_a_script_that_crashes_fails_its_runs(client: MlflowClient, run_script: Callable) -> None:
    done = run_script("mlflow.start_run(); mlflow.start_run(nested=True); 1 / 0")

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"
    assert [run.info.status for run in client.search_runs(["0"])] == ["FAILED", "FAILED"]


@pytest.mark.slow
def test_a_script_ends_its_outer_run_even_if_the_inner_one_is_gone(client: MlflowClient, run_script: Callable) -> None:
    done = run_script("mlflow.start_run(); inner = mlflow.start_run(nested=True); mlflow.delete_run(inner.info.run_id)")

    assert done.returncode == 0
    assert "could not be ended" in done.stderr
    assert [run.info.status for run in client.search_runs(["0"])] == ["FINISHED"]


@pytest.mark.slow
def test_children_inherit_place_and_experiment(client: MlflowClient, run_script: Callable) -> None:
    experiment = registry.set_experiment("nba")
    with registry.start_run() as run:
        done = run_script("print(mlflow.active_run())\nwith mlflow.start_run(): mlflow.log_param('child', 1)")

    assert (done.stdout, done.stderr) == ("None\n", "")
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 2
    assert [found.data.params for found in runs if found.info.run_id != run.info.run_id] == [{"child": "1"}]


@pytest.mark.slow
def test_a_child_may_be_told_to_go_on_with_a_run(client: MlflowClient, run_script: Callable) -> None:
    with registry.start_run() as run:
        done = run_script("mlflow.log_param('child', 1)", MLFLOW_RUN_ID=run.info.run_id)

    assert done.stderr == ""
    assert client.get_run(run.info.run_id).data.params == {"child": "1"}


@pytest.mark.slow
def test_a_child_of_fork_has_no_active_run_and_ends_none(client: MlflowClient, run_script: Callable) -> None:
    done = run_script(
        """
        import os, sys
        run = mlflow.start_run()
        child = os.fork()
        if child == 0:
            assert mlflow.active_run() is None and mlflow.last_active_run() is None
            sys.exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        print(mlflow.get_run(run.info.run_id).info.status)
        """
    )

    assert (done.stdout, done.stderr) == ("RUNNING\n", "")
    assert [run.info.status for run in client.search_runs(["0"])] == ["FINISHED"]


def test_contexts_and_tags_of_data_sets_are_one_for_each(client: MlflowClient) -> None:
    panel = registry.data.from_pandas(pd.DataFrame({"a": [1.0]}), name="panel")
    with registry.start_run() as run:
        assert code_of(registry.log_inputs, [panel, panel], contexts=["training"]) == "INVALID_PARAMETER_VALUE"
        assert code_of(registry.log_inputs, [panel], tags_list=[{}, {}]) == "INVALID_PARAMETER_VALUE"
        assert client.get_run(run.info.run_id).inputs.dataset_inputs == []
        registry.log_inputs([panel], contexts=["training"], tags_list=[{"by": "me"}])

    (used,) = client.get_run(run.info.run_id).inputs.dataset_inputs
    assert {tag.key: tag.value for tag in used.tags} == {"mlflow.data.context": "training", "by": "me"}


@pytest.mark.parametrize(
    "log",
    [
        lambda: registry.log_param("a@b", 1),
        lambda: registry.log_params({"a@b": 1}),
        lambda: registry.log_metric("a@b", 1),
        lambda: registry.log_metric("a", "x"),
        lambda: registry.set_tags({"../a": 1}),
        lambda: registry.set_tag("", 1),
        lambda: registry.log_text("x", "../a.txt"),
        lambda: registry.log_artifact("a.txt", "/a"),
        lambda: registry.get_artifact_uri(".."),
    ],
)
def test_no_run_is_started_for_what_is_refused(client: MlflowClient, log: Callable[[], Any]) -> None:
    assert code_of(log) == "INVALID_PARAMETER_VALUE"
    assert registry.active_run() is None
    assert client.search_runs(["0"]) == []

"""Moves of runs to another experiment of the same registry."""

from pathlib import Path

import pytest
from copied_runs import contents, make_runs
from governed_models import raw_sql

import registry
from registry.exceptions import InvalidStateError, RunNotFoundError, UploadExpiredError

Client = registry.MlflowClient


def has_files(client: Client, place: str) -> bool:
    return next(iter(client.backend.blobs(place).walk()), None) is not None


def gc(client: Client) -> None:
    client.collect_garbage(apply=True, older_than="0s", grace="0s")


def test_a_moved_run_has_all_that_it_had(client: Client) -> None:
    first, second = make_runs(client, 2)
    before = contents(client, [first, second])
    old = client.get_run(first).info.artifact_uri

    client.move_runs([first], "season 2026")
    client.move_runs([first], "season 2026")  # again: nothing to do

    assert contents(client, [first, second]) == {**before, first: {**before[first], "experiment": "season 2026"}}
    experiment_id = client.get_run(first).info.experiment_id
    (found,) = client.search_runs([experiment_id], "metrics.val > 0 AND datasets.name = 'games'")
    assert found.info.run_id == first
    assert [run.info.run_id for run in client.search_runs(["1"], order_by=["metrics.loss DESC"])] == [second]
    assert has_files(client, old)
    gc(client)
    assert not has_files(client, old)
    assert contents(client, [first])[first]["files"] == before[first]["files"]
    client.delete_run(first)
    gc(client)
    assert list(client.search_runs([experiment_id], run_view_type=3)) == []


def test_a_run_is_moved_back_once_gc_has_been_there(client: Client) -> None:
    (run_id,) = make_runs(client, 1)
    before = contents(client, [run_id])
    client.move_runs([run_id], "other")

    with pytest.raises(InvalidStateError, match="Run 'registry gc --apply' first"):
        client.move_runs([run_id], "nets")
    gc(client)
    client.move_runs([run_id], "nets")

    assert contents(client, [run_id]) == before


def test_only_runs_that_have_ended_are_moved(client: Client) -> None:
    first, second = make_runs(client, 2)
    client.update_run(first, status="RUNNING")
    client.delete_run(second)

    with pytest.raises(InvalidStateError, match="is RUNNING; only a run that has ended is moved"):
        client.move_runs([first], "other")
    with pytest.raises(InvalidStateError, match="is deleted; only a run that has ended is moved"):
        client.move_runs([second], "other")
    with pytest.raises(RunNotFoundError):
        client.move_runs([first, "0" * 32], "other")


def test_a_move_that_was_interrupted_is_finished_or_its_files_are_removed(client: Client) -> None:
    (run_id,) = make_runs(client, 1)
    experiment_id = client.create_experiment("other")
    move = client.backend.run_move.begin(run_id, experiment_id, "move-1")
    assert move is not None
    source = client.backend.blobs(move.old)
    client.backend.blobs(move.new).copy_from(source, source.stamps())
    gc(client)  # as after the grace period
    assert not has_files(client, move.new)

    with pytest.raises(UploadExpiredError, match="Moving the run"):
        client.backend.run_move.finish(move, experiment_id)
    client.move_runs([run_id], "other")
    client.backend.run_move.finish(move, experiment_id)  # what another process has moved stays so

    assert raw_sql(client.tracking_uri)("SELECT count(*) FROM uploads")[0][0] == 0
    assert contents(client, [run_id])[run_id]["experiment"] == "other"


def test_a_move_between_experiments_at_one_place_moves_no_files(client: Client) -> None:
    place = str(Path.cwd() / "place")
    experiment_id = client.create_experiment("one", artifact_location=place)
    client.create_experiment("two", artifact_location=place)
    run_id = client.create_run(experiment_id).info.run_id
    client.log_text(run_id, "kept", "notes.txt")
    client.set_terminated(run_id)

    client.move_runs([run_id], "two")
    gc(client)

    assert Path(client.download_artifacts(run_id, "notes.txt")).read_text() == "kept"


def test_files_of_an_imported_run_are_left_to_the_registry_that_they_came_from(client: Client) -> None:
    (run_id,) = make_runs(client, 1)
    client.set_tag(run_id, "registry.origin", "another")
    old = client.get_run(run_id).info.artifact_uri

    client.move_runs([run_id], "other")
    gc(client)

    assert has_files(client, old)

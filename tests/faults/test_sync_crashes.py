"""A sync that is killed at random points, while its source grows, neither loses nor doubles anything."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from copied_runs import MILLIS, contents, make_run
from crashing import Crasher
from governed_models import raw_sql
from travelling_models import open_registry

import registry


@pytest.mark.parametrize(
    "kills", [pytest.param(8, marks=pytest.mark.slow), pytest.param(50, marks=pytest.mark.storm)], ids=["few", "fifty"]
)
@pytest.mark.parametrize("root", ["local", "moto_s3"])
def test_a_sync_that_is_killed_at_random_points_sends_each_thing_once(
    request: pytest.FixtureRequest,
    s3_environment: Callable,
    crasher: Crasher,
    own_place: Path,
    database_url: str,
    root: str,
    kills: int,
) -> None:
    place = f"{own_place}/team"
    if root != "local":
        place = s3_environment(request.getfixturevalue(root)).fresh_root()
    spool = open_registry("file:./spool", f"{own_place}/spool")
    os.environ["REGISTRY_ARTIFACT_LOCATION"] = place
    chance = random.Random(11)
    run_ids: list[str] = []
    while crasher.kills < kills:
        if not run_ids or crasher.run("sync", database_url, fatal=chance.randint(1, 60), source=f"{own_place}/spool"):
            run_ids.append(make_run(spool, "0", len(run_ids)))
        spool.log_metric(run_ids[0], "more", crasher.kills, MILLIS, crasher.kills)
        spool.log_text(run_ids[0], f"kill {crasher.kills:04}", "overwritten.txt")

    assert crasher.run("sync", database_url, source=f"{own_place}/spool")

    team = open_registry(database_url, place)
    assert contents(team, run_ids) == contents(spool, run_ids)
    models = raw_sql(database_url)("SELECT count(*) FROM logged_models")[0][0]
    assert models == len(run_ids)
    if root == "local":
        # What killed uploads left is named by their rows, and gc removes it.
        team.collect_garbage(apply=True, older_than="0s", grace="0s")
        assert raw_sql(database_url)("SELECT count(*) FROM uploads")[0][0] == 0
        assert len(list(Path(place, "0", "models").iterdir())) == models
    assert registry.sync(f"{own_place}/spool", to=database_url).outcomes == {"unchanged": len(run_ids)}

"""Searches with more ids or values than a statement may have parameters."""

from pathlib import Path

import pytest
from sqlalchemy import text

from registry import MlflowClient
from registry.exceptions import RegistryError, UnavailableError
from registry.store.engine import connect

MANY = 300_000  # SQLite takes 32,766 parameters, Debian's 250,000, PostgreSQL 65,535


def test_a_search_takes_any_number_of_experiments(client: MlflowClient) -> None:
    run_id = client.create_run("0").info.run_id
    client.log_metric(run_id, "loss", 0.5)
    ids = [str(number) for number in range(MANY)]

    assert [run.info.run_id for run in client.search_runs(ids)] == [run_id]
    assert [run.info.run_id for run in client.search_runs(ids, order_by=["metrics.loss DESC"])] == [run_id]
    assert client.search_logged_models(ids) == []


@pytest.mark.parametrize("negated", ["", "NOT "])
def test_a_filter_of_many_values_finds_the_same(negated: str, client: MlflowClient) -> None:
    run_ids = [client.create_run("0", run_name=name).info.run_id for name in ("a", 'it\'s "b" é')]
    for run_id, value in zip(run_ids, (0.1 + 0.2, 2**53 + 1), strict=True):
        client.log_metric(run_id, "m", value)
        client.log_param(run_id, "p", run_id)
    listed = ", ".join([f"'{run_ids[0]}'", *(f"'{number}'" for number in range(9_900))])
    expected = [run_ids[1]] if negated else [run_ids[0]]

    for field in ("attributes.run_id", "params.p"):
        found = client.search_runs(["0"], f"{field} {negated}IN ({listed})")
        assert [run.info.run_id for run in found] == expected


def test_what_the_driver_refuses_is_not_called_unavailable(postgres_url: str) -> None:
    values = {f"p{number}": number for number in range(70_000)}
    query = text(f"SELECT 1 WHERE 1 IN ({', '.join(f':{name}' for name in values)})")

    with pytest.raises(RegistryError, match="number of parameters") as caught:
        connect(postgres_url).read(lambda connection: connection.execute(query, values).all())

    assert not isinstance(caught.value, UnavailableError)
    assert "running" not in caught.value.message


def test_a_statement_with_the_wrong_number_of_values_is_not_called_unavailable(own_place: Path) -> None:
    for url in ("sqlite://", f"sqlite:///{own_place}/a.db"):
        with pytest.raises(RegistryError) as caught:
            connect(url).read(lambda connection: connection.exec_driver_sql("SELECT ?", (1, 2)).all())
        assert not isinstance(caught.value, UnavailableError)

"""Lists of more values than a statement of PostgreSQL has parameters (65,535), outside of searches too."""

from governed_models import raw_sql, register

from registry import MlflowClient

MANY = 70_000
_BEARERS = """
    WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {count})
    INSERT INTO registered_models (uid, name, name_key, creation_time, last_update_time, last_version, last_seq,
                                   last_event_us, deleted_time)
    SELECT 'u' || n, 'churn', 'churn', 1, 1, 0, 0, 0, 1 FROM number
"""


def test_a_name_that_more_models_bore_than_a_statement_has_parameters_has_a_history(client: MlflowClient) -> None:
    register(client, "churn")
    client.transition_model_version_stage("churn", 1, "Production")
    raw_sql(client.tracking_uri)(_BEARERS.format(count=MANY))
    assert [event.kind for event in client.get_history("churn")] == ["created", "version_created", "stage_changed"]
    assert [(holding.stage, holding.version) for holding in client.get_holdings("churn")] == [("Production", 1)]


def test_a_frame_takes_more_keys_of_metrics_than_a_statement_has_parameters(client: MlflowClient) -> None:
    run = client.create_run("0").info.run_id
    client.log_metric(run, "m7", 0.5)
    frame = client.get_metric_history_frame(run, [f"m{n}" for n in range(MANY)])
    assert list(frame["value"]) == [0.5]

"""Where a version comes from: what counts as a feature pipeline, and what is shown of it."""

import json
from collections.abc import Mapping

import pytest
from governed_models import register, sealed_model
from page_client import open_page

import registry
from registry import MlflowClient
from registry.entities import Dataset, DatasetInput, InputTag, LoggedModelInput
from registry.web.lineage import FeaturePipeline, read_lineage


@pytest.fixture
def client(sqlite_url: str) -> MlflowClient:
    registry.set_tracking_uri(sqlite_url)
    return MlflowClient(sqlite_url)


def used(source_type: str, source: object, tags: Mapping[str, str] | None = None, name: str = "games") -> DatasetInput:
    dataset = Dataset(name, "d1", source_type, json.dumps(source))
    return DatasetInput(tags=[InputTag(key, value) for key, value in (tags or {}).items()], dataset=dataset)


def pipelines(client: MlflowClient, run_id: str) -> list[FeaturePipeline]:
    (number,) = register(client, "churn", run_id=run_id)
    return list(read_lineage(client, client.get_model_version("churn", number)).pipelines)


def test_a_logged_model_that_the_run_used_is_its_feature_pipeline(client: MlflowClient) -> None:
    with registry.start_run() as run:
        transformer = sealed_model(client, name="scaler", source_run_id=run.info.run_id)
    lone = sealed_model(client, name="lone")
    gone = sealed_model(client, name="gone")
    run_id = client.create_run("0").info.run_id
    client.log_inputs(run_id, models=[LoggedModelInput(model_id) for model_id in (transformer, lone, gone)])
    client.delete_logged_model(gone)
    found = pipelines(client, run_id)
    assert sorted(found, key=lambda pipeline: pipeline.kind) == sorted(
        [
            FeaturePipeline("scaler", "logged model", f"/runs/{run.info.run_id}/artifacts/scaler"),
            FeaturePipeline("lone", "logged model"),
            FeaturePipeline(gone, "logged model that is no longer here"),
        ],
        key=lambda pipeline: pipeline.kind,
    )
    text = open_page(client.tracking_uri).get("/models/churn/1").text
    assert "<strong>Feature pipeline</strong>" in text
    assert f'<a href="/runs/{run.info.run_id}/artifacts/scaler"><bdi>scaler</bdi></a>' in text


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("models:/features/3", FeaturePipeline("models:/features/3", "registered model", "/models/features/3")),
        (
            "models:/fea tures@live",
            FeaturePipeline("models:/fea tures@live", "registered model", "/models/fea%20tures"),
        ),
        (f"models:/m-{'0' * 32}", FeaturePipeline(f"models:/m-{'0' * 32}", "registered model")),
        ("models:/", FeaturePipeline("models:/", "as tagged")),
        ("dbt: games@1f2e", FeaturePipeline("dbt: games@1f2e", "as tagged")),
        ("<script>", FeaturePipeline("<script>", "as tagged")),
    ],
)
def test_the_tag_of_a_use_names_a_feature_pipeline(client: MlflowClient, tag: str, expected: FeaturePipeline) -> None:
    run_id = client.create_run("0").info.run_id
    client.log_inputs(run_id, [used("local", {"uri": "x"}, {"feature_pipeline": tag})])
    assert pipelines(client, run_id) == [expected]
    assert "<script>" not in open_page(client.tracking_uri).get("/models/churn/1").text.replace("<script src=", "")


def test_the_program_of_the_data_is_a_feature_pipeline_unless_it_is_the_training_itself(client: MlflowClient) -> None:
    own = {"mlflow.source.name": "train.py", "mlflow.source.git.commit": "c" * 40}
    run_id = client.create_run("0", tags=own).info.run_id
    client.log_inputs(
        run_id,
        [
            used("code", {"tags": own}, name="own"),
            used("code", {"tags": {**own, "mlflow.source.git.commit": "d" * 40}}, name="older"),
            used("code", {"tags": {"mlflow.source.name": "features.py"}}, name="other"),
            used("code", {"tags": {}}, name="nameless"),
            used("delta_table", {"path": "x"}, name="foreign"),
        ],
    )
    assert sorted(pipeline.name + ", " + pipeline.kind for pipeline in pipelines(client, run_id)) == [
        "features.py, program",
        "train.py, program at commit dddddddddddd",
    ]

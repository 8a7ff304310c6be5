"""An ordinary MLflow script: versions with tags, an alias that moves, and errors told apart by their codes."""

import sys

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import ViewType
from mlflow.entities.model_registry.model_version_status import ModelVersionStatus
from mlflow.exceptions import MlflowException, RestException
from mlflow.models import ModelSignature
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from mlflow.tracking.client import MlflowClient
from mlflow.types.schema import ColSpec, Schema
from sklearn.linear_model import LinearRegression

client = MlflowClient(tracking_uri=sys.argv[1])
mlflow.set_tracking_uri(sys.argv[1])
name = "churn"
codes = []
client.create_registered_model(name, tags={"owner": "ml"}, description="who leaves")
try:
    client.create_registered_model(name)
except MlflowException as error:
    codes.append(error.error_code == ErrorCode.Name(RESOURCE_ALREADY_EXISTS))
try:
    client.get_model_version(name, 7)
except (RestException, MlflowException) as error:
    codes.append(error.error_code)

frame = pd.DataFrame({"age": [20.0, 30.0, 40.0], "calls": [1.0, 2.0, 3.0]})
signature = ModelSignature(
    inputs=Schema([ColSpec("double", "age"), ColSpec("double", "calls")]), outputs=Schema([ColSpec("double")])
)
for slope in (1.0, 2.0):
    with mlflow.start_run(experiment_id=client.create_experiment(f"slope-{slope}")):
        model = LinearRegression().fit(frame, slope * frame["age"])
        info = mlflow.sklearn.log_model(sk_model=model, artifact_path="model", signature=signature)
    version = client.create_model_version(name, info.model_uri, info.run_id, tags={"slope": str(slope)})
    if ModelVersionStatus.from_string(version.status) == ModelVersionStatus.READY:
        client.set_registered_model_alias(name, "champion", version.version)
        client.set_model_version_tag(name, version.version, "validated", "yes")

champion = client.get_model_version_by_alias(name, "champion")
model = mlflow.pyfunc.load_model(f"models:/{name}@champion")
try:
    model.predict(pd.DataFrame({"age": ["twenty"], "calls": [1.0]}))
except MlflowException as error:
    codes.append(error.error_code)

answer = {
    "codes": codes,
    "champion": int(champion.version),
    "tags": dict(champion.tags),
    "prediction": np.round(model.predict(frame), 6).tolist(),
    "inputs": model.metadata.get_input_schema().input_names(),
    "found": [found.name for found in client.search_registered_models("name LIKE 'chu%'")],
    "versions": sorted(int(found.version) for found in client.search_model_versions(f"name='{name}'")),
    "experiments": len(client.search_experiments(view_type=ViewType.ALL, filter_string="name LIKE 'slope-%'")),
}

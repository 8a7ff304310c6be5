"""Serve a model, promote another and roll back, while clients go on asking: no request is lost.

    python serve_and_promote.py

It makes ./mlruns in an empty directory, starts `registry models serve` on a free port and stops it in the end.
"""

import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import xgboost

import registry as mlflow

games = pd.DataFrame(np.random.default_rng(7).normal(size=(300, 2)), columns=["rest_days", "rating_gap"])
for depth in (2, 4):
    model = xgboost.XGBRegressor(n_estimators=10, max_depth=depth).fit(games, games["rating_gap"])
    signature = mlflow.models.infer_signature(games, model.predict(games))
    mlflow.xgboost.log_model(model, name="model", signature=signature, registered_model_name="winner")
client = mlflow.MlflowClient()
client.transition_model_version_stage("winner", 1, "Production")

log = Path("server.log")
command = [sys.executable, "-m", "registry", "models", "serve", "winner/Production", "--port=0", "--every=0.2"]
with log.open("w") as stream:
    server = subprocess.Popen(command, stderr=stream)
while (found := re.search(r"http://\S+\n", log.read_text())) is None:
    time.sleep(0.1)
url = f"{found[0].strip()}/invocations"
body = json.dumps({"dataframe_split": games.head(5).to_dict(orient="split")}).encode()
answers: Counter[str] = Counter()
stopped = threading.Event()


def ask() -> str:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return f"version {answer.headers['X-Model-Version']}"
    except OSError as error:
        return f"lost: {error}"


def keep_asking() -> None:
    while not stopped.is_set():
        answers[ask()] += 1


def wait_for(version: int) -> None:
    while ask() != f"version {version}":
        time.sleep(0.05)
    print(f"version {version} answers")


wait_for(1)
clients = [threading.Thread(target=keep_asking) for _ in range(2)]
for thread in clients:
    thread.start()
client.transition_model_version_stage("winner", 2, "Production", reason="deeper trees")
wait_for(2)
client.rollback("winner", "Production", reason="only a drill")
wait_for(1)
stopped.set()
for thread in clients:
    thread.join()
server.terminate()
server.wait()
assert set(answers) == {"version 1", "version 2"}, answers
print(f"No request was lost: {answers.total()} were answered during a promotion and a rollback")

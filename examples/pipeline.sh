#!/usr/bin/env bash
# A model's way to production and back, as a CI job runs it: train, register, check the rules, promote or stop, make a
# Docker build context, predict, roll back. All of it writes only to the directory that is named:
#
#     bash pipeline.sh out
#
# REGISTRY_TRACKING_URI says where the registry is: by default out/registry.
set -euo pipefail

mkdir -p "${1:?Name a directory for the output: bash pipeline.sh out}"
out=$(cd "$1" && pwd)
export REGISTRY_TRACKING_URI="${REGISTRY_TRACKING_URI:-$out/registry}"
export REGISTRY_CACHE_DIR="$out/cache" TMPDIR="$out/tmp"
mkdir -p "$TMPDIR"
step() { printf '\n== %s\n' "$*"; }

# Train on this share of the rows and print the run's id. The rows that are held back are written to out/test.csv.
train() {
    python - "$1" "$out/test.csv" <<'PYTHON'
import sys

import registry as mlflow
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=7)
X_test.to_csv(sys.argv[2], index=False)
rows = int(len(X_train) * float(sys.argv[1]))
mlflow.set_experiment("screening")
with mlflow.start_run() as run:
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X_train[:rows], y_train[:rows])
    mlflow.log_param("rows", rows)
    mlflow.log_metric("auc", roc_auc_score(y_test, model.predict_proba(X_test)[:, 1]))
    mlflow.sklearn.log_model(model, name="model", signature=mlflow.models.infer_signature(X_test, model.predict(X_test)))
print(run.info.run_id)
PYTHON
}

# Register a run's model, and promote it unless a rule says no. Every other failure ends the script.
release() {
    local version code=0
    version=$(registry models register screening "runs:/$1/model" --tag "commit=${GITHUB_SHA:-unknown}")
    registry rules check "screening/$version" Production || code=$?
    case $code in
        0) registry versions promote "screening/$version" Production --reason "${2:-passed the rules}" ;;
        3) echo "Version $version stays out of Production." ;;
        *) exit "$code" ;;
    esac
}

step "A registry, and the rule that guards Production"
registry db upgrade
registry models create screening --description "Is the tumour malignant?" || [ $? -eq 5 ] # 5: it exists
registry rules set screening Production - <<<'[{"kind": "metric_at_least", "metric": "auc", "value": 0.995}]'

step "A model of all rows"
release "$(train 1)"
holder=$(registry versions show screening/Production -q)

step "A model of a few rows: the rule says no"
release "$(train 0.03)"

step "A Docker build context of what is in Production"
rm -rf "$out/image"
registry models generate-dockerfile screening/Production -d "$out/image"
grep '^CMD' "$out/image/Dockerfile"
if command -v docker >/dev/null; then echo "Next: docker build -t screening $out/image"; fi

step "The files in the image predict as the registry does"
registry models predict screening/Production -i "$out/test.csv" -o "$out/predictions.csv"
registry models predict "$out/image/model" -i "$out/test.csv" | cmp - "$out/predictions.csv"

step "A later version, and back again"
release "$(train 0.9)" "fresh data"
registry models rollback screening --reason "complaints since the release"
registry models history screening --kind stage_changed
[ "$(registry versions show screening/Production -q)" = "$holder" ]

step "Backup"
registry db backup "$out/backup-$(date +%s).db"
echo "$holder is in Production again; $(($(wc -l <"$out/predictions.csv") - 1)) predictions are in $out/predictions.csv."

"""The job that ``registry demo`` runs, written as a user would: train, log, register, promote, load, predict.

Uses only the public names that ``import registry as mlflow`` gives a script, so it is also an example to copy from.
Prints nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import registry

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from xgboost import XGBClassifier

    from registry.entities.model_registry import ModelVersion

EXPERIMENT: Final = "demo-breast-cancer"
MODEL: Final = "demo-breast-cancer"
PRODUCTION: Final = f"models:/{MODEL}/Production"

SETTINGS: Final[Mapping[str, Mapping[str, Any]]] = {
    "stumps": {"n_estimators": 20, "max_depth": 1, "learning_rate": 0.3},
    "shallow trees": {"n_estimators": 40, "max_depth": 2, "learning_rate": 0.3},
    "deep trees": {"n_estimators": 40, "max_depth": 6, "learning_rate": 0.1},
}
"""Settings of each run. The first is the baseline; the best of the others replaces it."""

_SEED: Final = 7
_HELD_OUT: Final = 0.25


@dataclass(frozen=True, slots=True)
class Split:
    """Rows to train on and held-out rows: 30 measurements of a tumour, and whether it is benign (1)."""

    train: "pd.DataFrame"
    train_target: "pd.Series[int]"
    held_out: "pd.DataFrame"
    held_out_target: "pd.Series[int]"


@dataclass(frozen=True, slots=True)
class Trained:
    """A model in memory and where it was logged; `loss` is the mean log loss on the held-out rows."""

    name: str
    model: "XGBClassifier"
    run_id: str
    model_uri: str
    loss: float


def load_data() -> Split:
    """Load scikit-learn's breast-cancer data: 569 real tumours, shipped in its wheel."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.model_selection import train_test_split

    data, target = load_breast_cancer(return_X_y=True, as_frame=True)
    train, held_out, train_target, held_out_target = train_test_split(
        data, target, test_size=_HELD_OUT, stratify=target, random_state=_SEED
    )
    return Split(train, train_target, held_out, held_out_target)


def train(name: str, settings: Mapping[str, Any], split: Split) -> Trained:
    """Train one classifier and log everything about it as a run."""
    with registry.start_run(run_name=name) as run:
        registry.log_params({**settings, "seed": _SEED, "held_out": _HELD_OUT})
        frame = split.train.assign(benign=split.train_target)
        registry.log_input(registry.data.from_pandas(frame, targets="benign", name="breast-cancer"), context="training")
        model = fit(settings, split)
        last = log_rounds(model)
        registry.log_metric("held_out_accuracy", model.score(split.held_out, split.held_out_target))
        registry.log_figure(importance_figure(model), "feature_importance.png")
        logged = registry.xgboost.log_model(
            model,
            name="model",
            signature=registry.models.infer_signature(split.held_out, model.predict(split.held_out)),
            input_example=split.held_out.head(3),
        )
    return Trained(name, model, run.info.run_id, logged.model_uri, last["held_out_logloss"])


def fit(settings: Mapping[str, Any], split: Split) -> "XGBClassifier":
    """Train a classifier with these settings, and evaluate it on both sets of rows after each boosting round."""
    from xgboost import XGBClassifier

    model = XGBClassifier(**settings, eval_metric=["logloss", "auc"], n_jobs=1, random_state=_SEED)
    watched = [(split.train, split.train_target), (split.held_out, split.held_out_target)]
    return model.fit(split.train, split.train_target, eval_set=watched, verbose=False)


def log_rounds(model: "XGBClassifier") -> dict[str, float]:
    """Log each metric after each boosting round. Return the last values."""
    results = model.evals_result()
    curves = {
        f"{rows}_{metric}": values
        for rows, key in (("train", "validation_0"), ("held_out", "validation_1"))
        for metric, values in results[key].items()
    }
    for step, values in enumerate(zip(*curves.values(), strict=True)):
        registry.log_metrics(dict(zip(curves, values, strict=True)), step=step)
    return {key: values[-1] for key, values in curves.items()}


def importance_figure(model: "XGBClassifier") -> "Figure":
    """Plot the ten measurements with the largest gain."""
    from matplotlib.figure import Figure

    gains = sorted(zip(model.feature_importances_, model.feature_names_in_, strict=True))[-10:]
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.barh([name for _, name in gains], [gain for gain, _ in gains])
    axes.set_xlabel("share of the gain")
    return figure


def register(trained: Trained) -> "ModelVersion":
    """Register the model of a run as the next version of the registered model."""
    return registry.MlflowClient().register_model(trained.model_uri, MODEL, reason="registry demo")


def promote(version: "ModelVersion", reason: str) -> None:
    """Move a version to Production. The previous holder is archived in the same transaction."""
    registry.MlflowClient().transition_model_version_stage(MODEL, version.version, "Production", reason=reason)


def check_production(trained: Trained, split: Split) -> None:
    """Load the model in Production and check that it predicts the held-out rows as the model in memory does.

    Raises:
        IntegrityError: the class of a row differs, or a probability, even in the last bit.
    """
    classes = registry.pyfunc.load_model(PRODUCTION).predict(split.held_out)
    chances = registry.xgboost.load_model(PRODUCTION).predict_proba(split.held_out)
    same_class = classes == trained.model.predict(split.held_out)
    same_chances = (chances == trained.model.predict_proba(split.held_out)).all(axis=1)
    different = int((~(same_class & same_chances)).sum())
    if different:
        raise registry.exceptions.IntegrityError(
            f"{PRODUCTION} predicts {different} of {len(split.held_out)} held-out rows differently from the model "
            f"{trained.name!r}, which was promoted last. Another demo may have promoted its own model meanwhile; "
            "run the demo again."
        )

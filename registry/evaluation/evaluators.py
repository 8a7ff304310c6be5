"""Chooses evaluators by name and reads their settings: ``classifier``, ``regressor``, ``shap`` and ``default``."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from registry.evaluation.classifier import evaluate_classifier
from registry.evaluation.explanations import explain
from registry.evaluation.outcome import Evaluation, Outcome
from registry.evaluation.regressor import evaluate_regressor
from registry.exceptions import InvalidParameterError, RegistryError
from registry.validation.arguments import check_list, check_mapping

CLASSIFIER: Final = "classifier"
REGRESSOR: Final = "regressor"
SHAP: Final = "shap"
DEFAULT: Final = "default"
NAMES: Final = (CLASSIFIER, DEFAULT, REGRESSOR, SHAP)
_BY_TYPE: Final[Mapping[str, Callable[[Evaluation], Outcome]]] = {
    CLASSIFIER: evaluate_classifier,
    REGRESSOR: evaluate_regressor,
}


def check_model_type(model_type: object) -> str | None:
    """Return a model type that can be evaluated, or None.

    Raises:
        InvalidParameterError: There is no such type here.
    """
    if model_type is None or (isinstance(model_type, str) and model_type in _BY_TYPE):
        return model_type
    raise InvalidParameterError(
        f"The model_type {model_type!r} is not evaluated here; use 'classifier', 'regressor', or None with "
        "extra_metrics."
    )


def read_config(evaluators: str | Sequence[str] | None, config: Any) -> tuple[list[str], dict[str, Any]]:
    """Return the names of evaluators and their settings, which may be nested by the name of an evaluator.

    Raises:
        InvalidParameterError: There is no such evaluator.
    """
    given = [DEFAULT] if evaluators is None else [evaluators] if isinstance(evaluators, str) else evaluators
    names = check_list(given, "evaluators", str)
    unknown = [name for name in names if name not in NAMES]
    if unknown or not names:
        raise InvalidParameterError(f"There are no evaluators {unknown}; there are {', '.join(NAMES)}.")
    settings = check_mapping(config, "evaluator_config")
    if not all(isinstance(key, str) for key in settings):
        raise InvalidParameterError(f"The keys of evaluator_config must be texts, got {list(settings)!r:.100}.")
    if settings and all(name in NAMES and isinstance(value, Mapping) for name, value in settings.items()):
        settings = {key: value for name in settings for key, value in settings[name].items()}
    return names, dict(settings)


_CLASSES: Final = (
    " A classifier must predict classes. For a Booster, which predicts probabilities, give a function as the model, "
    "such as lambda frame: model.predict(frame) > 0.5, and `model_id`."
)


@contextmanager
def sklearn_errors() -> Iterator[None]:
    """Turn what scikit-learn says of targets and predictions that do not fit each other into our error."""
    try:
        yield
    except RegistryError:
        raise
    except (TypeError, ValueError) as error:
        advice = _CLASSES if "continuous" in str(error) else ""
        raise InvalidParameterError(
            f"scikit-learn cannot evaluate these targets and predictions: {str(error).rstrip('.')}.{advice}"
        ) from error


def run_evaluators(names: Sequence[str], model_type: str | None, evaluation: Evaluation) -> Outcome:
    """Run the evaluators that fit the type of the model."""
    outcome = Outcome()
    evaluate = None if model_type is None else _BY_TYPE[model_type]
    if evaluate is not None and (model_type in names or DEFAULT in names):
        with sklearn_errors():
            outcome = evaluate(evaluation)
    explains = DEFAULT in names and evaluation.config.get("log_model_explainability", True)
    if model_type is not None and evaluation.model is not None and (SHAP in names or explains):
        outcome.figures |= explain(evaluation, is_required=SHAP in names).figures
    return outcome

"""`autolog` for all packages that are here."""

from collections.abc import Mapping, Sequence

from registry.autologging import integrations
from registry.validation.arguments import check_list


def autolog(
    log_input_examples: bool = False,
    log_model_signatures: bool = True,
    log_models: bool = True,
    log_datasets: bool = True,
    log_traces: bool = True,
    disable: bool = False,
    exclusive: bool = False,
    disable_for_unsupported_versions: bool = False,
    silent: bool = False,
    extra_tags: Mapping[str, str] | None = None,
    exclude_flavors: Sequence[str] | None = None,
    *,
    log_reference: bool = False,
) -> None:
    """Log what XGBoost, LightGBM and scikit-learn do from now on, whether they are imported already or later.

    Each ``fit`` or ``train`` is logged to the active run, or to a run of its own. What the flavors' own ``autolog``
    have set stays as it is.

    Args:
        log_input_examples: Store the first five rows of the training data with the model. Default: False.
        log_model_signatures: Store the model's signature. Default: True.
        log_models: Log the trained model. Default: True.
        log_datasets: Record the identity of the training and evaluation data. Default: True.
        disable: Switch autologging off and put the original functions back. Default: False.
        exclusive: Log only to runs that autologging makes itself. Default: False.
        disable_for_unsupported_versions: Stay off with a version of a package that is older than those tested. Default:
            False.
        silent: Show no messages of autologging. Default: False.
        log_traces: Accepted for MLflow's scripts. There is no tracing.
        extra_tags: Tags of the runs that autologging makes, as a mapping from key to value.
        exclude_flavors: Names of packages to leave alone, such as ``["sklearn"]``.
        log_reference: Seal a profile of the training data with the model, for `monitoring.check`: inputs, targets and
            predictions, with a sample of the rows. Default: False.

    Raises:
        MissingDependencyError: wrapt is not installed.

    Example:
        >>> mlflow.autolog(silent=True)
        >>> from sklearn.linear_model import LogisticRegression
        >>> _ = LogisticRegression().fit(X, y)
        >>> run = mlflow.last_active_run()
        >>> run.data.tags["estimator_name"], run.data.metrics["training_accuracy_score"]
        ('LogisticRegression', 0.975)
        >>> mlflow.autolog(disable=True)
    """
    del log_traces
    excluded = check_list(exclude_flavors, "exclude_flavors", str)
    if disable:
        for name in integrations.INTEGRATIONS:
            if name not in excluded:
                integrations.disable(name)
        return
    given = {
        "log_input_examples": log_input_examples,
        "log_model_signatures": log_model_signatures,
        "log_models": log_models,
        "log_datasets": log_datasets,
        "log_reference": log_reference,
        "exclusive": exclusive,
        "disable_for_unsupported_versions": disable_for_unsupported_versions,
        "silent": silent,
        "extra_tags": extra_tags,
    }
    integrations.enable_all(given, excluded)

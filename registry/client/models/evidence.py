"""Client methods for evidence: figures that were measured on a logged model, with their data set."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from registry.client.base import ClientBase
from registry.client.tracking.batches import check_batch
from registry.entities import DatasetInput, InputTag, Metric
from registry.exceptions import InvalidParameterError, InvalidTypeError
from registry.validation.arguments import check_mapping
from registry.validation.names import check_key, check_run_id
from registry.validation.values import metric_value, now_ms

if TYPE_CHECKING:
    from registry.datasets import PandasDataset
    from registry.entities import Evidence

# A record is copied into the event of each promotion that was judged on it.
MAX_CONTENT: Final = 20_000


class EvidenceMethods(ClientBase):
    """Client methods for evidence on logged models."""

    def log_evaluation(
        self,
        run_id: str,
        metrics: Mapping[str, Any],
        dataset: "PandasDataset",
        model_id: str | None = None,
        *,
        context: str | None = None,
    ) -> None:
        """Add metrics of an evaluation to a run and to a logged model, with the data set: all or nothing.

        `evaluate` does this. The data set becomes an input of the run. The logged model gets the metrics with the data
        set's name, digest, schema and the SHA-256 of its content.

        Args:
            run_id: The run of the evaluation.
            metrics: A mapping from key to number.
            dataset: The data, from `data.from_pandas`.
            model_id: The logged model that was evaluated. Default: only the run gets the metrics.
            context: The use of the data set, stored as the tag ``mlflow.data.context``. Default: none.

        Raises:
            InvalidTypeError: `dataset` is not made by `data.from_pandas`.
            InvalidParameterError: A metric cannot be stored, or the data cannot be digested.
            LoggedModelNotFoundError: There is no such logged model.
            RunNotFoundError: There is no such run.

        Example:
            >>> model_id = client.get_model_version("churn", 3).model_id
            >>> holdout = mlflow.data.from_pandas(X.assign(won=y), targets="won", name="holdout")
            >>> client.log_evaluation(run_id, {"f1_score": 0.91}, holdout, model_id)
            >>> [record.content["value"] for record in client.get_evidence(model_id)]
            ['0.91']
        """
        evaluated = _check_dataset(dataset).to_evaluated()
        timestamp = now_ms()
        points = [
            Metric(key, metric_value(key, value), timestamp, 0, model_id, dataset.name, dataset.digest)
            for key, value in check_mapping(metrics, "metrics").items()
        ]
        tags = [] if context is None else [InputTag("mlflow.data.context", str(context))]
        self.backend.evidence.log_evaluation(
            check_run_id(run_id),
            check_batch(points).metrics,
            evaluated,
            used=DatasetInput(dataset.to_entity(), tags),
            model_id=model_id,
        )

    def log_evidence(
        self,
        model_id: str,
        kind: str,
        content: Mapping[str, Any],
        *,
        dataset: "PandasDataset | None" = None,
        run_id: str | None = None,
    ) -> "Evidence":
        """Add a record of evidence on a logged model. It can be neither changed nor removed.

        `compare_models` does this with the kind ``comparison``.

        Args:
            model_id: The logged model.
            kind: The kind of evidence; not ``metric``.
            content: The figures, as a mapping that JSON can hold. Write NaN and infinity as text.
            dataset: The data set that they were measured on, from `data.from_pandas`.
            run_id: The run that measured them.

        Returns:
            The record, with its number.

        Raises:
            InvalidParameterError: The kind is ``metric`` or no key, or JSON cannot hold the content in 20,000
                characters.
            LoggedModelNotFoundError: There is no such logged model.

        Example:
            >>> model_id = client.get_model_version("churn", 3).model_id
            >>> record = client.log_evidence(model_id, "review", {"reader": "ann", "finding": "fair"})
            >>> client.get_evidence(model_id, "review")[0].content["finding"]
            'fair'
        """
        from registry.entities.evidence import METRIC

        if check_key(kind, "kind") == METRIC:
            raise InvalidParameterError("Metrics with a data set are logged with log_evaluation; choose another kind.")
        return self.backend.evidence.add(
            model_id,
            kind,
            _check_content(content),
            dataset=None if dataset is None else _check_dataset(dataset).to_evaluated(),
            run_id=None if run_id is None else check_run_id(run_id),
        )

    def get_evidence(self, model_id: str, kind: str | None = None) -> list["Evidence"]:
        """Return the evidence on a logged model: metrics that name a data set, then other records.

        Args:
            model_id: The logged model.
            kind: Only this kind, such as ``metric`` or ``comparison``. Default: all.

        Returns:
            The records, oldest first within metrics and within others.

        Raises:
            LoggedModelNotFoundError: There is no such logged model.

        Example:
            >>> model_id = client.get_model_version("churn", 3).model_id
            >>> client.get_evidence(model_id, "comparison")
            []
        """
        return list(self.backend.evidence.list(model_id, None if kind is None else check_key(kind, "kind")))


def _check_dataset(dataset: object) -> "PandasDataset":
    from registry.datasets import PandasDataset

    if not isinstance(dataset, PandasDataset):
        raise InvalidTypeError(
            f"A data set is made by data.from_pandas(frame, name=…), got a value of type {type(dataset).__name__}."
        )
    return dataset


def _check_content(content: object) -> dict[str, Any]:
    from registry.entities.history import canonical_json

    checked = check_mapping(content, "content")
    try:
        text = canonical_json(checked)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidParameterError(f"The content of evidence must be JSON ({error}).") from error
    if len(text) > MAX_CONTENT or "\\u0000" in text or any(0xD800 <= ord(character) < 0xE000 for character in text):
        raise InvalidParameterError(
            f"The content of evidence has {len(text)} characters as JSON; at most {MAX_CONTENT} are allowed, without "
            "NUL and halves of surrogate pairs."
        )
    return checked

"""Client methods that log metrics, params and tags to runs, and read series back."""

from collections.abc import Sequence
from typing import Any

from registry.client.async_logging import Entry, RunOperations
from registry.client.base import ClientBase
from registry.client.tracking.batches import OMITTED, Batch, check_batch
from registry.entities import Metric, PagedList, Param, RunTag
from registry.validation.names import check_key, check_run_id
from registry.validation.values import metric_value, now_ms


class LoggingMethods(ClientBase):
    """Client methods for the data of runs."""

    def log_metric(
        self,
        run_id: str,
        key: str,
        value: Any,
        timestamp: int | None = None,
        step: int | None = None,
        synchronous: bool | None = None,
        dataset_name: str | None = None,
        dataset_digest: str | None = None,
        model_id: str | None = None,
    ) -> RunOperations | None:
        """Append a point to a metric.

        The latest value of a metric is the point with the greatest step, then timestamp, then value.

        Args:
            run_id: The run's id.
            key: The metric's key.
            value: One number, or an array or tensor that holds one. NaN and infinities are kept.
            timestamp: Milliseconds since the epoch. Default: now.
            step: An integer. Default: 0.
            synchronous: True waits until the point is durable; False queues it. Default:
                ``REGISTRY_ENABLE_ASYNC_LOGGING``, else True.
            dataset_name: The name of the data set on which the metric was measured.
            dataset_digest: The digest of that data set.
            model_id: The logged model that the metric describes.

        Returns:
            None, or with ``synchronous=False`` a ticket whose ``wait()`` returns when the point is durable.

        Raises:
            InvalidParameterError: The value is not one number, or the key has characters that are not allowed.
            RunNotFoundError: No run has this id.

        Example:
            >>> client.log_metric(run_id, "f1", 0.81, step=1)
            >>> client.get_run(run_id).data.metrics["f1"]
            0.81
        """
        moment = now_ms() if timestamp is None else timestamp
        number = metric_value(key, value)
        metric = Metric(key, number, moment, 0 if step is None else step, model_id, dataset_name, dataset_digest)
        return write_or_queue(self, run_id, check_batch([metric]), synchronous)

    def log_param(self, run_id: str, key: str, value: Any, synchronous: bool | None = None) -> Any:
        """Write a param of a run. A param is written once.

        Args:
            run_id: The run's id.
            key: The param's key.
            value: The param's value. Stored as text. Text over 6,000 characters is cut, with a warning.
            synchronous: True waits until the param is durable; False queues it. Default:
                ``REGISTRY_ENABLE_ASYNC_LOGGING``, else True.

        Returns:
            The given value, or with ``synchronous=False`` a ticket whose ``wait()`` returns when the param is durable.

        Raises:
            ParamConflictError: The param has another value already.
            RunNotFoundError: No run has this id.

        Example:
            >>> client.log_param(run_id, "eta", 0.1)
            0.1
            >>> client.get_run(run_id).data.params["eta"]
            '0.1'
        """
        ticket = self.log_batch(run_id, params=[Param(key, value)], synchronous=synchronous)
        return value if ticket is None else ticket

    def set_tag(self, run_id: str, key: str, value: Any, synchronous: bool | None = None) -> RunOperations | None:
        """Set a tag of a run, overwriting an older value.

        Args:
            run_id: The run's id.
            key: The tag's key.
            value: The tag's value. Stored as text. Text over 8,000 characters is cut, with a warning.
            synchronous: True waits until the tag is durable; False queues it. Default:
                ``REGISTRY_ENABLE_ASYNC_LOGGING``, else True.

        Returns:
            None, or with ``synchronous=False`` a ticket whose ``wait()`` returns when the tag is durable.

        Raises:
            RunNotFoundError: No run has this id.
            InvalidParameterError: The key cannot be stored.

        Example:
            >>> client.set_tag(run_id, "reviewed", True)
            >>> client.get_run(run_id).data.tags["reviewed"]
            'True'
        """
        return self.log_batch(run_id, tags=[RunTag(key, value)], synchronous=synchronous)

    def delete_tag(self, run_id: str, key: str) -> None:
        """Delete a tag of a run.

        Args:
            run_id: The run's id.
            key: The tag's key.

        Raises:
            RunNotFoundError: No run has this id.
            NotFoundError: The run has no such tag.

        Example:
            >>> client.delete_tag(run_id, "team")
            >>> "team" in client.get_run(run_id).data.tags
            False
        """
        self.backend.runs.delete_tag(check_run_id(run_id), check_key(key))

    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Metric] = OMITTED,
        params: Sequence[Param] = OMITTED,
        tags: Sequence[RunTag] = OMITTED,
        synchronous: bool | None = None,
    ) -> RunOperations | None:
        """Log any number of metrics, params and tags in one transaction: all or none.

        Args:
            run_id: The run's id.
            metrics: Points to append, as `Metric` entities.
            params: Params to write, as `Param` entities.
            tags: Tags to set, as `RunTag` entities.
            synchronous: True waits until all are durable; False queues them. Default:
                ``REGISTRY_ENABLE_ASYNC_LOGGING``, else True.

        Returns:
            None, or with ``synchronous=False`` a ticket whose ``wait()`` returns when all are durable.

        Raises:
            ParamConflictError: A param has another value already.
            InvalidParameterError: A key, value or step cannot be stored, or one param is given with two values.
            RunNotFoundError: No run has this id.

        Example:
            >>> from registry.entities import Metric, Param
            >>> point = Metric("recall", 0.7, timestamp=1_767_225_600_000, step=1)
            >>> client.log_batch(run_id, metrics=[point], params=[Param("eta", "0.1")])
            >>> client.get_run(run_id).data.metrics["recall"]
            0.7
        """
        return write_or_queue(self, run_id, check_batch(metrics, params, tags), synchronous)

    def get_metric_history(self, run_id: str, key: str) -> PagedList[Metric]:
        """Return all points of a metric of a run.

        Args:
            run_id: The run's id.
            key: The metric's key.

        Returns:
            The points by timestamp, then step, then value. Empty if the metric was never logged. There is one page
            only.

        Raises:
            RunNotFoundError: No run has this id.

        Example:
            >>> [(point.step, round(point.value, 2)) for point in client.get_metric_history(run_id, "auc")]
            [(0, 0.78), (1, 0.79), (2, 0.8)]
        """
        return PagedList(self.backend.runs.metric_history(check_run_id(run_id), key))

    def flush_async_logging(self) -> None:
        """Wait until all values that were queued with ``synchronous=False`` are written or have failed.

        A failure is raised by the ticket's ``wait()``, not here.

        Example:
            >>> ticket = client.log_metric(run_id, "f1", 0.81, synchronous=False)
            >>> client.flush_async_logging()
            >>> client.get_run(run_id).data.metrics["f1"]
            0.81
        """
        self.backend.log_queue.flush()


def write_or_queue(client: LoggingMethods, run_id: str, batch: Batch, synchronous: bool | None) -> RunOperations | None:
    """Write a validated batch to a run, or queue it and return a ticket.

    Raises:
        InvalidParameterError: `run_id` is not the id of a run.
        ParamConflictError: A param has another value already.
    """
    check_run_id(run_id)
    in_background = client._queues_logs if synchronous is None else not synchronous
    # A point of a logged model needs the model's row, which may wait for its upload.
    names_model = any(metric.model_id is not None for metric in batch.metrics)
    backend = client.backend if names_model else client._backend_for_logging
    if in_background:
        return backend.log_queue.put(Entry(run_id, *batch))
    backend.runs.log_batch(run_id, metrics=batch.metrics, params=batch.params, tags=batch.tags)
    return None

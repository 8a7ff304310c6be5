"""Answer requests for predictions: keep their limits, read the body, ask the model, and count what came of it.

Guarantees: no request waits beyond its limits; one is answered in the event loop only if it is small, and only while
the model is known to compute and nothing else, and to be quick with bodies of that size.
"""

import asyncio
import logging
import time
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import msgspec
from starlette.requests import ClientDisconnect

from registry.exceptions import SchemaEnforcementError
from registry.serving import protocol_v2
from registry.serving.answers import (
    JSON,
    RETRY_SECONDS,
    Answer,
    count_rows,
    error_response,
    find_header,
    identity_headers,
    lease,
    log_error,
    media_type,
    raw_headers,
)
from registry.serving.compression import accepted_encoding, compress, decompress, encoding_of
from registry.serving.follow import FollowedModel
from registry.serving.inputs import InputReader
from registry.serving.metrics import Metrics, RequestSeries
from registry.serving.options import ServeOptions
from registry.serving.outputs import encodable
from registry.serving.request_errors import RequestError
from registry.serving.served_model import ServedModel
from registry.serving.shadow import Observation

_CSV: Final = "text/csv"
_BINARY: Final = "application/octet-stream"
_BINARY_HEADER: Final = "inference-header-content-length"
# What a model raises for input that it cannot take. Where a signature has checked the types, only ValueError says so:
# scikit-learn raises it for a missing value.
_INPUT_ERRORS: Final = (ValueError, TypeError, KeyError, IndexError, AttributeError)
# Handing a request to another thread and back costs as much as one row of a usual model. Every other request waits
# while the event loop predicts, so it does that only for little, and for models that have shown to be quick.
_SMALL_BYTES: Final = 8 * 2**10
_QUICK_SECONDS: Final = 0.002
_MEMORY: Final = 0.9

Work = Callable[[bytes, ServedModel, "PreparedModel"], Answer]
Choose = Callable[[Any], tuple[str, FollowedModel]]


class PreparedModel:
    """A loaded model with what its requests need, made once: its reader of input, and headers that name it."""

    def __init__(self, served: ServedModel, max_rows: int) -> None:
        model = served.model
        self.reader = InputReader(served.metadata, max_rows, takes_rows=model.takes_rows)
        self.headers = raw_headers(identity_headers(served))
        self._only_computes = model.only_computes
        self._seconds = float("inf")
        self._quick_bytes = 0

    def is_quick(self, size: int) -> bool:
        """Tell whether a body of `size` bytes takes little processor time, by those that were answered of late.

        It may be twice as large as those: the time of many models grows with the rows.
        """
        return self._only_computes and self._seconds < _QUICK_SECONDS and size <= 2 * self._quick_bytes

    def note(self, size: int, seconds: float) -> None:
        """Remember the processor time of a small body; that of slow ones for longer, and that they were too large."""
        self._seconds = seconds if self._seconds == float("inf") else max(seconds, self._seconds * _MEMORY)
        if seconds < _QUICK_SECONDS:
            self._quick_bytes = max(self._quick_bytes, size)
        else:
            self._quick_bytes = min(self._quick_bytes, size // 4)  # half of that size may be tried


class Predictions:
    """Answers the requests for predictions of one process.

    Args:
        options: The limits.
        metrics: Where requests are counted.
        choose: Returns the name and the model that a request is for.
    """

    def __init__(self, options: ServeOptions, metrics: Metrics, choose: Choose) -> None:
        self._options = options
        self._metrics = metrics
        self._choose = choose
        self._prepared: weakref.WeakKeyDictionary[ServedModel, PreparedModel] = weakref.WeakKeyDictionary()
        self._series: dict[tuple[str, str, str], RequestSeries] = {}
        self._threads = ThreadPoolExecutor(options.concurrency, "registry-predict")
        self.inside = 0

    def close(self) -> None:
        """Wait for the predictions that are under way."""
        self._threads.shutdown()

    async def answer(self, scope: Any, receive: Any, send: Any, work: Work, protocol: str) -> None:
        """Read the body, predict, send the answer, and count what came of it."""
        began = time.perf_counter()
        name = ""
        try:
            name, followed = self._choose(scope)
            scope["registry.model"], scope["registry.followed"] = name, followed
            encodings = [value.decode("latin-1") for header, value in scope["headers"] if header == b"content-encoding"]
            answer = await self._within_limits(scope, receive, followed, work, encoding_of(encodings))
        except RequestError as error:
            self._count(scope, name, protocol, error.status, time.perf_counter() - began)
            await error_response(scope, error)(scope, receive, send)
            return
        self._count(scope, name, protocol, 200, time.perf_counter() - began, answer.rows)
        await send({"type": "http.response.start", "status": 200, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    def _count(self, scope: Any, name: str, protocol: str, status: int, seconds: float, rows: int = 0) -> None:
        served = scope.get("registry.served")
        key = name, str((served and served.version) or ""), protocol
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = RequestSeries(*key)
        self._metrics.count_request(series, status, seconds, rows)

    async def _within_limits(
        self, scope: Any, receive: Any, followed: FollowedModel, work: Work, encoding: str | None
    ) -> Answer:
        """Return what `work` makes of the body; a request that cannot wait or takes too long is refused."""
        options = self._options
        if self.inside >= options.concurrency + options.queue:
            raise RequestError(429, "The queue is full. Try again, or start more workers.", retry_after=RETRY_SECONDS)
        self.inside += 1
        running: Future[Answer] | None = None
        try:
            async with asyncio.timeout(options.timeout):
                body = await read_body(scope, receive, options.max_body)
                if encoding is None and len(body) <= _SMALL_BYTES:
                    answer = self._answer_if_quick(scope, followed, work, body)
                    if answer is not None:
                        return answer
                running = self._threads.submit(self._answer_with_lease, scope, followed, work, body, encoding)
                return await asyncio.wrap_future(running)
        except TimeoutError:
            limit = f"{options.timeout:g} seconds"
            raise RequestError(503, f"There was no answer within {limit}.", retry_after=RETRY_SECONDS) from None
        finally:
            # A prediction that goes on after its time was up takes its place until it ends.
            if running is None or running.done() or running.cancel():
                self.inside -= 1
            else:
                loop = asyncio.get_running_loop()
                running.add_done_callback(lambda _done: loop.call_soon_threadsafe(self._leave))

    def _leave(self) -> None:
        self.inside -= 1

    def _answer_if_quick(self, scope: Any, followed: FollowedModel, work: Work, body: bytes) -> Answer | None:
        """Answer in the event loop if the model of this moment is known to be quick, else return None."""
        with lease(scope, followed) as served:
            prepared = self._prepare(served)
            return self._answer(served, prepared, work, body) if prepared.is_quick(len(body)) else None

    def _answer_with_lease(
        self, scope: Any, followed: FollowedModel, work: Work, body: bytes, encoding: str | None
    ) -> Answer:
        """Answer with the model of this moment, in a thread."""
        with lease(scope, followed) as served:
            body = decompress(body, encoding, self._options.max_body)
            return self._answer(served, self._prepare(served), work, body)

    def _prepare(self, served: ServedModel) -> PreparedModel:
        prepared = self._prepared.get(served)
        if prepared is None:
            prepared = self._prepared[served] = PreparedModel(served, self._options.max_rows)
        return prepared

    def _answer(self, served: ServedModel, prepared: PreparedModel, work: Work, body: bytes) -> Answer:
        """Answer; what fails beyond the input is a 500 with an id."""
        began = time.thread_time()
        answer = None
        try:
            answer = work(body, served, prepared)
        except RequestError:
            raise
        except Exception as error:  # noqa: BLE001 - code of the model raises whatever it likes
            identity = log_error(served, error, logging.ERROR)
            raise RequestError(500, f"The prediction failed; the log says more under {identity}.") from None
        finally:
            seconds = time.thread_time() - began
            # A request that failed quickly shows nothing: it may not have reached the model.
            if len(body) <= _SMALL_BYTES and (answer is not None or seconds >= _QUICK_SECONDS):
                prepared.note(len(body), seconds)
        return answer


class Invocations:
    """MLflow's scoring protocol as an ASGI application."""

    def __init__(self, predictions: Predictions) -> None:
        self._predictions = predictions

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer ``POST /invocations``."""
        kind = media_type(scope)
        if kind not in (JSON, _CSV):
            wanted = RequestError(415, f"Send Content-Type: {JSON}, or {_CSV} in UTF-8.")
            await error_response(scope, wanted)(scope, receive, send)
            return

        def work(body: bytes, served: ServedModel, prepared: PreparedModel) -> Answer:
            reader = prepared.reader
            data, params = reader.from_json(body) if kind == JSON else (reader.from_csv(body), None)
            predictions = predict(scope, served, reader, data, params)
            content = msgspec.json.encode({"predictions": encodable(predictions)})
            return Answer.of(content, JSON, prepared.headers, count_rows(data))

        await self._predictions.answer(scope, receive, send, work, protocol="mlflow")


class Inference:
    """Inference of protocol V2 as an ASGI application."""

    def __init__(self, predictions: Predictions) -> None:
        self._predictions = predictions

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer ``POST /v2/models/NAME/infer``."""
        length = find_header(scope, _BINARY_HEADER.encode())
        if length is not None and not (length.isdigit() and len(length) < 16):
            wrong = RequestError(400, f"{_BINARY_HEADER} is a number of bytes.")
            await error_response(scope, wrong)(scope, receive, send)
            return
        encoding = accepted_encoding(find_header(scope, b"accept-encoding", b"").decode("latin-1"))

        def work(body: bytes, served: ServedModel, prepared: PreparedModel) -> Answer:
            asked = protocol_v2.read(body, None if length is None else int(length))
            reader = prepared.reader
            data = reader.from_tensors(asked.tensors)
            predictions = predict(scope, served, reader, data, asked.params)
            head = {
                "model_name": scope["path_params"]["name"],
                "model_version": str(served.version or ""),
                "parameters": {"uri": served.uri, "digest": served.digest},
            }
            content, header = protocol_v2.write(asked, predictions, served.metadata.get_output_schema(), head)
            content, packed = compress(content, encoding)
            headers = [*prepared.headers, *raw_headers(packed)]
            if header is None:
                return Answer.of(content, JSON, headers, count_rows(data))
            return Answer.of(content, _BINARY, [*headers, (_BINARY_HEADER.encode(), b"%d" % header)], count_rows(data))

        await self._predictions.answer(scope, receive, send, work, protocol="v2")


async def read_body(scope: Any, receive: Any, limit: int) -> bytes:
    """Return the body of a request; one that is larger than `limit` is refused, and read no further."""
    too_large = f"The body has more than {limit} bytes. Send fewer rows at once."
    if int(find_header(scope, b"content-length", b"0")) > limit:
        raise RequestError(413, too_large)
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise RequestError(413, too_large)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def predict(scope: Any, served: ServedModel, reader: InputReader, data: Any, params: Mapping[str, Any] | None) -> Any:
    """Predict; input that does not fit is an error of status 400. Leave in `scope` what may be recorded."""
    began = time.perf_counter()
    try:
        if reader.holds_rows(data):
            predictions = served.model.predict_rows(data, params)
        else:
            predictions = served.predict(data, params)
    except SchemaEnforcementError as error:
        identity = log_error(served, error, logging.INFO)
        raise RequestError(
            400, f"The input or its params do not fit the model's signature; the log says more under {identity}."
        ) from None
    except _INPUT_ERRORS as error:
        has_signature = served.metadata.get_input_schema() is not None
        if has_signature and not isinstance(error, ValueError):
            raise
        identity = log_error(served, error, logging.INFO)
        why = "" if has_signature else "; it has no signature that says what it takes"
        raise RequestError(
            400,
            f"The model cannot take this input ({type(error).__name__}){why}. The log says more under {identity}.",
        ) from None
    seconds = time.perf_counter() - began
    scope["registry.observe"] = lambda: Observation(served, reader.as_frame(data), params, predictions, seconds)
    return predictions

"""The server as an ASGI application: MLflow's scoring protocol, protocol V2, status and metrics.

Guarantees: every answer comes whole from one version and names it; what is wrong with a request is told in one line
that repeats nothing of the input; no request waits beyond its limits.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import sys
import time
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, Router

from registry import __version__
from registry.exceptions import SchemaEnforcementError
from registry.serving import protocol_v2
from registry.serving.answers import (
    JSON,
    RETRY_SECONDS,
    Answer,
    answer_with_lease,
    count_rows,
    has_token,
    identity_headers,
    json_response,
    lease,
    log_error,
    media_type,
    status_form,
)
from registry.serving.compression import accepted_encoding, compress, decompress, encoding_of
from registry.serving.follow import FollowedModel, follow
from registry.serving.inputs import InputReader
from registry.serving.metrics import Metrics
from registry.serving.options import ServeOptions
from registry.serving.outputs import encodable
from registry.serving.recording import Recording
from registry.serving.request_errors import RequestError
from registry.serving.served_model import ServedModel
from registry.serving.shadow import Observation, Shadow

_CSV: Final = "text/csv"
_BINARY: Final = "application/octet-stream"
_BINARY_HEADER: Final = "inference-header-content-length"
_SHARE_SECONDS: Final = 1.0
_FIRST_LOAD_SECONDS: Final = 20.0
# Probes of a load balancer have no token.
_OPEN_PATHS: Final = frozenset({"/ping", "/health", "/v2/health/live", "/v2/health/ready"})
_CODES: Final = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    404: "RESOURCE_DOES_NOT_EXIST",
    413: "BAD_REQUEST",
    415: "BAD_REQUEST",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}
# What a model raises for input that it cannot take. Where a signature has checked the types, only ValueError says so:
# scikit-learn raises it for a missing value.
_INPUT_ERRORS: Final = (ValueError, TypeError, KeyError, IndexError, AttributeError)


class Server:
    """The application of one process.

    Args:
        options: What is served, and within which limits.
        token: What clients must send, or None.
    """

    def __init__(self, options: ServeOptions, token: bytes | None) -> None:
        self._options = options
        self._token = token
        self._followed: dict[str, FollowedModel] = {}
        self._readers: weakref.WeakKeyDictionary[ServedModel, InputReader] = weakref.WeakKeyDictionary()
        self._shadows: dict[str, Shadow] = {}
        self._recordings: dict[FollowedModel, Recording] = {}
        self._metrics = Metrics(Path(options.shared) if options.shared else None)
        self._threads = ThreadPoolExecutor(options.concurrency, "registry-predict")
        self._inside = 0
        self._began = time.monotonic()
        self._router = Router(
            [
                Route("/invocations", self._invocations, methods=["POST"]),
                Route("/v2/models/{name}/infer", self._infer, methods=["POST"]),
                Route("/v2/models/{name}/versions/{version}/infer", self._infer, methods=["POST"]),
                Route("/models/{name}/invocations", self._invocations, methods=["POST"]),
                Route("/ping", self._ready),
                Route("/health", self._ready),
                Route("/version", self._version),
                Route("/status", self._status),
                Route("/metrics", self._metrics_text),
                Route("/v2/health/live", self._live),
                Route("/v2/health/ready", self._ready),
                Route("/v2", self._server_metadata),
                Route("/v2/models/{name}/ready", self._model_ready),
                Route("/v2/models/{name}/versions/{version}/ready", self._model_ready),
                Route("/v2/models/{name}", self._model_metadata),
                Route("/v2/models/{name}/versions/{version}", self._model_metadata),
            ],
            default=self._not_found,
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, or begin and end with the process."""
        if scope["type"] == "lifespan":
            await self._live_on(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        began = time.perf_counter()
        status = 0

        async def sending(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if self._token is not None and scope["path"] not in _OPEN_PATHS and not has_token(scope, self._token):
                refused = RequestError(401, "Send the token of this server: Authorization: Bearer TOKEN.")
                await self._error(Request(scope), refused)(scope, receive, sending)
            else:
                await self._router(scope, receive, sending)
                self._observe(scope)
        except ClientDisconnect:
            status = 499
        finally:
            if self._options.access_log:
                self._log(scope, status, time.perf_counter() - began)

    def _observe(self, scope: Any) -> None:
        """Hand on what was predicted, after the answer was sent. Whatever records predictions is called here."""
        observation = scope.get("registry.observation")
        if observation is None:
            return
        self._recordings[scope["registry.followed"]].offer(observation)
        shadow = self._shadows.get(scope["registry.model"])
        if shadow is not None:
            shadow.offer(observation)

    def _log(self, scope: Any, status: int, seconds: float) -> None:
        served = scope.get("registry.served")
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "client": scope["client"][0] if scope.get("client") else None,
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "ms": round(seconds * 1000, 3),
            "model": scope.get("registry.model"),
            "version": served.version if served is not None else None,
        }
        if "registry.error" in scope:
            line["error"] = scope["registry.error"]
        with contextlib.suppress(OSError, ValueError):  # a closed or full stderr costs no answer
            sys.stderr.write(msgspec.json.encode(line).decode() + "\n")

    async def _live_on(self, receive: Any, send: Any) -> None:
        await receive()
        self._follow()
        if self._options.workers > 1:
            await self._first_load()
        sharing = asyncio.create_task(self._share())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        sharing.cancel()
        self._close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _first_load(self) -> None:
        """Take no requests before the models are loaded, or could not be: other workers that are ready take them."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_LOAD_SECONDS):
                for followed in self._followed.values():
                    while not (followed.status.is_ready or followed.status.error):
                        await asyncio.sleep(0.01)

    def _follow(self) -> None:
        for name, uri in self._options.models:
            self._followed[name] = self._follow_one(name, uri)
        if self._options.shadow is not None:
            name = self._options.models[0][0]
            followed = self._follow_one(f"{name} (shadow)", self._options.shadow)
            self._shadows[name] = Shadow(followed, self._options.share, name, self._metrics)

    def _follow_one(self, name: str, uri: str) -> FollowedModel:
        options = self._options
        followed = follow(
            uri,
            every=options.every,
            wait=False,
            nthread=options.nthread,
            allow_code=options.allow_code,
            allow_incompatible=options.allow_incompatible,
            require_signature=options.require_signature,
            on_swap=lambda before, _after: self._note_swap(name, before),
        )
        self._recordings[followed] = Recording(followed, options.every)
        return followed

    def _note_swap(self, name: str, before: ServedModel | None) -> None:
        if before is not None:
            self._metrics.count("registry_swaps_total", {"model": name})

    async def _share(self) -> None:
        while self._options.shared is not None:
            await asyncio.sleep(_SHARE_SECONDS)
            await asyncio.to_thread(self._metrics.share)

    def _close(self) -> None:
        self._threads.shutdown()
        for shadow in self._shadows.values():
            shadow.close()
        for recording in self._recordings.values():
            recording.close()
        self._metrics.share()
        for followed in (*self._followed.values(), *(shadow.followed for shadow in self._shadows.values())):
            followed.close()

    # Predictions.

    async def _invocations(self, request: Request) -> Response:
        kind = media_type(request)
        if kind not in (JSON, _CSV):
            wanted = RequestError(415, f"Send Content-Type: {JSON}, or {_CSV} in UTF-8.")
            return self._error(request, wanted)

        def work(body: bytes, served: ServedModel) -> Answer:
            reader = self._reader(served)
            data, params = reader.from_json(body) if kind == JSON else (reader.from_csv(body), None)
            predictions = self._predict(request, served, data, params)
            return Answer(msgspec.json.encode({"predictions": encodable(predictions)}), rows=count_rows(data))

        return await self._answer(request, work, protocol="mlflow")

    async def _infer(self, request: Request) -> Response:
        length = request.headers.get(_BINARY_HEADER)
        if length is not None and not (length.isdecimal() and len(length) < 16):
            return self._error(request, RequestError(400, f"{_BINARY_HEADER} is a number of bytes."))
        encoding = accepted_encoding(request.headers.get("accept-encoding", ""))

        def work(body: bytes, served: ServedModel) -> Answer:
            asked = protocol_v2.read(body, None if length is None else int(length))
            data = self._reader(served).from_tensors(asked.tensors)
            predictions = self._predict(request, served, data, asked.params)
            head = {
                "model_name": request.path_params["name"],
                "model_version": str(served.version or ""),
                "parameters": {"uri": served.uri, "digest": served.digest},
            }
            content, header = protocol_v2.write(asked, predictions, served.metadata.get_output_schema(), head)
            content, headers = compress(content, encoding)
            if header is None:
                return Answer(content, JSON, headers, count_rows(data))
            return Answer(content, _BINARY, {_BINARY_HEADER: str(header), **headers}, count_rows(data))

        return await self._answer(request, work, protocol="v2")

    async def _answer(self, request: Request, work: Callable[[bytes, ServedModel], Answer], protocol: str) -> Response:
        """Read the body, predict in a thread, and count what came of it."""
        began = time.perf_counter()
        scope = request.scope
        name, status = "", 200
        try:
            name, followed = self._chosen(request)
            scope["registry.model"] = name
            followed = scope["registry.followed"] = self._canary(request, name) or followed
            encoding = encoding_of(request.headers.getlist("content-encoding"))

            def unpack(body: bytes, served: ServedModel) -> Answer:
                return work(decompress(body, encoding, self._options.max_body), served)

            answer = await self._within_limits(request, lambda body: answer_with_lease(scope, followed, unpack, body))
        except RequestError as error:
            status = error.status
            response = self._error(request, error)
        else:
            headers = {**identity_headers(scope["registry.served"]), **(answer.headers or {})}
            response = Response(answer.body, 200, headers, answer.media_type)
        served = scope.get("registry.served")
        labels = {"model": name, "version": (served and served.version) or ""}
        self._metrics.count("registry_requests_total", labels | {"protocol": protocol, "status": status})
        self._metrics.observe("registry_request_seconds", labels, time.perf_counter() - began)
        if status == 200:
            self._metrics.count("registry_rows_total", labels, answer.rows)
        return response

    async def _within_limits(self, request: Request, work: Callable[[bytes], Answer]) -> Answer:
        """Return what `work` makes of the body; a request that cannot wait or takes too long is refused."""
        options = self._options
        if self._inside >= options.concurrency + options.queue:
            raise RequestError(429, "The queue is full. Try again, or start more workers.", retry_after=RETRY_SECONDS)
        self._inside += 1
        running: Future[Answer] | None = None
        try:
            async with asyncio.timeout(options.timeout):
                body = await self._body(request)
                running = self._threads.submit(work, body)
                return await asyncio.wrap_future(running)
        except TimeoutError:
            limit = f"{options.timeout:g} seconds"
            raise RequestError(503, f"There was no answer within {limit}.", retry_after=RETRY_SECONDS) from None
        finally:
            # A prediction that goes on after its time was up takes its place until it ends.
            if running is None or running.done() or running.cancel():
                self._inside -= 1
            else:
                loop = asyncio.get_running_loop()
                running.add_done_callback(lambda _done: loop.call_soon_threadsafe(self._leave))

    def _leave(self) -> None:
        self._inside -= 1

    async def _body(self, request: Request) -> bytes:
        limit = self._options.max_body
        too_large = RequestError(413, f"The body has more than {limit} bytes. Send fewer rows at once.")
        if int(request.headers.get("content-length", 0)) > limit:
            raise too_large
        chunks, size = [], 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise too_large
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _chosen(self, request: Request) -> tuple[str, FollowedModel]:
        """Return the model that a request names, or the only one."""
        name = request.path_params.get("name")
        if name is None:
            if len(self._followed) > 1:
                known = ", ".join(f"/models/{known}/invocations" for known in self._followed)
                raise RequestError(404, f"There are several models here: use one of {known}.")
            name = next(iter(self._followed))
        followed = self._followed.get(name)
        if followed is None:
            raise RequestError(404, f"There is no such model here; there is: {', '.join(self._followed)}.")
        return name, followed

    def _canary(self, request: Request, name: str) -> FollowedModel | None:
        """Return the shadow where it is to answer a request: always for the same keys, and only once it is loaded."""
        shadow = self._shadows.get(name)
        if shadow is None or not self._options.canary or not shadow.followed.status.is_ready:
            return None
        client = request.client.host if request.client else ""
        key = request.headers.get(self._options.canary_key, client)
        place = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) / 2**64
        return shadow.followed if place < self._options.canary else None

    def _reader(self, served: ServedModel) -> InputReader:
        reader = self._readers.get(served)
        if reader is None:
            reader = self._readers[served] = InputReader(served.metadata, self._options.max_rows)
        return reader

    def _predict(self, request: Request, served: ServedModel, data: Any, params: Mapping[str, Any] | None) -> Any:
        began = time.perf_counter()
        try:
            predictions = served.predict(data, params)
            seconds = time.perf_counter() - began
            request.scope["registry.observation"] = Observation(served, data, params, predictions, seconds)
            return predictions
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

    # Everything else.

    async def _ready(self, request: Request) -> Response:
        waiting = [name for name, followed in self._followed.items() if not followed.status.is_ready]
        if not self._followed or waiting:
            return self._error(request, RequestError(503, f"Not loaded yet: {', '.join(waiting)}.", retry_after=1))
        return Response(b"\n", media_type=JSON)

    async def _live(self, request: Request) -> Response:
        del request
        return json_response({"live": True})

    async def _version(self, request: Request) -> Response:
        del request
        return Response(__version__, media_type="text/plain")

    async def _status(self, request: Request) -> Response:
        del request
        models = {name: status_form(followed.status) for name, followed in self._all_followed()}
        uptime = round(time.monotonic() - self._began, 3)
        form = {"version": __version__, "process": os.getpid(), "uptime_seconds": uptime, "models": models}
        return json_response(form)

    async def _metrics_text(self, request: Request) -> Response:
        del request
        gauges: list[tuple[str, Mapping[str, object], float]] = []
        for name, followed in self._all_followed():
            status = followed.status
            gauges.append(("registry_model_ready", {"model": name}, float(status.is_ready)))
            if status.is_ready:
                identity = {"model": name, "version": status.version or "", "digest": status.digest}
                gauges.append(("registry_model_info", identity, 1))
            if status.check_age is not None:
                gauges.append(("registry_model_check_age_seconds", {"model": name}, status.check_age))
            gauges.append(("registry_model_failures", {"model": name}, status.failures))
            recording = self._recordings[followed]
            gauges.append(("registry_model_recorded", {"model": name}, float(recording.is_on)))
            gauges.append(("registry_model_unrecorded_rows", {"model": name}, recording.dropped))
        text = await asyncio.to_thread(self._metrics.text, gauges)
        return Response(text, media_type="text/plain; version=0.0.4")

    def _all_followed(self) -> list[tuple[str, FollowedModel]]:
        shadows = [(f"{name} (shadow)", shadow.followed) for name, shadow in self._shadows.items()]
        return [*self._followed.items(), *shadows]

    async def _server_metadata(self, request: Request) -> Response:
        del request
        return json_response({"name": "registry", "version": __version__, "extensions": ["binary_tensor_data"]})

    async def _model_ready(self, request: Request) -> Response:
        return self._of_model(request, lambda name, _served: {"name": name, "ready": True})

    async def _model_metadata(self, request: Request) -> Response:
        return self._of_model(request, lambda name, served: protocol_v2.metadata(name, served.version, served.metadata))

    def _of_model(self, request: Request, form: Callable[[str, ServedModel], dict[str, Any]]) -> Response:
        try:
            name, followed = self._chosen(request)
            with lease(request.scope, followed) as served:
                return json_response(form(name, served), headers=identity_headers(served))
        except RequestError as error:
            return self._error(request, error)

    async def _not_found(self, scope: Any, receive: Any, send: Any) -> None:
        error = RequestError(404, "There is nothing at this path. Predictions: POST /invocations.")
        await self._error(Request(scope), error)(scope, receive, send)

    def _error(self, request: Request, error: RequestError) -> Response:
        request.scope["registry.error"] = error.message
        headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
        if error.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if request.url.path.startswith("/v2"):
            return json_response({"error": error.message}, error.status, headers)
        return json_response({"error_code": _CODES[error.status], "message": error.message}, error.status, headers)

"""The server as an ASGI application: MLflow's scoring protocol, protocol V2, status and metrics.

Guarantees: every answer comes whole from one version and names it; what is wrong with a request is told in one line
that repeats nothing of the input; no request waits beyond its limits.
"""

import asyncio
import contextlib
import hashlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, Router

from registry import __version__
from registry.serving import protocol_v2
from registry.serving.answers import (
    JSON,
    error_response,
    has_token,
    identity_headers,
    json_response,
    lease,
    status_form,
)
from registry.serving.follow import FollowedModel, follow
from registry.serving.metrics import Metrics
from registry.serving.options import ServeOptions
from registry.serving.predictions import Inference, Invocations, Predictions
from registry.serving.recording import Recording
from registry.serving.request_errors import RequestError
from registry.serving.served_model import ServedModel
from registry.serving.shadow import Shadow

_SHARE_SECONDS: Final = 1.0
_FIRST_LOAD_SECONDS: Final = 20.0
# Probes of a load balancer have no token.
_OPEN_PATHS: Final = frozenset({"/ping", "/health", "/v2/health/live", "/v2/health/ready"})


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
        self._shadows: dict[str, Shadow] = {}
        self._recordings: dict[FollowedModel, Recording] = {}
        self._metrics = Metrics(Path(options.shared) if options.shared else None)
        self._predictions = Predictions(options, self._metrics, self._choose)
        self._began = time.monotonic()
        invocations, inference = Invocations(self._predictions), Inference(self._predictions)
        self._router = Router(
            [
                Route("/invocations", invocations, methods=["POST"]),
                Route("/v2/models/{name}/infer", inference, methods=["POST"]),
                Route("/v2/models/{name}/versions/{version}/infer", inference, methods=["POST"]),
                Route("/models/{name}/invocations", invocations, methods=["POST"]),
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
                await error_response(scope, refused)(scope, receive, sending)
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
        observe = scope.get("registry.observe")
        if observe is None:
            return
        recording = self._recordings[scope["registry.followed"]]
        shadow = self._shadows.get(scope["registry.model"])
        if shadow is None and not recording.is_on:
            return
        observation = observe()
        recording.offer(observation)
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
        self._predictions.close()
        for shadow in self._shadows.values():
            shadow.close()
        for recording in self._recordings.values():
            recording.close()
        self._metrics.share()
        for followed in (*self._followed.values(), *(shadow.followed for shadow in self._shadows.values())):
            followed.close()

    def _choose(self, scope: Any) -> tuple[str, FollowedModel]:
        """Return the name and the model that answers a request: that of the name, or its canary."""
        name, followed = self._chosen(scope)
        return name, self._canary(scope, name) or followed

    def _chosen(self, scope: Any) -> tuple[str, FollowedModel]:
        """Return the model that a request names, or the only one."""
        name = scope.get("path_params", {}).get("name")
        if name is None:
            if len(self._followed) > 1:
                known = ", ".join(f"/models/{known}/invocations" for known in self._followed)
                raise RequestError(404, f"There are several models here: use one of {known}.")
            name = next(iter(self._followed))
        followed = self._followed.get(name)
        if followed is None:
            raise RequestError(404, f"There is no such model here; there is: {', '.join(self._followed)}.")
        return name, followed

    def _canary(self, scope: Any, name: str) -> FollowedModel | None:
        """Return the shadow where it is to answer a request: always for the same keys, and only once it is loaded."""
        shadow = self._shadows.get(name)
        if shadow is None or not self._options.canary or not shadow.followed.status.is_ready:
            return None
        client = scope["client"][0] if scope.get("client") else ""
        key = Headers(scope=scope).get(self._options.canary_key, client)
        place = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) / 2**64
        return shadow.followed if place < self._options.canary else None

    # Everything else.

    async def _ready(self, request: Request) -> Response:
        waiting = [name for name, followed in self._followed.items() if not followed.status.is_ready]
        if not self._followed or waiting:
            return error_response(
                request.scope, RequestError(503, f"Not loaded yet: {', '.join(waiting)}.", retry_after=1)
            )
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
            name, followed = self._chosen(request.scope)
            with lease(request.scope, followed) as served:
                return json_response(form(name, served), headers=identity_headers(served))
        except RequestError as error:
            return error_response(request.scope, error)

    async def _not_found(self, scope: Any, receive: Any, send: Any) -> None:
        error = RequestError(404, "There is nothing at this path. Predictions: POST /invocations.")
        await error_response(scope, error)(scope, receive, send)

"""The routes of the service: the Open Inference Protocol, the page, and streams."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp

from eavctl.errors import UsageError
from eavctl.serving import static
from eavctl.serving.guard import Guard, error_response
from eavctl.serving.names import ANY, FIELDS, distinct, plain_name
from eavctl.serving.openapi import describe
from eavctl.serving.service import RefusalError, Service, State
from eavctl.serving.stream import stream
from eavctl.version import __version__

PARQUET = "application/vnd.apache.parquet"
FORM, JSON = "multipart/form-data", "application/json"
LONGEST_ID = 100


def make_app(service: Service, host: str) -> ASGIApp:
    """Make the service an ASGI application.

    Parameters
    ----------
    service : what the requests share.
    host : the address on which it listens.
    """
    app = Starlette(
        routes=routes(),
        exception_handlers={
            RefusalError: _refused,
            HTTPException: _unknown,
            ClientDisconnect: _gone,
            Exception: _failed,
        },
    )
    app.state.service = service
    return Guard(app, service, host)


def routes() -> list[BaseRoute]:
    """All routes."""
    model = "/v2/models/{model}"
    return [
        Route("/v2", about_service),
        Route("/v2/health/live", live),
        Route("/v2/health/ready", ready),
        Route("/v2/models", models),
        Route(model, about_model),
        Route(f"{model}/ready", model_ready),
        Route(f"{model}/infer", infer, methods=["POST"]),
        Route(f"{model}/analysis", analysis, methods=["POST"]),
        WebSocketRoute(f"{model}/stream", stream),
        Route("/openapi.json", described),
        Route("/", static.index),
        Route("/page/{name}", static.file),
    ]


# --- what the service is ----------------------------------------------------------------------------------


async def about_service(request: Request) -> Response:
    """The service's metadata."""
    return JSONResponse({"name": "eavctl", "version": __version__, "extensions": []})


async def live(request: Request) -> Response:
    """Whether the process runs."""
    return JSONResponse({"live": True})


async def ready(request: Request) -> Response:
    """Whether requests are taken; else 503."""
    service = _service(request)
    is_ready = service.state is State.READY
    return JSONResponse({"ready": is_ready, "state": service.state.value}, 200 if is_ready else 503)


async def models(request: Request) -> Response:
    """The one model."""
    service = _service(request)
    service.require_ready()
    return JSONResponse({"models": [{"name": service.pool.about["name"]}]})


async def about_model(request: Request) -> Response:
    """What the model is."""
    return JSONResponse(_model(request))


async def model_ready(request: Request) -> Response:
    """Whether the model takes requests."""
    return JSONResponse({"name": _model(request)["name"], "ready": True})


async def described(request: Request) -> Response:
    """The description of this interface."""
    return JSONResponse(describe())


# --- inference --------------------------------------------------------------------------------------------


async def infer(request: Request) -> Response:
    """Judge a recording, or rows of features."""
    _model(request)
    service = _service(request)
    request_id = request.query_params.get("id", uuid.uuid4().hex)[:LONGEST_ID]
    if _media_type(request) == JSON:
        return _response(await service.ask({"job": "features", "id": request_id}, await request.body()))
    files = await _files(request)
    header = {
        "job": "recording",
        "files": dict(zip(files, _names(files), strict=True)),
        "segment": _seconds(request, "segment"),
        "hop": _seconds(request, "hop"),
        "events": request.query_params.get("events"),
        "table": PARQUET in request.headers.get("accept", ""),
        "id": request_id,
    }
    return _response(await service.ask(header, *(content for _, content in files.values())))


async def analysis(request: Request) -> Response:
    """Draw the sound of a recording."""
    _model(request)
    files = await _files(request)
    if len(files) != 1:
        raise RefusalError(400, "the picture is of one recording: give one file")
    header = {"job": "analysis", "files": dict(zip(files, _names(files), strict=True))}
    return _response(await _service(request).ask(header, *(content for _, content in files.values())))


async def _files(request: Request) -> dict[str, tuple[str, bytes]]:
    """The request's files: name and content, by field."""
    if _media_type(request) != FORM:
        return {ANY: (request.query_params.get("name", ""), await request.body())}
    async with request.form(max_files=len(FIELDS), max_fields=len(FIELDS)) as form:
        found = await _form_files(form)
    if not found or (ANY in found and len(found) > 1):
        raise RefusalError(400, f"give one file as {ANY!r}, or those of one recording as eeg, audio, video")
    return found


async def _form_files(form: FormData) -> dict[str, tuple[str, bytes]]:
    found = {}
    for field, value in form.multi_items():
        if field not in FIELDS or isinstance(value, str) or field in found:
            raise RefusalError(400, f"the fields of the form are one file each, of {', '.join(FIELDS)}")
        found[field] = (value.filename or "", await value.read())
    return found


def _names(files: Mapping[str, tuple[str, bytes]]) -> list[str]:
    """Plain names of the files; they name no path."""
    if not all(content for _, content in files.values()):
        raise RefusalError(400, "a file is empty")
    try:
        return distinct([plain_name(name) for name, _ in files.values()], list(files))
    except UsageError as error:
        raise RefusalError(415, str(error)) from None


def _seconds(request: Request, name: str) -> float | None:
    text = request.query_params.get(name)
    try:
        return None if text is None else float(text)
    except ValueError:
        raise RefusalError(400, f"{name}: {text!r} is not a number of seconds") from None


def _response(reply: Any) -> Response:
    return Response(reply.blocks[0], reply.header["status"], media_type=reply.header["type"])


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _model(request: Request) -> dict[str, Any]:
    """What the model is that the request names.

    Raises
    ------
    RefusalError : the service does not take requests, or has another model.
    """
    service = _service(request)
    service.require_ready()
    about, name = service.pool.about, request.path_params["model"]
    if name != about["name"]:
        raise RefusalError(404, f"no model of this name; the service has {about['name']}")
    return about


# --- errors -----------------------------------------------------------------------------------------------


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusalError)
    return error_response(error)


async def _unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(RefusalError(error.status_code, error.detail))


async def _gone(request: Request, error: Exception) -> Response:
    """For nobody, but else it would be logged as a bug."""
    return error_response(RefusalError(400, "the client has gone"))


async def _failed(request: Request, error: Exception) -> Response:
    return error_response(RefusalError(500, f"a bug: {type(error).__name__}"))

"""The files of the page: those of the folder ``page`` of the package, and no others."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response

from eavctl.serving.service import RefusalError

FOLDER, INDEX = "page", "index.html"
TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}


async def index(request: Request) -> Response:
    """The page."""
    return _response(INDEX)


async def file(request: Request) -> Response:
    """A file of the page."""
    return _response(request.path_params["name"])


def _response(name: str) -> Response:
    found = _files().get(name)
    if found is None:
        raise RefusalError(404, "the page has no such file")
    return Response(found.read_bytes(), media_type=TYPES[_ending(name)])


@cache
def _files() -> dict[str, Traversable]:
    """The files by name: a request chooses one of these, and never a path."""
    folder = files("eavctl.serving") / FOLDER
    listed = folder.iterdir() if folder.is_dir() else ()
    return {each.name: each for each in listed if _ending(each.name) in TYPES}


def _ending(name: str) -> str:
    return name[name.rfind(".") :]

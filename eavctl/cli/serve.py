"""``eavctl serve``: a model as an HTTP service with a page."""

from __future__ import annotations

import signal
from typing import Annotated, Any

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit, emit_result, say, say_plan
from eavctl.cli.judging import find_model, introduce
from eavctl.cli.options import DryRun, Json, JudgingModel, JudgingWeights


@command(
    "serve",
    "eavctl serve --model speech-small --port 8080",
    "eavctl serve --model ambt.pt --jobs 4",
)
def serve(
    model: JudgingModel = None,
    weights: JudgingWeights = None,
    host: Annotated[
        str, typer.Option(help="Listen on this address, such as 0.0.0.0 for all of this machine.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Listen on this port; 0 takes a free one.")
    ] = 8080,
    jobs: Annotated[
        int,
        typer.Option("--jobs", "-j", min=1, help="Judge in this many processes, at most one a processor."),
    ] = 2,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Serve a model: a page in the browser, and HTTP for programs.

    Prints the address once requests are taken. The page judges clips, and records from camera and microphone;
    GET /openapi.json describes the HTTP interface. There is no authentication: whoever reaches the address
    can use it. SIGTERM and Ctrl-C end it when the requests that have begun are answered.
    """
    found = find_model(model, weights or [])
    where = f"{host}:{port}"
    if dry_run:
        from eavctl.predicting.predictor import Predictor

        Predictor.load(found, weights=weights or []).find_weights()
        say_plan(f"serve {found} on {where}", [])
        if as_json:
            emit_result("serve", [], {"model": str(found)}, dry_run=True)
        return
    from eavctl.serving.server import serve as run

    def tell(url: str, about: dict[str, Any]) -> None:
        introduce(found, is_named=model is not None)
        if as_json:
            emit_result("serve", [], {"model": str(found), "url": url, "classes": about["classes"]})
        else:
            emit([url])
        typer.get_text_stream("stdout").flush()
        say("ready; Ctrl-C ends the service")

    ended_by = run(found, weights=weights or [], host=host, port=port, jobs=jobs, on_ready=tell)
    if ended_by != signal.SIGTERM:
        raise KeyboardInterrupt

"""``eavctl map``: a feature table in two dimensions, as a page."""

from __future__ import annotations

from typing import Annotated

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit_result, say, say_plan
from eavctl.cli.options import DryRun, Force, Json, Seed, check_stdout
from eavctl.errors import UsageError


@command(
    "map",
    "eavctl map feats.parquet -o map.html",
    "eavctl map embeddings.parquet -o map.html --rows 5000",
    "eavctl map feats.parquet --json",
)
def draw_map(
    table: Annotated[str, typer.Argument(help="Feature table (.parquet), or - for stdin.")],
    out: Annotated[str | None, typer.Option("--out", "-o", help="Write this page (.html), or -.")] = None,
    rows: Annotated[
        int, typer.Option(min=4, max=20_000, help="Draw at most this many rows at random.")
    ] = 2000,
    seed: Seed = 42,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Draw the rows of a feature table in two dimensions, by principal components and by t-SNE.

    Points are coloured by class, person or data set. Columns are standardised first, and tensors flattened.
    With --json, the coordinates of all points are printed.
    """
    from threadpoolctl import threadpool_limits

    from eavctl.stages import map as stage

    if out is None and not as_json:
        raise UsageError("nothing to write: give -o map.html, or --json")
    check_stdout(as_json, out)
    outputs = [out] if out else []
    if dry_run:
        planned = stage.plan(table, out, rows=rows, force=force)
        say_plan(f"map {planned.n_drawn} of {planned.n_rows} rows", outputs)
        if as_json:
            facts = {"rows": planned.n_rows, "drawn": planned.n_drawn}
            emit_result("map", outputs, facts, dry_run=True)
        return
    with threadpool_limits(1):  # sums depend on the number of threads
        found = stage.make_map(table, out, rows=rows, seed=seed, force=force)
    if out:
        say(f"{found['drawn']} of {found['rows']} rows -> {out}")
    if as_json:
        emit_result("map", outputs, found)

"""``eavctl fuse``: prediction tables of several models to one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit_result, say_plan, say_written, warn
from eavctl.cli.options import DryRun, Force, Json, Threads, check_stdout
from eavctl.cli.scores import print_fusion


@command(
    "fuse",
    "eavctl fuse svm_preds.parquet dnn_preds.parquet -o fused.parquet",
    "eavctl fuse svm_preds.parquet dnn_preds.parquet -o fused.parquet --method stacking --save fuse.joblib",
    "eavctl fuse new_svm.parquet new_dnn.parquet -o new.parquet --use fuse.joblib",
)
def fuse(
    tables: Annotated[
        list[str],
        typer.Argument(metavar="PREDICTIONS...", help="Prediction tables (.parquet), two or more."),
    ],
    out: Annotated[
        str,
        typer.Option(
            "--out", "-o", help="Write this prediction table (.parquet, .csv, .tsv, .jsonl, .xlsx), or -."
        ),
    ],
    method: Annotated[
        str, typer.Option(help="Fuse by this method: weighted, mean, product, max, vote or stacking.")
    ] = "weighted",
    save: Annotated[
        Path | None, typer.Option(help="Also write the fuser to this model file (.joblib).")
    ] = None,
    use: Annotated[
        Path | None,
        typer.Option(help="Apply the fuser in this model file; tables of some inputs may be missing."),
    ] = None,
    jobs: Threads = None,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Fuse the predictions of several models (late fusion).

    Tables are joined on sample_id. Weights and stacking are fitted on training rows only: for each fold, on
    the out-of-fold rows of the other folds. The result is compared with the best of its inputs, subject by
    subject, and scored for every subset of them.
    """
    from threadpoolctl import threadpool_limits

    from eavctl.stages import fuse as stage

    check_stdout(as_json, out)
    outputs = [Path(out), *([save] if save else [])]
    if dry_run:
        n_rows = stage.plan(tables, out, method=method, save=save, use=use, force=force)
        how = f"with {use}" if use else f"by {method}"
        say_plan(f"fuse {n_rows} rows of {len(tables)} prediction tables {how}", outputs)
        if as_json:
            emit_result("fuse", outputs, {"rows": n_rows}, dry_run=True)
        return
    with threadpool_limits(jobs):
        result = stage.fuse(tables, out, method=method, save=save, use=use, force=force)
    meta = result.predictions.meta
    for text in meta["protocol"]["warnings"]:
        warn(text)
    print_fusion(meta["fusion"], result.scores)
    say_written(f"{len(result.predictions)} rows", out)
    if as_json:
        facts = {"rows": len(result.predictions), "fusion": meta["fusion"], "scores": result.scores}
        emit_result("fuse", outputs, facts)

"""``eavctl fuse``: prediction tables to one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit_json, say, warn
from eavctl.cli.options import Force, Json
from eavctl.cli.training import score_line
from eavctl.errors import UsageError


@command(
    "fuse",
    "eavctl fuse svm_preds.parquet dnn_preds.parquet -o fused.parquet",
    "eavctl fuse svm_preds.parquet dnn_preds.parquet -o fused.parquet --method stacking --save fuse.joblib",
    "eavctl fuse new_svm.parquet new_dnn.parquet -o new.parquet --use fuse.joblib",
)
def fuse(
    inputs: Annotated[list[str], typer.Argument(help="Prediction tables (.parquet), two or more.")],
    out: Annotated[str, typer.Option("--out", "-o", help="Prediction table to write (.parquet), or -.")],
    method: Annotated[str, typer.Option(help="mean, weighted, product, max, vote or stacking.")] = "weighted",
    save: Annotated[Path | None, typer.Option(help="Also write the fuser to this file (.joblib).")] = None,
    use: Annotated[
        Path | None, typer.Option(help="Apply the fuser of this file, in place of a method.")
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Fuse the predictions of several models, joined on sample_id.

    Weights and stacking are learned on out-of-fold rows of other folds, whose speakers are others. The
    result is compared with the best of its inputs, subject by subject, and the output says which is better.
    """
    from eavctl.stages.fuse import fuse as run

    if as_json and out == "-":
        raise UsageError("--json and -o - both want stdout: name a file with -o")
    if use and save:
        raise UsageError("--use applies a fuser that is there; --save keeps a new one: give one of them")
    result = run(inputs, out, method=method, save=save, use=use, force=force)
    meta = result.predictions.meta
    for text in meta["protocol"]["warnings"]:
        warn(text)
    if as_json:
        emit_json({"out": out, "fusion": meta["fusion"], "scores": result.scores, "versus": result.versus})
    if weights := meta["fusion"]["weights"]:
        say("weights: " + ", ".join(f"{name} {share:.2f}" for name, share in weights.items()))
    if result.scores:
        say(score_line(result.scores))
    if result.versus:
        say(verdict(result.versus))
    say(f"{len(result.predictions)} rows -> {out}")


def verdict(versus: dict[str, Any]) -> str:
    """Whether the fusion beats the best of its inputs, in one line."""
    difference = versus["difference"]
    if versus["better"]:
        judged = f"beats the best of its inputs, {versus['name']}"
    elif difference["value"] > 0:
        judged = f"is not surely better than the best of its inputs, {versus['name']}"
    else:
        judged = f"does not beat the best of its inputs, {versus['name']}"
    return (
        f"fusion {judged}: UAR {versus['first']:.3f} against {versus['second']:.3f}, "
        f"difference {difference['value']:+.3f} [{difference['low']:+.3f}, {difference['high']:+.3f}], "
        f"p = {versus['p_value']:.3f}"
    )

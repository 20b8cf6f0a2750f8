"""``eavctl init``: the folder of a new project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit_result, say, say_plan
from eavctl.cli.options import DryRun, Force, Json

MAKEFILE = """\
# From recordings in dataset/<class>/ to a report: 'make -j2' does what is not done yet.
.DELETE_ON_ERROR:

all: report.html

recordings := $(shell find dataset -type f 2>/dev/null)

feats.parquet: $(recordings)
\teavctl extract dataset/ -o $@

logmel.parquet: $(recordings)
\teavctl extract dataset/ --features logmel -o $@

svm.joblib svm_preds.parquet &: feats.parquet
\teavctl train-svm $< -o svm.joblib --predictions svm_preds.parquet

dnn.pt dnn_preds.parquet &: logmel.parquet
\teavctl train-dnn $< -o dnn.pt --predictions dnn_preds.parquet

fused.parquet: svm_preds.parquet dnn_preds.parquet
\teavctl fuse $^ -o $@

report.html: svm_preds.parquet dnn_preds.parquet fused.parquet
\teavctl report $^ -o $@

.PHONY: all
"""


@command("init", "eavctl init project/", "eavctl init project/ --classes angry,calm,happy,sad")
def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the project; created if it does not exist.")],
    classes: Annotated[
        str, typer.Option(help="Make these class folders, separated by commas, such as calm,joy.")
    ] = "happy,sad,angry,neutral",
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Make class folders for recordings, and a Makefile from them to a report."""
    from eavctl.errors import DataError, UsageError
    from eavctl.storage import files

    names = [name.strip() for name in classes.split(",") if name.strip()]
    if not names:
        raise UsageError(f"--classes {classes!r} names no class; give some, such as happy,sad")
    for name in names:
        if Path(name).name != name or name == "..":
            raise UsageError(f"--classes: {name!r} cannot be the name of a folder")
    makefile = folder / "Makefile"
    try:
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder}: is a file; name a folder, which init makes if it is not there")
        if makefile.exists() and not force and makefile.read_text(errors="replace") != MAKEFILE:
            raise UsageError(f"{makefile}: exists; use --force to overwrite it")
        for name in names if not dry_run else ():
            (folder / "dataset" / name).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in a name
        raise DataError(f"{folder}: cannot be laid out ({error})") from error
    if dry_run:
        say_plan(f"lay out {folder}/dataset/ with the classes {', '.join(names)}", [makefile])
    else:
        files.write_bytes(makefile, MAKEFILE.encode())
        say(f"put recordings into {folder}/dataset/<class>/, then run make in {folder}")
    if as_json:
        emit_result("init", [makefile], {"folder": str(folder), "classes": names}, dry_run=dry_run)

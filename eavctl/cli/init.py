"""``eavctl init``: the folder of a new project."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit_result, say, say_plan, warn, warn_of_rejected
from eavctl.cli.options import DryRun, Force, Json, Pattern

if TYPE_CHECKING:
    from eavctl.stages.init import Project


@command(
    "init",
    "eavctl init project/",
    "eavctl init project/ --from recordings/",
    "eavctl init project/ --from flat/ --pattern '{subject}_{label}_{take}'",
)
def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the project; created if it does not exist.")],
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Fill the manifest with these recordings, such as recordings/."),
    ] = None,
    pattern: Pattern = None,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Lay out a project: manifest.csv, and a Makefile from it to a report.

    The manifest has a row for each recording: path, subject, label. The Makefile keeps each subject's
    recordings together and scores nothing without subjects. In a project that is there already, files that
    were edited are kept; --force writes the Makefile again, and with --from the manifest.
    """
    from eavctl.stages.init import init as run

    project = run(folder, source, pattern=pattern, force=force, dry_run=dry_run)
    warn_of_rejected(project.rejected)
    if project.note:
        warn(project.note.replace("\n", " "))
    for path in project.kept:
        say(f"{path}: kept as it is")
    if dry_run:
        say_plan(f"lay out {folder}/", project.written, up_to_date=not project.written)
    else:
        _tell(folder, project)
    if as_json:
        facts = {
            "folder": str(folder),
            "kept": [str(path) for path in project.kept],
            "rows": project.rows,
            "without_subject": project.without_subject,
            "without_label": project.without_label,
            "rejected": [dict(each) for each in project.rejected],
        }
        outputs = sorted((*project.written, *project.kept))
        emit_result("init", outputs, facts, up_to_date=not project.written, dry_run=dry_run)


def _tell(folder: Path, project: Project) -> None:
    """Say what was written, and what is to do next."""
    from eavctl.stages.init import MANIFEST, RECORDINGS

    manifest = folder / MANIFEST
    if project.written:
        say(" and ".join(map(str, project.written)) + " written")
    if project.rows:
        say(f"{project.rows} rows -> {manifest}")
        for name in ("subject", "label"):
            if missing := getattr(project, f"without_{name}"):
                say(f"{missing} rows have no {name}: write it into {manifest}")
    elif manifest in project.written:
        say(
            f"put recordings into {folder / RECORDINGS}/ and write a row for each into {manifest}, "
            f"or: eavctl init {shlex.quote(str(folder))} --from {shlex.quote(str(folder / RECORDINGS))}"
        )
    say(f"then run make -j2 in {folder}")

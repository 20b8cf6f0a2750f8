"""``eavctl check``: what is wrong or odd with a data set or a feature table."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eavctl.cli.app import command
from eavctl.cli.console import Verbosity, emit, emit_result, progress, say_plan
from eavctl.cli.exit_codes import BAD_DATA
from eavctl.cli.options import (
    Columns,
    DistinctNames,
    DryRun,
    Epoch,
    Events,
    Jobs,
    Json,
    Layout,
    Pattern,
    TMax,
    TMin,
    Where,
)
from eavctl.cli.values import read_choice, read_epochs
from eavctl.printable import printable

if TYPE_CHECKING:
    from eavctl.evaluation.findings.codes import Finding
    from eavctl.evaluation.findings.splits import Outlook
    from eavctl.stages.check import Checked

MOST_CLASSES, MOST_PEOPLE = 12, 6  # that are counted one by one
WIDTH = 100
MARGIN = " " * 16  # below the codes
COLUMNS = "{:<14} {:<12} {:>8} {:>7} {:>12} {:>13}  {}"


@command(
    "check",
    "eavctl check dataset/",
    "eavctl check manifest.csv --jobs 2",
    "eavctl check feats.parquet --ignore EAV025,EAV030",
    "eavctl check runs/ --events T1=left,T2=right --json",
)
def check(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="Folder of recordings, one EEG recording, manifest (.csv, .xlsx, .jsonl), or feature table "
            "(.parquet), or - for stdin.",
        ),
    ],
    ignore: Annotated[
        str | None,
        typer.Option(help="Leave out findings of these codes, such as EAV025,EAV030.", show_default="none"),
    ] = None,
    layout: Layout = None,
    columns: Columns = None,
    pattern: Pattern = None,
    where: Where = None,
    events: Events = None,
    tmin: TMin = None,
    tmax: TMax = None,
    epoch: Epoch = None,
    distinct_names: DistinctNames = False,
    jobs: Jobs = 1,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Say what is wrong or odd with a data set or a feature table, before anything is computed.

    Counts come first, then findings by severity, then what each protocol would leave. Every recording is
    opened, and the first ten seconds of audio are decoded. The exit code is 3 if a finding is an error.
    """
    from eavctl.evaluation.findings.codes import read_codes
    from eavctl.stages import check as stage

    ignored = read_codes(ignore)
    epochs = read_epochs(events, tmin, tmax, epoch)
    choice = read_choice(layout, columns, pattern, where, epochs, distinct_names=distinct_names)
    if dry_run:
        planned = stage.plan(source, choice=choice)
        of_layout = f" (layout {planned.layout})" if planned.layout else ""
        say_plan(f"check {planned.n_rows} rows of {source}{of_layout} and open {planned.n_files} files", [])
        if as_json:
            facts = {
                "source": str(source),
                "layout": planned.layout,
                "rows": planned.n_rows,
                "files": planned.n_files,
            }
            emit_result("check", [], facts, dry_run=True)
        return
    with progress("check", at_once=False) as tick:
        found = stage.check(source, choice=choice, ignore=ignored, jobs=jobs, executor="fork", on_file=tick)
    if as_json:
        emit_result("check", [], found.to_json())
    else:
        emit(_lines(found))
    if found.has_errors:
        raise typer.Exit(BAD_DATA)


def _lines(found: Checked) -> Iterator[str]:
    yield from _counts(found)
    findings = found.report.findings
    yield ""
    yield _summary(findings) + (f" (ignored: {', '.join(found.ignored)})" if found.ignored else "")
    for each in findings:
        yield from _finding(each)
    if found.report.protocols:
        yield ""
        yield from _protocols(found.report.protocols)


def _counts(found: Checked) -> Iterator[str]:
    counts = found.report.counts
    people, classes = counts["people"], counts["classes"]
    one, several = ("recording", "recordings") if found.layout else ("row", "rows")
    rows = _some_of(counts["rows"], one, several, "no rows")
    if counts["clips"] != counts["rows"]:
        rows = f"{counts['rows']} rows of {counts['clips']} clips"
    if counts["usable_rows"] < counts["rows"]:
        rows += f" ({counts['usable_rows']} can be used)"
    parts = [rows, _some_of(counts["n_people"], "person", "people", "no subjects")]
    parts.append(_some_of(len(classes), "class", "classes", "no labels"))
    if len(counts["datasets"]) > 1:
        parts.append(f"{len(counts['datasets'])} data sets")
    yield f"{found.source}: {', '.join(parts)}" + (f" (layout {found.layout})" if found.layout else "")
    if classes:
        yield f"classes: {_listed(classes, MOST_CLASSES)}"
    if people:
        yield f"people: {_listed(people, MOST_PEOPLE)}"
    for modality, facts in counts["modalities"].items():
        yield f"{modality}: {_modality(facts)}"


def _some_of(n: int, one: str, several: str, none: str) -> str:
    return f"{n} {one if n == 1 else several}" if n else none


def _listed(counts: Mapping[str, int], most: int) -> str:
    """Names with counts; of many, how many there are of one, from the least to the most."""
    if len(counts) <= most:
        return ", ".join(f"{name} {n}" for name, n in counts.items())
    if len(set(counts.values())) == 1:
        return f"{len(counts)}, {next(iter(counts.values()))} rows each"
    few, many = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    return f"{len(counts)}, from {counts[few]} rows ({few}) to {counts[many]} ({many})"


def _modality(facts: Mapping[str, Any]) -> str:
    from eavctl.evaluation.findings.files import duration

    parts = [f"{_some_of(facts['files'], 'file', 'files', 'no files')} ({', '.join(facts['endings'])})"]
    rates, channels, seconds = facts["rates"], facts["channels"], facts["seconds"]
    if rates:
        parts.append(", ".join(list(rates)[:3]) + (", ... Hz" if len(rates) > 3 else " Hz"))
    if channels:
        parts.append(" or ".join(list(channels)[:3]))
    if seconds:
        least, most = duration(seconds["least"]), duration(seconds["most"])
        median, total = duration(seconds["median"]), duration(seconds["total"])
        spread = f"{least} each" if least == most else f"{least} to {most}, median {median}"
        parts.append(f"{spread}, {total} in all")
    return "; ".join(parts)


def _summary(findings: Sequence[Finding]) -> str:
    from eavctl.evaluation.findings.codes import SEVERITIES

    if not findings:
        return "no findings"
    n = {severity: sum(each.severity == severity for each in findings) for severity in SEVERITIES}
    return ", ".join(f"{count} {name}{'s' if count > 1 else ''}" for name, count in n.items() if count)


def _finding(finding: Finding) -> Iterator[str]:
    head = f"{finding.severity:<8}{finding.code}  "
    yield from textwrap.wrap(
        printable(finding.text),
        WIDTH,
        initial_indent=head,
        subsequent_indent=MARGIN,
        break_long_words=False,
        break_on_hyphens=False,
    )
    yield from textwrap.wrap(
        f"-> {finding.advice}", WIDTH, initial_indent=MARGIN, subsequent_indent=MARGIN + "   "
    )


def _protocols(outlooks: Sequence[Outlook]) -> Iterator[str]:
    usable = [each for each in outlooks if each.reason is None]
    if usable:
        yield COLUMNS.format(
            "protocol", "keeps whole", "groups", "folds", "rows tested", "rows trained", ""
        ).rstrip()
    for each in usable:
        note = "default" if each.is_default else ""
        if each.shares:
            note += (", " if note else "") + "people may be on both sides"
        numbers = (each.n_groups, each.n_folds, each.n_tested, each.n_trained)
        yield COLUMNS.format(each.name, each.group, *numbers, note).rstrip()
    without = [each for each in outlooks if each.reason is not None]
    if without:
        yield f"cannot be used: {', '.join(each.name for each in without)} (-v says why)"
    for each in without if Verbosity.level else ():
        yield f"{each.name}: {each.reason}"

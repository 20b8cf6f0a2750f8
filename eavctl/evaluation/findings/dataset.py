"""All findings on a data set, from its key table and what is known of its files."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from eavctl.evaluation.findings.codes import Finding, by_severity, some
from eavctl.evaluation.findings.duplicates import Named, duplicate_findings
from eavctl.evaluation.findings.files import FileFacts, file_findings
from eavctl.evaluation.findings.overlaps import overlap_findings
from eavctl.evaluation.findings.people import dataset_findings, people_findings
from eavctl.evaluation.findings.shortcuts import Nuisances, shortcut_findings
from eavctl.evaluation.findings.splits import Outlook, outlooks
from eavctl.evaluation.groups import identify, n_identities, short
from eavctl.evaluation.schemes import texts
from eavctl.signals.headers import Header

Files = Sequence[FileFacts | None]
IMPLIED_BY = {"EAV042": "EAV046", "EAV043": "EAV047"}  # notes on what another finding says with more


@dataclass(frozen=True)
class DataSet:
    """A data set as it is checked.

    Parameters
    ----------
    keys : key table, one row per sample; ``recording`` identifies the content, None where it is not known.
    files : of each modality, the file of each row; None for a row without. Empty for a feature table.
    rejected : recordings that a layout or an extraction left out, each with ``path`` and ``reason``.
    copies : pairs of rows with identical features.
    distinct_names : names that look alike are meant to be different.
    has_phrases : pictures with phrases, which have neither classes nor subjects.
    """

    keys: pd.DataFrame
    files: Mapping[str, Files] = field(default_factory=dict)
    rejected: Sequence[Mapping[str, Any]] = ()
    copies: Sequence[tuple[int, int]] = ()
    distinct_names: bool = False
    has_phrases: bool = False


@dataclass(frozen=True)
class Report:
    """What a check found.

    Parameters
    ----------
    counts : JSON-able: rows, clips, classes and people with their rows, data sets, and of each modality its
        files, endings, rates, channels and lengths.
    findings : sorted by severity.
    protocols : what each would leave, the default first.
    """

    counts: Mapping[str, Any]
    findings: tuple[Finding, ...]
    protocols: tuple[Outlook, ...]

    def to_json(self) -> dict[str, Any]:
        """All of it, JSON-able."""
        return {
            "counts": dict(self.counts),
            "findings": [each.to_json() for each in self.findings],
            "protocols": [asdict(each) for each in self.protocols],
        }


def check(data: DataSet) -> Report:
    """Check a data set; nothing is read."""
    keys, usable = data.keys, _usable(data)
    files = [list({each.path: each for each in mine if each}.values()) for mine in data.files.values()]
    findings = list(file_findings([each for mine in files for each in mine]))
    findings += _left_out(data)
    if not data.has_phrases:
        findings += people_findings(_pairs(keys), distinct_names=data.distinct_names)
    findings += dataset_findings(Counter(zip(texts(keys, "dataset"), texts(keys, "label"), strict=True)))
    for modality, nuisances in _nuisances(data).items():
        findings += shortcut_findings(modality, nuisances)
    told = {each.code for each in findings}
    findings = [each for each in findings if IMPLIED_BY.get(each.code) not in told]
    findings += duplicate_findings(_duplicates(data))
    findings += overlap_findings(keys)
    labelled = keys[usable & keys["label"].notna().to_numpy(bool)].reset_index(drop=True)
    protocols, on_splits = outlooks(labelled) if len(labelled) else ([], [])
    return Report(_counts(data, usable), tuple(by_severity([*findings, *on_splits])), tuple(protocols))


def _usable(data: DataSet) -> np.ndarray:
    """Rows of which at least one file can be used, bool, shape (n_rows,)."""
    found = np.zeros(len(data.keys), bool) if data.files else np.ones(len(data.keys), bool)
    for files in data.files.values():
        found |= np.array([each is not None and each.fault is None for each in files], bool)
    return found


def _pairs(keys: pd.DataFrame) -> Counter[tuple[str | None, str | None]]:
    return Counter(zip(texts(keys, "label"), identify(keys, "subject").tolist(), strict=True))


def _left_out(data: DataSet) -> Iterator[Finding]:
    if data.rejected:
        shown = [f"{bad['path']} ({bad['reason']})" for bad in data.rejected]
        n = len(shown)
        text = f"{n} {'row was' if n == 1 else 'rows were'} left out: {some(shown)}"
        yield Finding("EAV016", text, tuple(str(bad["path"]) for bad in data.rejected))
    for modality, files in data.files.items():
        names = data.keys["clip_id"].to_numpy()
        without = tuple(dict.fromkeys(str(name) for name, each in zip(names, files, strict=True) if not each))
        if without:
            yield Finding("EAV017", f"{len(without)} recordings have no {modality}: {some(without)}", without)


def _duplicates(data: DataSet) -> Iterator[tuple[Named, Named]]:
    """Pairs of rows of different clips with the same content."""
    keys = data.keys
    clips, labels, people = (identify(keys, "clip_id"), texts(keys, "label"), identify(keys, "subject"))
    rows = [
        Named(short(clip or ""), label, subject)
        for clip, label, subject in zip(clips, labels, people, strict=True)
    ]
    last: dict[tuple[Any, ...], int] = {}
    times = keys[["start", "end"]].fillna(-1.0).to_numpy(float).tolist()
    for row, (content, (start, end)) in enumerate(zip(texts(keys, "recording"), times, strict=True)):
        if content is None:
            continue
        before = last.get((content, start, end))
        if before is not None and clips[before] != clips[row]:
            yield rows[before], rows[row]
        last[content, start, end] = row
    by_content = {(a, b) for a, b in data.copies if clips[a] != clips[b]}
    for a, b in sorted(by_content):
        if keys["recording"].iloc[a] is None or keys["recording"].iloc[a] != keys["recording"].iloc[b]:
            yield rows[a], rows[b]


def _nuisances(data: DataSet) -> dict[str, Nuisances]:
    """Of each modality, or of a table's rows, what could tell the class of labelled clips; one row each."""
    labels, seconds = texts(data.keys, "label"), _seconds(data.keys)
    is_first = ~data.keys.duplicated(["dataset", "clip_id"]).to_numpy(bool)
    rows = [row for row in np.flatnonzero(is_first).tolist() if labels[row] is not None]
    if not data.files:
        nothing = [""] * len(rows)
        mine = [labels[row] or "" for row in rows]
        return {"rows": Nuisances(mine, nothing, nothing, nothing, seconds[rows].tolist())}
    found = {}
    for modality, files in data.files.items():
        known = [(row, each, each.header) for row in rows if (each := files[row]) and each.header]
        found[modality] = Nuisances(
            [labels[row] or "" for row, *_ in known],
            [each.ending for _, each, _ in known],
            [f"{header.rate:g} Hz" if header.rate else "" for *_, header in known],
            [_channels(header.channels) for *_, header in known],
            [_length(seconds[row], header) for row, _, header in known],
        )
    return found


def _length(seconds: float, header: Header) -> float:
    """Length of a row by its times, else of its file; NaN where neither is known."""
    return float(seconds) if np.isfinite(seconds) else header.seconds or np.nan


def _channels(names: Sequence[str]) -> str:
    """Channels in words: the number of audio channels, or how many of EEG and which; empty where none."""
    if len(names) == 1:
        return {"1": "mono", "2": "stereo"}.get(names[0], f"{names[0]} channels")
    return f"{len(names)} channels ({some(sorted(names), 2)})" if names else ""


def _seconds(keys: pd.DataFrame) -> np.ndarray:
    """Length of each row by its times, shape (n_rows,); NaN where it has none."""
    if "start" not in keys or "end" not in keys:
        return np.full(len(keys), np.nan)
    found: np.ndarray = keys["end"].to_numpy(float) - np.nan_to_num(keys["start"].to_numpy(float))
    return found


def _counts(data: DataSet, usable: np.ndarray) -> dict[str, Any]:
    keys = data.keys
    return {
        "rows": len(keys),
        "usable_rows": int(usable.sum()),
        "clips": n_identities(keys, "clip_id"),
        "classes": _counted(texts(keys, "label")),
        "people": _counted(short(each) if each else None for each in identify(keys, "subject")),
        "n_people": n_identities(keys, "subject"),
        "datasets": _counted(texts(keys, "dataset")),
        "modalities": {modality: _modality_counts(files) for modality, files in data.files.items()},
    }


def _modality_counts(files: Files) -> dict[str, Any]:
    own = list({each.path: each for each in files if each}.values())
    headers = [each.header for each in own if each.header]
    seconds = [header.seconds for header in headers if header.seconds]
    lengths = None
    if seconds:
        lengths = {
            "least": min(seconds),
            "median": statistics.median(seconds),
            "most": max(seconds),
            "total": sum(seconds),
        }
    return {
        "files": len(own),
        "usable_files": len(headers),
        "endings": _counted(each.ending for each in own),
        "rates": _counted(f"{header.rate:g}" for header in headers if header.rate),
        "channels": _counted(_channels(header.channels) for header in headers if header.channels),
        "seconds": lengths,
    }


def _counted(names: Iterable[str | None]) -> dict[str, int]:
    return dict(sorted(Counter(name for name in names if name is not None).items()))

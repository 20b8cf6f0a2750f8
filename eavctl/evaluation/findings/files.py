"""Findings on the files of a data set: missing, unreadable, silent, clipped, odd in length or rate."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from eavctl.evaluation.findings.codes import Finding, some
from eavctl.signals.headers import Header

SHORT_S = {"audio": 0.2, "video": 0.2, "eeg": 1.0}
LONG_S = 30.0
FAR = 10.0  # times shorter, or longer, than the median
LONGER_S = 1.0  # from here on a recording is not very short, whatever the median
FEWEST = 5  # recordings whose median says what is usual
MISSING, EMPTY, UNREADABLE, SILENT = "EAV010", "EAV011", "EAV012", "EAV013"
_FAULTS = {
    MISSING: ("is missing", "are missing"),
    EMPTY: ("holds nothing", "hold nothing"),
    UNREADABLE: ("cannot be read", "cannot be read"),
    SILENT: ("is silent", "are silent"),
}
_REASONED = (UNREADABLE,)  # whose reasons differ


@dataclass(frozen=True)
class FileFacts:
    """What is known of a file before anything is computed.

    Parameters
    ----------
    path : as the manifest has it.
    modality : ``audio``, ``eeg`` or ``video``, as which it was opened.
    ending : of its name, such as ``.wav``.
    header : None where it cannot be used.
    fault : code of the finding that says why; None where it can be used.
    reason : of the fault, or what is odd about a file that can be used in part; else empty.
    content : identifies the content; equal for two files with the same bytes.
    """

    path: str
    modality: str
    ending: str
    header: Header | None = None
    fault: str | None = None
    reason: str = ""
    content: str | None = None


def file_findings(files: Sequence[FileFacts]) -> Iterator[Finding]:
    """Findings on files, each by itself and beside the others of its modality.

    Parameters
    ----------
    files : of all modalities; a film is there as audio and as video.
    """
    yield from _faults(files)
    yield from _oddities(files)
    for modality in sorted({each.modality for each in files}):
        usable = [each for each in files if each.modality == modality and each.header]
        yield from _lengths(modality, usable)
        yield from _rates(modality, usable)
        yield from _channels(modality, usable)


def _oddities(files: Sequence[FileFacts]) -> Iterator[Finding]:
    clipped = _paths(each for each in files if each.header and each.header.is_clipped)
    if clipped:
        n = _n(len(clipped), "recording is", "recordings are")
        yield Finding("EAV014", f"{n} clipped: {some(clipped)}", clipped)
    odd = {each.path: each.reason for each in files if each.header and each.reason}
    if odd:
        shown = some([f"{path} ({reason})" for path, reason in odd.items()], 2)
        yield Finding("EAV015", f"{_n(len(odd), 'file is', 'files are')} damaged or odd: {shown}", tuple(odd))


def _faults(files: Sequence[FileFacts]) -> Iterator[Finding]:
    for code, (one, several) in _FAULTS.items():
        found: dict[str, str] = {}
        for each in files:
            if each.fault == code:
                found.setdefault(each.path, each.reason)
        if not found:
            continue
        shown = [f"{path} ({reason})" if code in _REASONED else path for path, reason in found.items()]
        verb = f"1 file {one}" if len(found) == 1 else f"{len(found)} files {several}"
        yield Finding(code, f"{verb}: {some(shown)}", tuple(found))


def _lengths(modality: str, files: Sequence[FileFacts]) -> Iterator[Finding]:
    lengths = {each.path: each.header.seconds for each in files if each.header and each.header.seconds}
    if not lengths:
        return
    median = statistics.median(lengths.values())
    is_usual = len(lengths) >= FEWEST
    shortest = max(SHORT_S[modality], min(median / FAR, LONGER_S) if is_usual else 0.0)
    longest = max(LONG_S, FAR * median) if is_usual else float("inf")
    for code, what, found in (
        ("EAV040", "very short", {path: s for path, s in lengths.items() if s < shortest}),
        ("EAV041", "very long", {path: s for path, s in lengths.items() if s > longest}),
    ):
        if found:
            shown = some([f"{path} ({duration(s)})" for path, s in found.items()])
            beside = f", beside a median of {duration(median)}" if is_usual else ""
            n = _n(len(found), f"{modality} file is", f"{modality} files are")
            yield Finding(code, f"{n} {what}{beside}: {shown}", tuple(found))


def _rates(modality: str, files: Sequence[FileFacts]) -> Iterator[Finding]:
    found = Counter(each.header.rate for each in files if each.header and each.header.rate)
    if len(found) > 1:
        shown = some([f"{rate:g} Hz ({_n(n, 'file', 'files')})" for rate, n in found.most_common()])
        yield Finding("EAV042", f"{modality} has {len(found)} sampling rates: {shown}", _names(found))


def _channels(modality: str, files: Sequence[FileFacts]) -> Iterator[Finding]:
    sets: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for each in files:
        if each.header and each.header.channels:
            sets[each.header.channels].append(each.path)
    if modality == "audio" and len(sets) > 1:
        found = Counter({names: len(paths) for names, paths in sets.items()})
        shown = some([f"{names[0]} ({_n(n, 'file', 'files')})" for names, n in found.most_common()])
        names = _names(n for (n,) in sets)
        yield Finding("EAV043", f"audio has {len(sets)} numbers of channels: {shown}", names)
    if modality == "eeg" and len({frozenset(names) for names in sets}) > 1:
        usual = max(sets, key=lambda names: len(sets[names]))
        others = [path for names, paths in sets.items() if set(names) != set(usual) for path in paths]
        n = _n(len(others), "file has", "files have")
        text = f"EEG has {len(sets)} sets of channels; {n} others than most: {some(others)}"
        yield Finding("EAV044", text, tuple(others))


def duration(seconds: float) -> str:
    """Seconds in words of a fitting unit."""
    if seconds < 0.1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _n(n: int, one: str, several: str) -> str:
    return f"{n} {one if n == 1 else several}"


def _paths(files: Iterable[FileFacts]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.path for each in files))


def _names(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(sorted(f"{value:g}" if isinstance(value, float) else str(value) for value in values))

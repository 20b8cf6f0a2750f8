"""Published scores for a data set and protocol, with their sources, for comparison."""

from __future__ import annotations

from dataclasses import dataclass

from eavctl.storage.tables import PredictionTable

EAV, TWIN = "eav", "eav-twin"


@dataclass(frozen=True)
class Published:
    """An accuracy, 0 to 1, and the publication that reports it."""

    accuracy: float
    by: str


_LEE = "Lee et al., Scientific Data 11, 2024"
_GURAGAIN = "Guragain, arXiv:2601.22161, 2026"

# Accuracy of five classes on segments of 5 s, within subjects: trained on the first 70 % of a class's trials.
_EAV_70_30: dict[str, tuple[Published, ...]] = {
    "eeg": (Published(0.600, _LEE), Published(0.676, _GURAGAIN)),
    "audio": (Published(0.619, _LEE), Published(0.656, _GURAGAIN)),
    "video": (Published(0.714, _LEE), Published(0.753, _GURAGAIN)),
}
_TABLES = {"eav-70-30": _EAV_70_30}


def published_line(table: PredictionTable) -> str | None:
    """Published scores for the data set, protocol and modality of a prediction table, in one line.

    Returns
    -------
    The line, or None if nothing was published. For the twin of EAV, it warns that the scores are not
    comparable.
    """
    datasets = set(table.keys["dataset"].dropna())
    about = table.about
    modality = about.modalities[0] if len(about.modalities) == 1 else ""
    scores = _TABLES.get(about.protocol.name, {}).get(modality, ())
    if not scores or not datasets or not datasets <= {EAV, TWIN}:
        return None
    listed = "; ".join(f"{score.accuracy:.3f} ({score.by})" for score in scores)
    twin = "; not comparable, since these rows are of its synthetic twin" if TWIN in datasets else ""
    return f"published on EAV, accuracy: {listed}{twin}"

"""Scores that others published for a data set and protocol, to stand beside one's own."""

from __future__ import annotations

from dataclasses import dataclass

from eavctl.tables import PredictionTable

EAV, TWIN = "eav", "eav-twin"


@dataclass(frozen=True)
class Published:
    """An accuracy, as a share, and what reached it."""

    accuracy: float
    by: str


_Scores = dict[str, tuple[Published, ...]]  # by modality; "all" are several together


# Accuracy of five classes on 5 s segments, mean over 42 subjects, each apart: Lee et al., Scientific Data 11,
# 2024 (the first of each, and the second of video), and the best of one modality, and AMBT fusion, since.
_EAV_70_30: _Scores = {
    "eeg": (Published(0.600, "Lee et al. 2024"), Published(0.676, "best since")),
    "audio": (Published(0.619, "Lee et al. 2024"), Published(0.656, "best since")),
    "video": (
        Published(0.714, "Lee et al. 2024, CNN"),
        Published(0.745, "ViViT"),
        Published(0.753, "best since"),
    ),
    "all": (Published(0.851, "AMBT fusion"),),
}
# Seven folds by subject, whole trials of 20 s.
_EAV_SUBJECTS: _Scores = {
    "eeg": (Published(0.453, "7 folds by subject, 20 s"),),
    "audio": (Published(0.628, "7 folds by subject, 20 s"),),
    "all": (Published(0.670, "mean of probabilities, 7 folds by subject, 20 s"),),
}
_TABLES: dict[str, _Scores] = {"eav-70-30": _EAV_70_30, "group-kfold": _EAV_SUBJECTS, "loso": _EAV_SUBJECTS}


def published_line(table: PredictionTable) -> str | None:
    """What was published for the data set, protocol and modalities of a prediction table, in one line.

    Returns
    -------
    None where nothing was; of the twin of EAV, the line says that the two cannot be compared.
    """
    datasets = set(table.keys["dataset"].dropna())
    protocol, modalities = table.meta.get("protocol", {}), table.meta.get("modalities", ())
    name = modalities[0] if len(modalities) == 1 else "all"
    scores = _TABLES.get(protocol.get("name", ""), {}).get(name, ())
    if not scores or not datasets or not datasets <= {EAV, TWIN} or protocol["group"] == "block":
        return None
    listed = ", ".join(f"{score.accuracy:.3f} ({score.by})" for score in scores)
    twin = "; these rows are of its made-up twin, so the two cannot be compared" if TWIN in datasets else ""
    return f"published on EAV, accuracy: {listed}{twin}"
